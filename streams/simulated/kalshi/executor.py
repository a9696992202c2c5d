"""From commands to orders at the simulated exchange, and what became of them. Without a clock.

A command that comes again, as anything may that is read from a log, changes nothing, and nothing is
said of it: the first one was answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from streams.events import (
    CancelTrade,
    CloseFailed,
    CloseTrade,
    OpenTrade,
    OrderAccepted,
    OrderRejected,
    TradeCommand,
    TradeEvent,
)
from streams.events.trade_commands import client_order_id
from streams.events.types import Side
from streams.live import Live
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.orders import ZERO, Order, OrderError, other
from streams.simulated.kalshi.venue.facts import Fact

__all__ = ["Executor"]


@dataclass
class _Ticket:
    """What was ordered for one trade: its own side to open, the other one to close."""

    ticker: str
    side: Side
    orders: list[str] = field(default_factory=list)


class Executor:
    """Executes the commands of one account: for live use only."""

    def __init__(self, live: Live, account: str, exchange: Exchange) -> None:
        self.account = account
        self._exchange = exchange
        self._tickets: dict[str, _Ticket] = {}
        self._answered: set[str] = set()

    def execute(self, command: TradeCommand, now: int) -> list[Fact | TradeEvent]:
        """What a command does at `now`: outcomes for the log, and facts of the exchange."""
        if command.command_id in self._answered:
            return []
        self._answered.add(command.command_id)
        self._forget_settled()
        match command:
            case OpenTrade():
                return self._open(command, now)
            case CloseTrade():
                return self._close(command, now)
            case CancelTrade():
                return self._cancel(command, now)
            case _:
                return []

    def _open(self, command: OpenTrade, now: int) -> list[Fact | TradeEvent]:
        ticket = self._tickets.get(command.ticket_id) or _Ticket(command.ticker, command.side)
        return self._order(command, ticket, command.count, now)

    def _close(self, command: CloseTrade, now: int) -> list[Fact | TradeEvent]:
        """A close of more than is held would open something else: it closes what is held."""
        ticket = self._tickets.get(command.ticket_id)
        held = self._to_close(ticket) if ticket else ZERO
        count = held if command.count is None else min(held, command.count)
        if ticket is None or not count:
            reason = "there is nothing to close"
            return [CloseFailed(**self._common(command, now), reason=reason)]
        return self._order(command, ticket, count, now)

    def _cancel(self, command: CancelTrade, now: int) -> list[Fact | TradeEvent]:
        ticket = self._tickets.get(command.ticket_id)
        facts: list[Fact | TradeEvent] = []
        for order_id in ticket.orders if ticket else ():
            facts += self._exchange.cancel(now, order_id)
        return facts

    def _order(
        self, command: OpenTrade | CloseTrade, ticket: _Ticket, count: Decimal, now: int
    ) -> list[Fact | TradeEvent]:
        try:
            facts = self._exchange.place(
                now,
                command.ticker,
                command.side,
                count,
                command.price,
                client_order_id(command.ticket_id, command.command_id),
            )
        except OrderError as error:
            return [OrderRejected(**self._common(command, now), reason=str(error))]
        order = facts[0]
        assert isinstance(order, Order)
        self._tickets[command.ticket_id] = ticket
        ticket.orders.append(order.order_id)
        accepted = OrderAccepted(**self._common(command, order.created), order_id=order.order_id)
        return [accepted, *facts]

    def _to_close(self, ticket: _Ticket) -> Decimal:
        """What was bought for the trade and is neither sold nor about to be."""
        orders = [self._exchange.account.orders[order_id] for order_id in ticket.orders]
        bought = sum((one.filled for one in orders if one.side == ticket.side), ZERO)
        sold = sum(
            (one.filled + one.remaining for one in orders if one.side == other(ticket.side)), ZERO
        )
        return max(ZERO, bought - sold)

    def _forget_settled(self) -> None:
        self._tickets = {
            ticket_id: ticket
            for ticket_id, ticket in self._tickets.items()
            if ticket.ticker in self._exchange.markets
        }

    def _common(self, command: TradeCommand, time: int) -> dict[str, Any]:
        return {
            "ticket_id": command.ticket_id,
            "account": self.account,
            "ticker": command.ticker,
            "time": time,
            "origin": "native",
            "command_id": command.command_id,
        }
