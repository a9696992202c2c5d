"""What belongs to what, in one market of one account: commands, orders, parts of fills.

Quotations are from docs/trades.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.projections.account.reference_facts import Row

OTHER = {"yes": "no", "no": "yes"}

NO_ORDER = "no order"
NO_TRADE = "order of no trade"
TOO_MUCH = "closes more than was bought"


@dataclass
class Market:
    """The facts of one account and one market, and the open commands that made its trades."""

    account: str
    ticker: str
    commands: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)
    orders: dict[str, Row] = field(default_factory=dict)
    #: In the order of (time, trade id).
    fills: list[Row] = field(default_factory=list)
    settlements: list[Row] = field(default_factory=list)
    #: From the ticket to the open command that made the trade.
    trades: dict[str, Row] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Row]:
        return sorted((c for c in self.commands if c["kind"] == kind), key=asked)

    def reported(self, *kinds: str) -> list[Row]:
        return [report for report in self.reports if report["kind"] in kinds]

    def fills_of(self, order_id: str) -> list[Row]:
        return [fill for fill in self.fills if fill["order_id"] == order_id]


def asked(command: Row) -> tuple[Any, str]:
    """(time, command id)."""
    return command["time"], command["command_id"]


# Trades


def trades_of_all(commands: Iterable[Row]) -> dict[str, Row]:
    """Rule: "The first open command of a ticket (native before legacy, then the smaller of
    (time, command id)) makes the trade"."""
    first: dict[str, Row] = {}
    for command in sorted(commands, key=first_of_ticket):
        if command["kind"] == "open":
            first.setdefault(command["ticket_id"], command)
    return first


def first_of_ticket(command: Row) -> tuple[Any, ...]:
    return command["origin"] == "legacy", *asked(command), command["account"]


# Commands to trades


def commands_of_trades(market: Market) -> dict[str, str]:
    """From the id of each command that belongs to a trade to the ticket of the trade.

    "By ticket id, within the same account and market."
    """
    belongs = {
        command["command_id"]: command["ticket_id"]
        for command in market.commands
        if command["ticket_id"] in market.trades
    }
    # "Legacy closes are taken in the order of (time, command id)".
    for close in market.of_kind("close"):
        if close["origin"] == "legacy" and close["command_id"] not in belongs:
            ticket = closed_by(market, close, belongs)
            if ticket is not None:
                belongs[close["command_id"]] = ticket
    return belongs


def closed_by(market: Market, close: Row, belongs: dict[str, str]) -> str | None:
    """Rule: "A legacy close whose ticket is no trade there closes the oldest open trade:
    those of the opposite side that were asked for no later than it, oldest first (time asked,
    ticket id)"."""
    candidates = sorted(
        (trade["time"], ticket)
        for ticket, trade in market.trades.items()
        if trade["side"] == OTHER[close["side"]] and trade["time"] <= close["time"]
    )
    before = {ticket: earlier_closes(market, ticket, close, belongs) for _, ticket in candidates}
    for _, ticket in candidates:
        if all(failed_by(market, one, ticket, close["time"]) for one in before[ticket]):
            return ticket
    # "If none is open, it goes to the one that got a close last."
    last = [(asked(one), ticket) for ticket, closes in before.items() for one in closes]
    return max(last)[1] if last else None


def earlier_closes(market: Market, ticket: str, close: Row, belongs: dict[str, str]) -> list[Row]:
    """Closes of the trade before this one; native ones count too."""
    return [
        other
        for other in market.of_kind("close")
        if belongs.get(other["command_id"]) == ticket and asked(other) < asked(close)
    ]


def failures(market: Market, close: Row, ticket: str) -> list[Row]:
    """The reports by which a close of a trade failed."""
    return [
        report
        for report in market.reported("close_failed", "order_rejected")
        if fails(report, close, ticket)
    ]


