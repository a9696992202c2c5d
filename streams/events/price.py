"""The events of `price.ticks`: trades, quotes, index values, gaps, and frames nobody could read."""

from __future__ import annotations

from typing import ClassVar, Literal

from streams.events.base import Event, Unparsed
from streams.events.types import Connection, Micros, Price, Sequence, Size, Symbol, TradeId, Venue

TOPIC = "price.ticks"


class PriceEvent(Event):
    """What the events about one symbol at one venue share."""

    topic: ClassVar[str] = TOPIC

    venue: Venue
    symbol: Symbol

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"

    def source(self) -> str:
        return f"/venues/{self.venue}"


class PriceTrade(PriceEvent):
    """One execution. `side` is the taker's. Times in microseconds since 1970 UTC."""

    name: ClassVar[str] = "price.trade"
    version: ClassVar[int] = 1

    trade_id: TradeId
    price: Price
    size: Size
    side: Literal["buy", "sell"]
    time: Micros
    sequence: Sequence | None
    received: Micros

    def event_id(self) -> str:
        return f"{self.venue}:{self.symbol}:{self.trade_id}"


class PriceQuote(PriceEvent):
    """Best bid and ask. Where the venue gives no time, `time` is the connector's receive time."""

    name: ClassVar[str] = "price.quote"
    version: ClassVar[int] = 1

    bid: Price
    bid_size: Size | None
    ask: Price
    ask_size: Size | None
    time: Micros
    sequence: Sequence | None
    received: Micros

    def event_id(self) -> str:
        return self.content_id(f"{self.key()}:quote", self.time)


class PriceIndex(PriceEvent):
    """One value of a reference index (BRTI) and, where given, its settlement average."""

    name: ClassVar[str] = "price.index"
    version: ClassVar[int] = 1

    price: Price
    average: Price | None
    time: Micros
    received: Micros

    def event_id(self) -> str:
        return f"{self.key()}:index:{self.time}"


class PriceGap(PriceEvent):
    """The venue's own numbering of a symbol's trades skipped: `missed` trades never arrived.

    `expected` did not come, `got` is the next that did. Of an index, which has a value each second,
    the numbers are seconds since 1970 UTC.
    """

    name: ClassVar[str] = "price.gap"
    version: ClassVar[int] = 1

    connection: Connection
    expected: Sequence
    got: Sequence
    received: Micros

    def event_id(self) -> str:
        return f"{self.key()}:gap:{self.connection}:{self.expected}:{self.got}"


class PriceUnparsed(Unparsed):
    """A frame of prices that the connector could not read."""

    name: ClassVar[str] = "price.unparsed"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC
