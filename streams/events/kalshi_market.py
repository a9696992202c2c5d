"""The events of `kalshi.market`: quotes, public trades, order books, candlesticks."""

from __future__ import annotations

from typing import ClassVar, Literal

from streams.events.base import Event, Unparsed
from streams.events.types import (
    BinaryPrice,
    Connection,
    Count,
    CountOrZero,
    Identifier,
    Micros,
    Money,
    NetCount,
    Raw,
    Sequence,
    Side,
    Text,
    Ticker,
    Venue,
)

TOPIC = "kalshi.market"


#: One price of a side's bids, in dollars of that side, and the contracts wanted at it.
Level = tuple[BinaryPrice, CountOrZero]


class MarketEvent(Event):
    """What all events about one market's trading share."""

    topic: ClassVar[str] = TOPIC

    venue: Venue
    ticker: Ticker

    def key(self) -> str:
        return self.ticker

    def source(self) -> str:
        return f"/venues/{self.venue}"


class MarketTicker(MarketEvent):
    """What changed of a market's quote. Null means unchanged, never unknown.

    The channel of today gives totals; the former one gave deltas, which count once per frame:
    `connection`, `sid` and `arrival` tell two identical frames apart.
    """

    name: ClassVar[str] = "market.ticker"
    version: ClassVar[int] = 1

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

    def event_id(self) -> str:
        if self.connection is not None:
            return f"{self.venue}:{self.connection}:{self.sid}:{self.arrival}"
        return self.content_id(f"{self.venue}:ticker:{self.ticker}", self.time)


class MarketTrade(MarketEvent):
    """One public execution. `taker_side` is the outcome that the taker acquired."""

    name: ClassVar[str] = "market.trade"
    version: ClassVar[int] = 1

    trade_id: Identifier
    yes_price: BinaryPrice
    count: Count
    taker_side: Side | None
    is_block: bool | None
    time: Micros
    received: Micros
    raw: Raw | None

    def event_id(self) -> str:
        return f"{self.venue}:trade:{self.trade_id}"


class BookEvent(MarketEvent):
    """What the messages of an order book share.

    `seq` counts the messages of the subscription `sid` of one connection, of all its markets.
    `clock` is the exchange's own, which never falls within a market. `time` is the venue's, else
    that of sending, else the receive time.
    """

    connection: Connection
    sid: Sequence
    seq: Sequence
    clock: Sequence | None
    time: Micros
    received: Micros
    raw: Raw | None

    def event_id(self) -> str:
        return f"{self.venue}:{self.connection}:{self.sid}:{self.seq}"


class BookSnapshot(BookEvent):
    """A market's whole book: the bids of both sides, by rising price. It is valid from here on.

    `opened` is when its connection was opened: of two connections the later one is right.
    """

    name: ClassVar[str] = "market.book_snapshot"
    version: ClassVar[int] = 1

    opened: Micros
    yes: list[Level]
    no: list[Level]


class BookDelta(BookEvent):
    """A change of the contracts wanted at one price of one side.

    `previous` is the `seq` of the message of this market before it, on the same subscription: the
    book that it applies to.
    """

    name: ClassVar[str] = "market.book_delta"
    version: ClassVar[int] = 1

    previous: Sequence
    side: Side
    price: BinaryPrice
    delta: NetCount


class MarketGap(MarketEvent):
    """Messages of this market's book may be missing: it is not valid until its next snapshot.

    `expected` came not, `got` came instead; both are null where the connection ended.
    """

    name: ClassVar[str] = "market.gap"
    version: ClassVar[int] = 1

    connection: Connection
    sid: Sequence | None
    expected: Sequence | None
    got: Sequence | None
    reason: Text
    received: Micros

    def event_id(self) -> str:
        numbers = f"{self.sid}:{self.expected}:{self.got}"
        return f"{self.venue}:gap:{self.ticker}:{self.connection}:{numbers}"


class MarketCandle(MarketEvent):
    """One candlestick of a market, as the venue reckoned it; `end` is the end of its period.

    Prices of YES in dollars; those of trades are null where there were none.
    """

    name: ClassVar[str] = "market.candle"
    version: ClassVar[int] = 1

    minutes: Literal[1, 60, 1440]
    end: Micros
    yes_bid_open: BinaryPrice | None
    yes_bid_high: BinaryPrice | None
    yes_bid_low: BinaryPrice | None
    yes_bid_close: BinaryPrice | None
    yes_ask_open: BinaryPrice | None
    yes_ask_high: BinaryPrice | None
    yes_ask_low: BinaryPrice | None
    yes_ask_close: BinaryPrice | None
    open: BinaryPrice | None
    high: BinaryPrice | None
    low: BinaryPrice | None
    close: BinaryPrice | None
    mean: BinaryPrice | None
    previous: BinaryPrice | None
    volume: CountOrZero | None
    open_interest: CountOrZero | None
    received: Micros
    raw: Raw | None

    def event_id(self) -> str:
        return self.content_id(f"{self.venue}:candle:{self.ticker}:{self.minutes}", self.end)


class MarketUnparsed(Unparsed):
    """A frame of market data that the connector could not read."""

    name: ClassVar[str] = "market.unparsed"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC
