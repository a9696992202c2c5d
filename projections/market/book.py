"""An order book, folded forward message by message in offset order. Pure.

Snapshots replace it, deltas move one level. It is never silently wrong: where a message may be
missing it is not valid, and takes no delta until its next snapshot. The rules: docs/markets.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import lru_cache

from streams.events import BookDelta, BookSnapshot, MarketGap
from streams.events.types import plain

#: (venue, ticker)
MarketKey = tuple[str, str]
#: Contracts wanted by price, as they are stored: plain text, prices without trailing zeros. Most
#: levels of a book are read and written more often than they change.
Levels = dict[str, str]

#: More digits than the sum of a level's deltas can have.
_EXACT = Context(prec=60)
#: Prices come again and again: to look one up takes a fifth of the time.
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Lost:
    """A record of this market that could not be projected, and that may have been its book's.

    `at` is when it was appended, microseconds since 1970 UTC.
    """

    venue: str
    ticker: str
    at: int
    reason: str


Message = BookSnapshot | BookDelta | MarketGap | Lost


@dataclass(slots=True)
class Book:
    """A market's book; times in microseconds since 1970 UTC. `invalid_since` is null while valid.

    `connection`, `opened`, `sid` are those of its last snapshot; `seq`, `clock`, `time` and
    `received` of the last message that it took.
    """

    connection: str
    opened: int
    sid: int
    seq: int
    clock: int | None
    time: int
    received: int
    invalid_since: int | None = None
    reason: str | None = None
    yes: Levels = field(default_factory=dict)
    no: Levels = field(default_factory=dict)

    def take(self, delta: BookDelta) -> bool:
        """Take a delta of this connection and subscription, or nothing. Returns whether it did.

        One that does not follow the last message makes the book invalid, and so does one that
        takes more away than there was.
        """
        if (
            self.invalid_since is not None
            or delta.seq <= self.seq
            or delta.sid != self.sid
            or delta.connection != self.connection
        ):
            return False
        if delta.previous != self.seq:
            return self.invalidate(
                delta.time,
                f"message {delta.seq} follows {delta.previous}, but the last one taken"
                f" was {self.seq}",
            )
        levels = self.yes if delta.side == "yes" else self.no
        price = level(delta.price)
        size = _EXACT.add(Decimal(levels.get(price, "0")), delta.delta)
        if size < 0:
            return self.invalidate(
                delta.time,
                f"message {delta.seq} leaves {plain(size)} contracts of {delta.side} at {price}",
            )
        if size:
            levels[price] = plain(size)
        else:
            levels.pop(price, None)
        self.seq, self.clock = delta.seq, delta.clock
        self.time, self.received = delta.time, delta.received
        return True

    def is_told_of(self, gap: MarketGap) -> bool:
        """Whether a gap is of this book's connection, and not one that a snapshot has closed."""
        if gap.connection != self.connection:
            return False
        return gap.sid != self.sid or gap.got is None or gap.got > self.seq

    def invalidate(self, since: int, reason: str) -> bool:
        """Messages may be missing. Returns whether that is news."""
        if self.invalid_since is not None:
            return False
        self.invalid_since, self.reason = since, reason
        return True


@lru_cache(maxsize=_REMEMBERED)
def level(price: Decimal) -> str:
    """The text by which a price is known: plain, without trailing zeros."""
    return plain(_EXACT.normalize(price))


def fold(books: dict[MarketKey, Book], messages: Iterable[Message]) -> set[MarketKey]:
    """Fold messages, in offset order, into the books; returns the markets whose book changed."""
    changed = set()
    for message in messages:
        key = message.venue, message.ticker
        book = books.get(key)
        if isinstance(message, BookDelta):
            if book is not None and book.take(message):
                changed.add(key)
        elif isinstance(message, BookSnapshot):
            if book is None or _is_newer(message, book):
                books[key] = _of(message)
                changed.add(key)
        elif book is not None and _breaks(message, book):
            changed.add(key)
    return changed


def _is_newer(snapshot: BookSnapshot, book: Book) -> bool:
    """Whether it is neither of an earlier connection nor one that this subscription is past."""
    if snapshot.connection == book.connection and snapshot.sid == book.sid:
        return snapshot.seq > book.seq
    return snapshot.opened >= book.opened


def _of(snapshot: BookSnapshot) -> Book:
    return Book(
        connection=snapshot.connection,
        opened=snapshot.opened,
        sid=snapshot.sid,
        seq=snapshot.seq,
        clock=snapshot.clock,
        time=snapshot.time,
        received=snapshot.received,
        yes=_levels(snapshot.yes),
        no=_levels(snapshot.no),
    )


def _levels(told: Iterable[tuple[Decimal, Decimal]]) -> Levels:
    return {level(price): plain(size) for price, size in told if size}


def _breaks(message: MarketGap | Lost, book: Book) -> bool:
    if isinstance(message, Lost):
        return book.invalidate(message.at, message.reason)
    return book.is_told_of(message) and book.invalidate(message.received, message.reason)