def fails(report: Row, close: Row, ticket: str) -> bool:
    """Rule: "It failed when a `close_failed` or a rejection names its command; or when, at or
    after the time it was asked and without a command, a `close_failed` names its ticket or the
    trade's, or a rejection names its ticket and that is not the trade's"."""
    if report["command_id"] is not None:
        return bool(report["command_id"] == close["command_id"])
    if report["time"] < close["time"]:
        return False
    if report["kind"] == "close_failed":
        return report["ticket_id"] in {close["ticket_id"], ticket}
    return bool(report["ticket_id"] == close["ticket_id"] != ticket)


def failed_by(market: Market, close: Row, ticket: str, time: Any) -> bool:
    """Rule: "A close that failed by then is not pending"."""
    return any(report["time"] <= time for report in failures(market, close, ticket))


# Orders to trades


@dataclass(frozen=True)
class Link:
    """The trade of an order, and the command that asked for the order, where that is known."""

    ticket: str
    command_id: str | None


def links(market: Market, belongs: dict[str, str]) -> dict[str, Link]:
    """From the id of each order that belongs to a trade to its link."""
    ids = {fill["order_id"] for fill in market.fills if fill["order_id"] is not None}
    ids |= {report["order_id"] for report in market.reported("order_accepted")}
    found = {}
    for order_id in ids | set(market.orders):
        link = by_client_order_id(market, belongs, order_id) or by_report(market, belongs, order_id)
        if link is not None:
            found[order_id] = link
    return found


def by_client_order_id(market: Market, belongs: dict[str, str], order_id: str) -> Link | None:
    """Rule: "An order belongs to the command whose client order id it carries, of an open or
    close command that belongs to a trade; the smallest (ticket, command) if there were several.
    The client order id may come with the order or with any of its fills"."""
    carried = {fill["client_order_id"] for fill in market.fills_of(order_id)}
    carried |= {market.orders[order_id]["client_order_id"]} if order_id in market.orders else set()
    commands = [
        (command["ticket_id"], command["command_id"])
        for command in [*market.of_kind("open"), *market.of_kind("close")]
        if command["command_id"] in belongs and command["client_order_id"] in carried
    ]
    if not commands:
        return None
    _, command_id = min(commands)
    return Link(belongs[command_id], command_id)


def by_report(market: Market, belongs: dict[str, str], order_id: str) -> Link | None:
    """Rule: "Else the order belongs to the ticket of the earliest `order_accepted` (time,
    ticket id) that names it and a trade there, or the own ticket of a legacy close that belongs
    to one"."""
    for report in sorted(
        market.reported("order_accepted"),
        key=lambda report: (report["time"], report["ticket_id"], report["event_id"]),
    ):
        if report["order_id"] == order_id:
            link = by_ticket(market, belongs, report)
            if link is not None:
                return link
    return None


def by_ticket(market: Market, belongs: dict[str, str], report: Row) -> Link | None:
    ticket = report["ticket_id"]
    if ticket in market.trades:
        named = belongs.get(report["command_id"]) == ticket
        return Link(ticket, report["command_id"] if named else None)
    # "of the first such close by (time, command id), should several share a ticket".
    for close in market.of_kind("close"):
        own = close["origin"] == "legacy" and close["ticket_id"] == ticket
        if own and close["command_id"] in belongs:
            return Link(belongs[close["command_id"]], close["command_id"])
    return None


def sides(market: Market, order_id: str) -> set[str]:
    """Rule: "An order is of the side that its state or any of its fills says"."""
    said = {fill["side"] for fill in market.fills_of(order_id)}
    return said | ({market.orders[order_id]["side"]} if order_id in market.orders else set())


def orders_of(market: Market, linked: dict[str, Link], ticket: str, side: str) -> list[str]:
    """The trade's orders of a side."""
    return sorted(
        order_id
        for order_id, link in linked.items()
        if link.ticket == ticket and side in sides(market, order_id)
    )


# Fills to trades


@dataclass
class Part:
    """A part of a fill: of a trade, or over."""

    fill: Row
    count: Fraction
    ticket: str | None = None
    role: str | None = None
    reason: str | None = None
    #: The command of an imported trade that took it.
    command_id: str | None = None


