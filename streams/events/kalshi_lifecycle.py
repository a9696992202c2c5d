"""The events of `kalshi.lifecycle`: what a market is, how it is determined, when it is settled."""

from __future__ import annotations

from typing import ClassVar, Literal

from streams.events.base import Event, Unparsed
from streams.events.types import BinaryPrice, Micros, Money, Raw, Text, Ticker, Venue

TOPIC = "kalshi.lifecycle"


class LifecycleEvent(Event):
    """What all events about a market's life share. `time` is the event's own, where the venue
    gives one, else when the venue sent it, else the receive time."""

    topic: ClassVar[str] = TOPIC

    venue: Venue
    ticker: Ticker
    time: Micros
    received: Micros
    raw: Raw | None

    def key(self) -> str:
        return self.ticker

    def source(self) -> str:
        return f"/venues/{self.venue}"


class MarketDescribed(LifecycleEvent):
    """What is known of a market from here on. Null means unchanged."""

    name: ClassVar[str] = "lifecycle.described"
    version: ClassVar[int] = 1

    series: Ticker | None
    event_ticker: Ticker | None
    title: Text | None
    subtitle: Text | None
    strike_type: Text | None
    floor_strike: Money | None
    cap_strike: Money | None
    opens: Micros | None
    closes: Micros | None
    status: Text | None

    def event_id(self) -> str:
        return self.content_id(f"{self.venue}:described:{self.ticker}", self.time)


class MarketDetermined(LifecycleEvent):
    """The result is known; `value` is what one YES contract pays."""

    name: ClassVar[str] = "lifecycle.determined"
    version: ClassVar[int] = 1

    result: Literal["yes", "no", "scalar"]
    value: BinaryPrice | None

    def event_id(self) -> str:
        return self.content_id(f"{self.venue}:determined:{self.ticker}", self.time)


class MarketSettled(LifecycleEvent):
    """The market paid out, at `time`."""

    name: ClassVar[str] = "lifecycle.settled"
    version: ClassVar[int] = 1

    def event_id(self) -> str:
        return f"{self.venue}:settled:{self.ticker}:{self.time}"


class LifecycleUnparsed(Unparsed):
    """A frame about a market's life that the connector could not read."""

    name: ClassVar[str] = "lifecycle.unparsed"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC
