"""The dummy projection under watch, and what its tables hold.

Its table has no key, so a record projected twice, or not at all, shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from projections.base import Connection, Partition, Projection, Recorded
from projections.deadletter import Limits
from projections.unit import Projector
from streams.events import Event
from tests.projections.dummy.tally import Tally
from tests.projections.logs import LogRecord, record_of, rows, trade, unreadable

OTHER = Partition("price.ticks", 1)
HUGE = Decimal("9" * 20)  # no numeric(20, 2) holds it
FORBIDDEN = Decimal(1000)  # a check of the table refuses it


class Watched(Tally):
    """The dummy projection, with what a test does as its write begins."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.before_write: Callable[[Connection, int], Awaitable[None]] | None = None

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        self.writes.append(len(facts))
        if self.before_write is not None:
            await self.before_write(connection, len(facts))
        for fact in facts:
            if getattr(fact.event, "trade_id", "") == "raises":
                raise KeyError("a fault of the projection's own code")
        await super().write(connection, facts)


@asynccontextmanager
async def opened(
    dsn: str, projection: Projection[Any] | None = None, limits: Limits | None = None
) -> AsyncIterator[Projector]:
    """A projector, closed at the end."""
    projector = Projector(projection or Watched(), dsn, limits)
    try:
        yield projector
    finally:
        await projector.close()


def ids(dsn: str) -> list[str]:
    return [row["trade_id"] for row in rows(dsn, "tally_trades")]


def numbers(dsn: str) -> list[int]:
    return sorted(int(name) for name in ids(dsn))


def dead(dsn: str) -> list[int]:
    return [row["offset"] for row in rows(dsn, "dead_letters", 'partition, "offset"')]


def position(dsn: str) -> tuple[int, int]:
    (row,) = rows(dsn, "checkpoints")
    return row["next_offset"], row["epoch"]


def records_of(events: Iterable[Event], bad: Container[int]) -> list[LogRecord]:
    """Records of these events; those at the offsets `bad` cannot be read."""
    records = [record_of(event, offset) for offset, event in enumerate(events)]
    return [unreadable(record) if record.offset in bad else record for record in records]


def some_log(count: int) -> list[LogRecord]:
    """Trades; every seventh cannot be read, every eleventh does not fit the table."""
    return records_of(
        (
            trade(n, price=HUGE)
            if n % 11 == 5
            else trade(n, size=FORBIDDEN)
            if n % 11 == 9
            else trade(n)
            for n in range(count)
        ),
        bad=range(3, count, 7),
    )


def good_of(count: int) -> list[int]:
    """The offsets of `some_log` that can be projected."""
    return [n for n in range(count) if n % 7 != 3 and n % 11 not in {5, 9}]
