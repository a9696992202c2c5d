"""Commands and orders to trades. See docs/trades.md, "What belongs to what"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from projections.account.market import Command, Fill, MarketFacts, Outcome

_FAILURES = frozenset({"close_failed", "order_rejected"})


@dataclass
class Links:
    """`closes` are the close commands of each ticket in order; `orders` leads from an order id to
    the ticket and, where it is known, the command."""

    closes: dict[str, list[Command]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    orders_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def ticket_of(self, fill: Fill) -> str | None:
        """The ticket of the fill's order."""
        link = self.orders.get(fill.order_id) if fill.order_id is not None else None
        return link[0] if link is not None else None


def link(facts: MarketFacts) -> Links:
    """Find every link that the facts tell of."""
    links = Links()
    for command in sorted(
        (one for one in facts.commands if one.kind == "close"), key=lambda one: one.rank
    ):
        ticket = _trade_closed_by(command, facts, links)
        if ticket is not None:
            links.closes[ticket].append(command)
    _link_orders(facts, links)
    return links


def has_failed(close: Command, ticket: str, facts: MarketFacts, by: datetime | None = None) -> bool:
    """Whether a close of this ticket came to nothing, by a time where one is given."""
    return any(_fails(outcome, close, ticket, by) for outcome in facts.outcomes)


def _fails(outcome: Outcome, close: Command, ticket: str, by: datetime | None) -> bool:
    if outcome.kind not in _FAILURES or (by is not None and outcome.time > by):
        return False
    if outcome.command_id is not None:
        return outcome.command_id == close.command_id
    if outcome.time < close.time:
        return False
    if outcome.kind == "order_rejected":  # without a command it means the opening order
        return outcome.ticket_id == close.ticket_id != ticket
    return outcome.ticket_id in {close.ticket_id, ticket}


def _trade_closed_by(close: Command, facts: MarketFacts, links: Links) -> str | None:
    if close.ticket_id in facts.tickets:
        return close.ticket_id
    if close.origin != "legacy":
        return None
    candidates = sorted(
        (opened.time, ticket)
        for ticket, opened in facts.tickets.items()
        if opened.side != close.side and opened.time <= close.time
    )
    for _, ticket in candidates:
        pending = (
            earlier
            for earlier in links.closes.get(ticket, ())
            if not has_failed(earlier, ticket, facts, by=close.time)
        )
        if next(pending, None) is None:
            return ticket
    return max(
        (ticket for _, ticket in candidates),
        key=lambda ticket: links.closes[ticket][-1].rank,
        default=None,
    )


def _link_orders(facts: MarketFacts, links: Links) -> None:
    by_client_id = _commands_by_client_id(facts, links)
    by_accepted = _commands_by_accepted_order(facts, links)
    for order_id in sorted({*facts.orders, *facts.fills_of_order, *by_accepted}):
        named = [by_client_id[one] for one in _client_ids(order_id, facts) if one in by_client_id]
        found = min(named, default=by_accepted.get(order_id))
        if found is not None:
            links.orders[order_id] = found
            links.orders_of[found[0]].append(order_id)


def _client_ids(order_id: str, facts: MarketFacts) -> set[str]:
    """The client order ids that the order or its fills came with."""
    ids = {fill.client_order_id for fill in facts.fills_of_order.get(order_id, ())}
    if order_id in facts.orders:
        ids.add(facts.orders[order_id].client_order_id)
    return {one for one in ids if one is not None}


def _commands_by_client_id(facts: MarketFacts, links: Links) -> Mapping[str, tuple[str, str]]:
    opens = {
        one.client_order_id: (one.ticket_id, one.command_id)
        for one in facts.commands
        if one.kind == "open" and one.ticket_id in facts.tickets
    }
    closes = {
        one.client_order_id: (ticket, one.command_id)
        for ticket, commands in links.closes.items()
        for one in commands
    }
    return opens | closes


def _commands_by_accepted_order(
    facts: MarketFacts, links: Links
) -> Mapping[str, tuple[str, str | None]]:
    """The ticket of each order that was reported accepted, and the command, where that is told."""
    own_tickets: dict[str, tuple[str, str]] = {}
    for _, own, trade, command_id in sorted(
        (one.rank, one.ticket_id, trade, one.command_id)
        for trade, commands in links.closes.items()
        for one in commands
    ):
        own_tickets.setdefault(own, (trade, command_id))
    accepted: dict[str, tuple[str, str | None]] = {}
    for outcome in sorted(facts.outcomes, key=lambda one: (one.time, one.ticket_id)):
        if outcome.kind != "order_accepted" or outcome.order_id is None:
            continue
        if outcome.ticket_id in facts.tickets:
            accepted.setdefault(outcome.order_id, (outcome.ticket_id, outcome.command_id))
        elif outcome.ticket_id in own_tickets:
            accepted.setdefault(outcome.order_id, own_tickets[outcome.ticket_id])
    return accepted
