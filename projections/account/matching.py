"""Which part of each fill belongs to which trade, and what it cost in fees."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from projections.account.linking import Links
from projections.account.market import Command, Fill, MarketFacts
from projections.account.values import ZERO, shares, taker_fee


class Fee(NamedTuple):
    """Dollars, and where they come from: `fill`, `order` or `formula`."""

    amount: Decimal
    source: str


@dataclass(slots=True)
class Part:
    """So many contracts of a fill, for a trade or, without a ticket, for none."""

    fill: Fill
    ticket_id: str | None
    role: str | None
    count: Decimal
    reason: str | None
    command_id: str | None


@dataclass(order=True)
class _Turn:
    """An imported command's turn to take fills without a linked order."""

    time: datetime
    is_close: bool
    command_id: str
    ticket_id: str
    side: str
    count: Decimal | None


class Matching:
    """Gives the fills of a market out to its trades; `parts` are in the order given."""

    def __init__(self, facts: MarketFacts, links: Links) -> None:
        self.parts: list[Part] = []
        self.bought: dict[str, Decimal] = defaultdict(Decimal)
        self.closed: dict[str, Decimal] = defaultdict(Decimal)
        self._facts = facts
        self._links = links
        self._left = {fill.trade_id: fill.count for fill in facts.fills}
        self._by_orders("open")
        self._by_turns()
        self._by_orders("close")
        self._leave_over()

    def _by_orders(self, role: str) -> None:
        for fill in self._facts.fills:
            ticket = self._links.ticket_of(fill)
            if ticket is None:
                continue
            opens = fill.side == self._facts.tickets[ticket].side
            if opens and role == "open":
                self._give(fill, ticket, role, fill.count)
            elif not opens and role == "close":
                self._give(fill, ticket, role, self.bought[ticket] - self.closed[ticket])

    def _by_turns(self) -> None:
        unlinked: dict[str, deque[Fill]] = {"yes": deque(), "no": deque()}
        for fill in self._facts.fills:
            if self._links.ticket_of(fill) is None:
                unlinked[fill.side].append(fill)
        for turn in sorted(self._turns()):
            wanted = turn.count
            if turn.is_close:
                held = self.bought[turn.ticket_id] - self.closed[turn.ticket_id]
                wanted = held if wanted is None else min(wanted, held)
            assert wanted is not None
            role = "close" if turn.is_close else "open"
            oldest_first = unlinked[turn.side]
            while wanted > 0 and oldest_first:
                fill = oldest_first[0]
                wanted -= self._give(fill, turn.ticket_id, role, wanted, turn.command_id)
                if not self._left[fill.trade_id]:
                    oldest_first.popleft()

    def _turns(self) -> Iterable[_Turn]:
        for ticket, opened in self._facts.tickets.items():
            sides = self._sides_of_orders(ticket)
            if opened.origin == "legacy" and opened.side not in sides:
                yield _turn(opened, ticket)
            if not sides - {opened.side}:
                for close in self._links.closes.get(ticket, ()):
                    if close.origin == "legacy" and close.side != opened.side:
                        yield _turn(close, ticket)

    def _sides_of_orders(self, ticket: str) -> set[str | None]:
        orders = self._links.orders_of.get(ticket, ())
        states = {self._facts.orders[one].side for one in orders if one in self._facts.orders}
        fills = {fill.side for one in orders for fill in self._facts.fills_of_order.get(one, ())}
        return {*states, *fills}

    def _leave_over(self) -> None:
        for fill in self._facts.fills:
            if self._left[fill.trade_id] > 0:
                left = self._left[fill.trade_id]
                self.parts.append(Part(fill, None, None, left, self._reason(fill), None))

    def _reason(self, fill: Fill) -> str:
        if self._links.ticket_of(fill) is not None:
            return "closes more than was bought"
        return "no order" if fill.order_id is None else "order of no trade"

    def _give(
        self, fill: Fill, ticket: str, role: str, most: Decimal, command_id: str | None = None
    ) -> Decimal:
        """Give as much as is left of the fill, and at most so much; returns how much."""
        count = min(most, self._left[fill.trade_id])
        if count <= 0:
            return ZERO
        self._left[fill.trade_id] -= count
        total = self.bought if role == "open" else self.closed
        total[ticket] += count
        self.parts.append(Part(fill, ticket, role, count, None, command_id))
        return count


def _turn(command: Command, ticket: str) -> _Turn:
    assert command.side is not None
    is_close = command.kind == "close"
    return _Turn(command.time, is_close, command.command_id, ticket, command.side, command.count)


def fees_of(facts: MarketFacts) -> Mapping[str, Fee]:
    """The fee of each fill: its own, else its share of the order's, else by the formula."""
    fees = {
        fill.trade_id: Fee(taker_fee(fill.count, fill.price), "formula")
        if fill.fee is None
        else Fee(fill.fee, "fill")
        for fill in facts.fills
    }
    for order_id, fills in facts.fills_of_order.items():
        state = facts.orders.get(order_id)
        lacking = [fill for fill in fills if fill.fee is None]
        if state is None or state.fees is None or not lacking:
            continue
        rest = state.fees - sum((fill.fee for fill in fills if fill.fee is not None), ZERO)
        total = state.fill_count - sum((fill.count for fill in fills if fill.fee is not None), ZERO)
        if rest >= 0 and total > 0:
            counts = [fill.count for fill in lacking]
            # An older state of the order may have counted less than there are fills.
            amounts = shares(rest, counts, max(total, sum(counts, ZERO)))
            fees |= {
                fill.trade_id: Fee(amount, "order")
                for fill, amount in zip(lacking, amounts, strict=True)
            }
    return fees
