"""What services tell of themselves, and records of it as the log has them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import psycopg

from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.health import Health
from projections.unit import Projector
from streams.events import Event, Heartbeat, Incident, Restart
from tests.projections.health.reference import AUDIT, Row
from tests.projections.logs import NOON, TOPIC_ID, empty, record_of, rows

HEALTH = Partition("system.health", 0)
START = NOON * 1_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND
TABLES = [name for name in Health.tables if name != "health_kept"]


def beat(at: int = 0, **fields: Any) -> Heartbeat:
    """A heartbeat `at` microseconds after noon."""
    values: dict[str, Any] = {
        "service": "producer/coinbase",
        "instance": "host/1/1",
        "state": "connected",
        "since": START,
        "detail": None,
        "last_frame": None,
        "frames": 10,
        "frames_per_second": Decimal("1.50"),
        "events": 9,
        "reconnects": 0,
        "gaps": 0,
        "unparsed": 0,
        "clock_skew": -5,
        "cpu_percent": Decimal("3.5"),
        "memory_bytes": 1_000_000,
        "time": START + at,
    }
    return Heartbeat(**{**values, **fields})


def restart(at: int = 0, **fields: Any) -> Restart:
    values: dict[str, Any] = {
        "service": "process/worker-1",
        "supervisor": "tape-up",
        "action": "restarted",
        "reason": "SIGKILL",
        "restarts": 1,
        "pause_ms": 500,
        "time": START + at,
    }
    return Restart(**{**values, **fields})


def incident(at: int = 0, **fields: Any) -> Incident:
    values: dict[str, Any] = {
        "incident": "feed/coinbase@1",
        "action": "opened",
        "severity": "warning",
        "cause": "feed/coinbase",
        "title": "coinbase sends nothing",
        "detail": None,
        "symptoms": ("no frame for 60 s",),
        "opened": START,
        "closed": None,
        "time": START + at,
        "service": "monitor",
    }
    return Incident(**{**values, **fields})


def batch_of(told: Iterable[tuple[Event, int]], first: int = 0) -> Batch:
    """Events and their append times (ms), from offset `first` on."""
    records = [record_of(event, first + n, at) for n, (event, at) in enumerate(told)]
    return Batch(HEALTH, records)


def cut(batch: Batch, lengths: Iterable[int]) -> list[Batch]:
    """The same as units; what remains is the last one."""
    batches, rest = [], list(batch.records)
    for length in lengths:
        if rest[:length]:
            batches.append(Batch(HEALTH, rest[:length]))
        rest = rest[length:]
    return [*batches, Batch(HEALTH, rest)] if rest else batches


async def project(dsn: str, *units: Batch) -> None:
    projector = Projector(Health(), dsn)
    first = units[0].records[0].offset
    await projector.claim({HEALTH: LogStart(TOPIC_ID, first)})
    for unit in units:
        await projector.commit([unit])
    await projector.close()


def run(dsn: str, events: Sequence[Event], lengths: Iterable[int] = ()) -> None:
    """Project these, appended a second after noon."""
    batch = batch_of([(event, NOON * 1000 + 1000) for event in events])
    asyncio.run(project(dsn, *cut(batch, lengths)))


def reset(dsn: str) -> None:
    empty(dsn, *(f"health_1.{name}" for name in Health.tables))
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into health_1.health_kept values ('2009-01-01 00:00:00+00')")


def stored(dsn: str, table: str) -> list[Row]:
    """The rows of a table, without what tells where they came from."""
    return [
        {name: value for name, value in row.items() if name not in AUDIT}
        for row in rows(dsn, table)
    ]


def contents(dsn: str) -> dict[str, list[str]]:
    """All that is stored, in an order of its own."""
    return in_order({name: stored(dsn, name) for name in TABLES})


def in_order(tables: dict[str, list[Row]]) -> dict[str, list[str]]:
    """Rows as text, comparable."""
    return {
        name: sorted(str(sorted(row.items(), key=lambda item: item[0])) for row in found)
        for name, found in tables.items()
    }
