"""Projecting prices, and what then lies in their tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from projections.base import Batch
from projections.prices import Prices
from projections.unit import Projector
from streams.events import Event
from tests.projections.logs import NOON, claim, cut, empty, log_of, rows

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SIXTY_DAYS = 60 * 86_400_000_000


def micros(time: datetime) -> int:
    """Reckoned here, apart from the code under test."""
    return (time - EPOCH) // MICROSECOND


def reset(dsn: str) -> None:
    names = [name for name in Prices.tables if name != "price_months"]
    empty(dsn, *(f"prices_1.{name}" for name in names))


async def project(dsn: str, batches: Iterable[Batch], units: Sequence[int] = ()) -> None:
    """Project records in units of these lengths, by a fresh process."""
    records = [record for batch in batches for record in batch.records]
    projector = Projector(Prices(), dsn)
    start = await claim(projector)
    for unit in cut([r for r in records if r.offset >= start], units):
        await projector.commit([unit])
    await projector.close()


def run(dsn: str, events: Iterable[Event], units: Sequence[int] = (), appended: int = NOON) -> None:
    asyncio.run(project(dsn, [log_of(events, appended_ms=appended * 1000)], units))


def tables(dsn: str) -> dict[str, list[Any]]:
    """Everything that the projection wrote, in a comparable order."""
    names = [name for name in Prices.tables if name != "price_months"]
    return {
        name: sorted(
            ({k: str(v) for k, v in row.items()} for row in rows(dsn, name)),
            key=lambda row: sorted(row.items()),
        )
        for name in names
    }
