"""The events of `trade.commands`: what someone asked for. To record one sends no order anywhere.

A command has an id of its own; `ticket_id` is the trade's. The client order id of what a command
orders follows from both, so a retry is the same order.
"""

from __future__ import annotations

import uuid
from typing import ClassVar, Literal

from streams.events.base import Event
from streams.events.types import (
    Account,
    BinaryPrice,
    Count,
    Identifier,
    Micros,
    Money,
    Origin,
    Percent,
    Side,
    Text,
    Ticker,
)

TOPIC = "trade.commands"

#: The namespace of client order ids. It must never change.
CLIENT_ORDERS = uuid.UUID("7d0a3c5e-6f1b-4a52-9c1e-2b8f4d6a9e10")


def client_order_id(ticket_id: str, command_id: str) -> str:
    """The client order id of the order that a command asks for."""
    return str(uuid.uuid5(CLIENT_ORDERS, f"{ticket_id}/{command_id}"))


class TradeCommand(Event):
    """What all commands share. `time` is when it was asked."""

    topic: ClassVar[str] = TOPIC

    command_id: Identifier
    ticket_id: Identifier
    account: Account
    ticker: Ticker
    time: Micros
    origin: Origin

    def key(self) -> str:
        return self.ticker

    def event_id(self) -> str:
        return f"{self.account}:command:{self.command_id}"

    def source(self) -> str:
        return f"/accounts/{self.account}"


class OpenTrade(TradeCommand):
    """Buy `count` contracts of `side`. `price` is the most to pay for one, in dollars."""

    name: ClassVar[str] = "command.open"
    version: ClassVar[int] = 1

    side: Side
    count: Count
    price: BinaryPrice | None
    #: The underlying: `BTC`.
    symbol: Text | None
    market: Text | None
    strategy: Text | None
    contract: Text | None
    strike: Money | None
    #: The sender's estimate that the trade wins, percent.
    prob: Percent | None
    entry_method: Literal["manual", "auto"] | None


class CloseTrade(TradeCommand):
    """Close the trade by buying the other side: `side` is the one to buy, `price` is its price.

    Without `count`, all that is held. A legacy close has a ticket of its own: it means the oldest
    open trade of its account on that market and the opposite side.
    """

    name: ClassVar[str] = "command.close"
    version: ClassVar[int] = 1

    side: Side
    count: Count | None
    price: BinaryPrice | None
    close_method: Literal["manual", "auto"] | None


class CancelTrade(TradeCommand):
    """Cancel what still rests of the trade's orders."""

    name: ClassVar[str] = "command.cancel"
    version: ClassVar[int] = 1

    reason: Text | None


class MarkError(TradeCommand):
    """An operator says that the trade never came about."""

    name: ClassVar[str] = "command.mark_error"
    version: ClassVar[int] = 1

    reason: Text | None
