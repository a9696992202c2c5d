"""The events of `trade.events`: outcomes that an executor, the venue or a service reports."""

from __future__ import annotations

from typing import ClassVar

from streams.events.base import Event
from streams.events.types import Account, Identifier, Micros, Origin, Text, Ticker

TOPIC = "trade.events"


class TradeEvent(Event):
    """What all outcomes share."""

    topic: ClassVar[str] = TOPIC

    ticket_id: Identifier
    account: Account
    ticker: Ticker
    time: Micros
    origin: Origin

    def key(self) -> str:
        return self.ticker

    def source(self) -> str:
        return f"/accounts/{self.account}"


class OrderAccepted(TradeEvent):
    """The venue took an order of this trade."""

    name: ClassVar[str] = "trade.order_accepted"
    version: ClassVar[int] = 1

    command_id: Identifier | None
    order_id: Identifier

    def event_id(self) -> str:
        return f"{self.account}:accepted:{self.ticket_id}:{self.order_id}"


class OrderRejected(TradeEvent):
    """The venue refused an order of this trade: that of the command, else the opening one."""

    name: ClassVar[str] = "trade.order_rejected"
    version: ClassVar[int] = 1

    command_id: Identifier | None
    reason: Text | None

    def event_id(self) -> str:
        return f"{self.account}:rejected:{self.ticket_id}:{self.command_id or self.time}"


class CloseFailed(TradeEvent):
    """A close came to nothing: the trade is open again."""

    name: ClassVar[str] = "trade.close_failed"
    version: ClassVar[int] = 1

    command_id: Identifier | None
    reason: Text | None

    def event_id(self) -> str:
        return f"{self.account}:close_failed:{self.ticket_id}:{self.command_id or self.time}"


class TradeExpired(TradeEvent):
    """The trade's market closed, at `time`, while the trade was not closed."""

    name: ClassVar[str] = "trade.expired"
    version: ClassVar[int] = 1

    def event_id(self) -> str:
        return f"{self.account}:expired:{self.ticket_id}"
