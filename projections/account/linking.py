"""Commands and orders to trades. See docs/trades.md, "What belongs to what"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from projections.account.closing import Closes, closes_of_trades
from projections.account.market import Fill, MarketFacts


@dataclass
class Links:
    """`closes` are the close commands of each ticket in order; `orders` leads from an order id to
    the ticket and, where it is known, the command."""

    closes: Closes
    orders: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    orders_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def ticket_of(self, fill: Fill) -> str | None:
        """The ticket of the fill's order."""
        link = self.orders.get(fill.order_id) if fill.order_id is not None else None
        return link[0] if link is not None else None


def link(facts: MarketFacts) -> Links:
    """Find every link that the facts tell of."""
    links = Links(closes_of_trades(facts))
    _link_orders(facts, links)
    return links


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
    """The smallest (ticket, command), should ids with a slash come to the same client order id."""
    named = [
        (one.client_order_id, one.ticket_id, one.command_id)
        for one in facts.commands
        if one.kind == "open" and one.ticket_id in facts.tickets
    ]
    named += [
        (one.client_order_id, ticket, one.command_id)
        for ticket, commands in links.closes.items()
        for one in commands
    ]
    return {
        client_id: (ticket, command_id)
        for client_id, ticket, command_id in sorted(named, reverse=True)
    }


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