class Giving:
    """Gives fills out: "nothing of a fill is given twice; a fill may be divided"."""

    def __init__(self, market: Market, belongs: dict[str, str]) -> None:
        self.market = market
        self.belongs = belongs
        self.linked = links(market, belongs)
        self.left = {fill["trade_id"]: Fraction(fill["count"]) for fill in market.fills}
        self.parts: list[Part] = []

    def give(
        self,
        fill: Row,
        most: Fraction | None,
        ticket: str,
        role: str,
        command_id: str | None = None,
    ) -> Fraction:
        """Give at most so much of what is left of a fill; returns how much that was."""
        left = self.left[fill["trade_id"]]
        count = left if most is None else min(left, most)
        if count > 0:
            self.left[fill["trade_id"]] -= count
            self.parts.append(Part(fill, count, ticket, role, None, command_id))
        return count

    def total(self, ticket: str, role: str) -> Fraction:
        mine = (p.count for p in self.parts if (p.ticket, p.role) == (ticket, role))
        return sum(mine, Fraction(0))

    def link(self, fill: Row) -> Link | None:
        return self.linked.get(fill["order_id"])

    def all_parts(self) -> list[Part]:
        """All parts, each fill's in the order in which they were given out."""
        self.give_what_opens()
        for command in self.turns():
            self.take_turn(command)
        self.give_what_closes()
        self.keep_what_is_over()
        return self.parts

    def give_what_opens(self) -> None:
        """Rule: "A fill of the trade's own side opens: it belongs to the trade whole"."""
        for fill in self.market.fills:
            link = self.link(fill)
            if link and fill["side"] == self.market.trades[link.ticket]["side"]:
                self.give(fill, None, link.ticket, "open")

    def give_what_closes(self) -> None:
        """Rule: "A fill of the other side closes: oldest first (time, trade id) up to what
        the trade bought in all"."""
        for fill in self.market.fills:
            link = self.link(fill)
            if link and fill["side"] != self.market.trades[link.ticket]["side"]:
                rest = self.total(link.ticket, "open") - self.total(link.ticket, "close")
                self.give(fill, rest, link.ticket, "close")

    def turns(self) -> list[Row]:
        """Rule: "These commands take their turns by (time, open before close, command id)"."""
        commands = filter(self.imports, self.market.commands)
        return sorted(commands, key=lambda c: (c["time"], c["kind"] == "close", c["command_id"]))

    def imports(self, command: Row) -> bool:
        """Rule: "The legacy open command that made a trade none of whose orders is of the
        trade's own side", and "a legacy close command of the other side that belongs to a trade
        none of whose orders is of the other side"."""
        ticket = self.belongs.get(command["command_id"])
        if command["origin"] != "legacy" or ticket is None:
            return False
        trade = self.market.trades[ticket]
        if command["kind"] == "open":
            wanted = command is trade
        else:
            wanted = command["kind"] == "close" and command["side"] == OTHER[trade["side"]]
        return wanted and not orders_of(self.market, self.linked, ticket, command["side"])

    def take_turn(self, command: Row) -> None:
        """It "takes fills without a linked order, of its side, oldest first, up to its count"; a
        close "up to its count if it has one, and to what the trade bought and has not closed"."""
        ticket = self.belongs[command["command_id"]]
        rest = None if command["count"] is None else Fraction(command["count"])
        if command["kind"] == "close":
            bought = self.total(ticket, "open") - self.total(ticket, "close")
            rest = bought if rest is None else min(rest, bought)
        assert rest is not None
        for fill in self.market.fills:
            if self.link(fill) is None and fill["side"] == command["side"]:
                rest -= self.give(fill, rest, ticket, command["kind"], command["command_id"])

    def keep_what_is_over(self) -> None:
        """Rule: "The part of each fill that belongs to no trade, with the reason"."""
        for fill in self.market.fills:
            if self.left[fill["trade_id"]] > 0:
                over = self.left[fill["trade_id"]]
                self.parts.append(Part(fill, over, reason=self.reason(fill)))

    def reason(self, fill: Row) -> str:
        if self.link(fill) is not None:
            return TOO_MUCH
        return NO_ORDER if fill["order_id"] is None else NO_TRADE
