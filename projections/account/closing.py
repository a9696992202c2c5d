"""Which trade each close command closes, and which closes came to nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from projections.account.market import Command, MarketFacts, Outcome

_FAILURES = frozenset({"close_failed", "order_rejected"})

Closes = Mapping[str, list[Command]]


def closes_of_trades(facts: MarketFacts) -> Closes:
    """The close commands of each ticket, in their order."""
    assignment = _Assignment(facts)
    closes = (one for one in facts.commands if one.kind == "close")
    for close in sorted(closes, key=lambda one: one.rank):
        assignment.take(close)
    return assignment.closes


def has_failed(close: Command, ticket: str, facts: MarketFacts, by: datetime | None = None) -> bool:
    """Whether a close of this ticket came to nothing, by a time where one is given."""
    return any(
        _fails(outcome, close, ticket)
        for outcome in _about(close, ticket, facts)
        if by is None or outcome.time <= by
    )


def _about(close: Command, ticket: str, facts: MarketFacts) -> Iterator[Outcome]:
    yield from facts.outcomes_of_command.get(close.command_id, ())
    yield from facts.outcomes_of_ticket.get(close.ticket_id, ())
    if ticket != close.ticket_id:
        yield from facts.outcomes_of_ticket.get(ticket, ())


def _fails(outcome: Outcome, close: Command, ticket: str) -> bool:
    if outcome.kind not in _FAILURES:
        return False
    if outcome.command_id is not None:
        return outcome.command_id == close.command_id
    if outcome.time < close.time:
        return False
    if outcome.kind == "order_rejected":  # without a command it means the opening order
        return outcome.ticket_id == close.ticket_id != ticket
    return outcome.ticket_id in {close.ticket_id, ticket}


class _Assignment:
    """Takes closes in their order. A legacy one has a ticket of its own, and goes by side."""

    def __init__(self, facts: MarketFacts) -> None:
        self.closes: dict[str, list[Command]] = defaultdict(list)
        self._facts = facts
        #: The closes of each ticket that have not failed by the time of the last one taken.
        self._pending: dict[str, list[Command]] = defaultdict(list)
        #: For each side the trades that may be open at some time, oldest first.
        self._waiting: dict[str | None, dict[str, datetime]] = {"yes": {}, "no": {}}
        oldest_first = sorted((opened.time, ticket) for ticket, opened in facts.tickets.items())
        for time, ticket in oldest_first:
            self._waiting[facts.tickets[ticket].side][ticket] = time

    def take(self, close: Command) -> None:
        """Give a close to its trade, if there is one."""
        ticket = self._trade_of(close)
        if ticket is None:
            return
        self.closes[ticket].append(close)
        self._pending[ticket].append(close)
        if not has_failed(close, ticket, self._facts):
            # It is pending for ever: no later close finds this trade open.
            self._waiting[self._facts.tickets[ticket].side].pop(ticket, None)

    def _trade_of(self, close: Command) -> str | None:
        if close.ticket_id in self._facts.tickets:
            return close.ticket_id
        if close.origin != "legacy":
            return None
        other = "no" if close.side == "yes" else "yes"
        for ticket, time in self._waiting[other].items():
            if time > close.time:
                break
            if not self._is_pending(ticket, close.time):
                return ticket
        return self._closed_last(other, close.time)

    def _is_pending(self, ticket: str, at: datetime) -> bool:
        self._pending[ticket] = [
            one for one in self._pending[ticket] if not has_failed(one, ticket, self._facts, by=at)
        ]
        return bool(self._pending[ticket])

    def _closed_last(self, side: str, at: datetime) -> str | None:
        """Of the trades of a side that were asked for by then, the one that got a close last."""
        return max(
            (
                ticket
                for ticket in self.closes
                if self._facts.tickets[ticket].side == side
                and self._facts.tickets[ticket].time <= at
            ),
            key=lambda ticket: self.closes[ticket][-1].rank,
            default=None,
        )
