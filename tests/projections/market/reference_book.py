"""Order books as docs/markets.md says, in the plainest way: one message after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from streams.events import BookDelta, BookEvent, BookSnapshot, Event, MarketGap
from tests.projections.logs import NOON
from tests.projections.market.projected import Unreadable

#: (side, price)
Place = tuple[str, Fraction]


@dataclass(frozen=True)
class State:
    """A book; `broken` is since when it is not valid, in microseconds."""

    last: BookEvent
    snapshot: BookSnapshot
    levels: dict[Place, Fraction]
    broken: int | None = None


def books(told: Iterable[Event | Unreadable]) -> dict[tuple[str, str], State]:
    found: dict[tuple[str, str], State] = {}
    for one in told:
        event = one.event if isinstance(one, Unreadable) else one
        assert isinstance(event, BookSnapshot | BookDelta | MarketGap)
        key = event.venue, event.ticker
        if key in found or (isinstance(event, BookSnapshot) and event is one):
            found[key] = after(found.get(key), one)
    return found


def after(book: State | None, one: Event | Unreadable) -> State:
    if book is None:
        assert isinstance(one, BookSnapshot)
        return State(one, one, levels_of(one))
    if isinstance(one, Unreadable):
        return broken(book, NOON * 1_000_000)
    if isinstance(one, BookSnapshot):
        return after_snapshot(book, one)
    if isinstance(one, BookDelta):
        return after_delta(book, one)
    assert isinstance(one, MarketGap)
    if one.connection != book.snapshot.connection:
        return book
    is_over = one.sid == book.snapshot.sid and one.got is not None and one.got <= book.last.seq
    return book if is_over else broken(book, one.received)


def after_snapshot(book: State, snapshot: BookSnapshot) -> State:
    if snapshot.opened < book.snapshot.opened:
        return book
    is_same = (snapshot.connection, snapshot.sid) == (book.snapshot.connection, book.snapshot.sid)
    if is_same and snapshot.seq <= book.last.seq:
        return book
    return State(snapshot, snapshot, levels_of(snapshot))


def after_delta(book: State, delta: BookDelta) -> State:
    is_same = (delta.connection, delta.sid) == (book.snapshot.connection, book.snapshot.sid)
    if not is_same or book.broken is not None or delta.seq <= book.last.seq:
        return book
    place = delta.side, Fraction(delta.price)
    size = book.levels.get(place, Fraction(0)) + Fraction(delta.delta)
    if delta.previous != book.last.seq or size < 0:
        return broken(book, delta.time)
    levels = {other: held for other, held in book.levels.items() if other != place}
    if size:
        levels[place] = size
    return replace(book, last=delta, levels=levels)


def broken(book: State, since: int) -> State:
    return book if book.broken is not None else replace(book, broken=since)


def levels_of(snapshot: BookSnapshot) -> dict[Place, Fraction]:
    sides = {"yes": snapshot.yes, "no": snapshot.no}
    return {
        (side, Fraction(price)): Fraction(size)
        for side, levels in sides.items()
        for price, size in levels
        if size
    }
