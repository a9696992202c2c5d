"""Everything that is known of one account in one market, as the reckoning takes it.

Where both origins have a key, only the native row is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple, TypeVar

from projections.account.values import ONE, ZERO

T = TypeVar("T")

#: Statuses in which an order is over.
FINAL = frozenset({"canceled", "executed"})


class Market(NamedTuple):
    """An account in a market."""

    account: str
    ticker: str


@dataclass(slots=True)
class Command:
    """A row of `commands`."""

    command_id: str
    kind: str
    ticket_id: str
    time: datetime
    side: str | None
    count: Decimal | None
    price: Decimal | None
    symbol: str | None
    market: str | None
    trade_strategy: str | None
    contract: str | None
    strike: Decimal | None
    prob: Decimal | None
    method: str | None
    client_order_id: str
    origin: str

    @property
    def rank(self) -> tuple[datetime, str]:
        """Commands go by the time asked, then by id."""
        return self.time, self.command_id


@dataclass(slots=True)
class Outcome:
    """A row of `trade_events`."""

    event_id: str
    kind: str
    ticket_id: str
    time: datetime
    command_id: str | None
    order_id: str | None


@dataclass(slots=True)
class OrderState:
    """A row of `orders`."""

    order_id: str
    client_order_id: str | None
    side: str
    status: str
    yes_price: Decimal | None
    initial_count: Decimal
    fill_count: Decimal
    fees: Decimal | None
    created: datetime | None
    updated: datetime | None


@dataclass(slots=True)
class Fill:
    """A row of `fills`."""

    trade_id: str
    order_id: str | None
    client_order_id: str | None
    side: str
    yes_price: Decimal
    count: Decimal
    fee: Decimal | None
    time: datetime

    @property
    def price(self) -> Decimal:
        """Of the side acquired."""
        return price_of(self.side, self.yes_price)

    @property
    def rank(self) -> tuple[datetime, str]:
        """Fills go by time, then by id."""
        return self.time, self.trade_id


@dataclass(slots=True)
class Settlement:
    """A row of `settlements`."""

    settled_time: datetime
    result: str
    value: Decimal | None
    revenue: Decimal

    def pays(self, side: str) -> Decimal:
        """Dollars for one contract of a side."""
        if self.result != "scalar":
            return ONE if side == self.result else ZERO
        assert self.value is not None
        return price_of(side, self.value)


@dataclass
class MarketFacts:
    """The facts of one account in one market; fills are in their order.

    `tickets` are the tickets that are trades here, with the open command that made each.
    """

    market: Market
    commands: list[Command] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    orders: dict[str, OrderState] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    tickets: dict[str, Command] = field(default_factory=dict)

    @cached_property
    def last_settlement(self) -> Settlement | None:
        """The last one."""
        return max(self.settlements, key=lambda one: one.settled_time, default=None)

    @cached_property
    def settlement(self) -> Settlement | None:
        """The last one, if it is known what it pays."""
        last = self.last_settlement
        is_open = last is None or (last.result == "scalar" and last.value is None)
        return None if is_open else last

    @cached_property
    def fills_of_order(self) -> Mapping[str, list[Fill]]:
        """The fills of each order."""
        return _grouped((fill.order_id, fill) for fill in self.fills if fill.order_id is not None)

    @cached_property
    def commands_of_ticket(self) -> Mapping[str, list[Command]]:
        """The commands that name each ticket."""
        return _grouped((one.ticket_id, one) for one in self.commands)

    @cached_property
    def outcomes_of_ticket(self) -> Mapping[str, list[Outcome]]:
        """The outcomes that name each ticket."""
        return _grouped((one.ticket_id, one) for one in self.outcomes)

    @cached_property
    def outcomes_of_command(self) -> Mapping[str, list[Outcome]]:
        """The outcomes that name each command."""
        named = ((one.command_id, one) for one in self.outcomes if one.command_id is not None)
        return _grouped(named)


def price_of(side: str, yes_price: Decimal) -> Decimal:
    """The price of a side."""
    return yes_price if side == "yes" else ONE - yes_price


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
