"""The events of `kalshi.market`: quotes of markets, for now."""

from __future__ import annotations

from typing import ClassVar

from streams.events.base import Event, Unparsed
from streams.events.types import (
    BinaryPrice,
    Connection,
    CountOrZero,
    Micros,
    Money,
    NetCount,
    Raw,
    Sequence,
    Ticker,
    Venue,
)

TOPIC = "kalshi.market"


class MarketTicker(Event):
    """What changed of a market's quote. Null means unchanged, never unknown.

    The channel of today gives totals; the former one gave deltas, which count once per frame:
    `connection`, `sid` and `arrival` tell two identical frames apart.
    """

    name: ClassVar[str] = "market.ticker"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC

    venue: Venue
    ticker: Ticker
    yes_bid: BinaryPrice | None
    yes_ask: BinaryPrice | None
    yes_bid_size: CountOrZero | None
    yes_ask_size: CountOrZero | None
    last_price: BinaryPrice | None
    last_size: CountOrZero | None
    volume: CountOrZero | None
    open_interest: CountOrZero | None
    dollar_volume: Money | None
    dollar_open_interest: Money | None
    volume_delta: NetCount | None
    open_interest_delta: NetCount | None
    dollar_volume_delta: Money | None
    dollar_open_interest_delta: Money | None
    connection: Connection | None
    sid: Sequence | None
    arrival: Sequence | None
    #: The venue's time, else the receive time.
    time: Micros
    received: Micros
    raw: Raw | None

    def key(self) -> str:
        return self.ticker

    def event_id(self) -> str:
        if self.connection is not None:
            return f"{self.venue}:{self.connection}:{self.sid}:{self.arrival}"
        return self.content_id(f"{self.venue}:ticker:{self.ticker}", self.time)

    def source(self) -> str:
        return f"/venues/{self.venue}"


class MarketUnparsed(Unparsed):
    """A frame of market data that the connector could not read."""

    name: ClassVar[str] = "market.unparsed"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC
