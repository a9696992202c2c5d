"""Projecting account events, and what then lies in the tables of `account`."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from projections.account import Account
from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.unit import Projector
from streams.events import Event
from tests.projections.logs import LogRecord, empty, record_of

PARTITIONS = 2
#: After every event of the tests, so that none is more than a day ahead.
APPENDED_MS = 4_000_000_000_000
_AUDIT = {"topic", "partition", "offset"}

#: Tables that the reference makes too.
COMPARED = (
    *("commands", "trade_events", "fills", "orders", "position_facts", "settlements", "balances"),
    *("transfers", "snapshots", "trades", "trade_closes", "trade_fills", "positions"),
    "cash_flows",
)

Table = list[dict[str, Any]]


def source_of(event: Event) -> Partition:
    """The partition that an event's key leads to."""
    return Partition(event.topic, crc32(event.key().encode()) % PARTITIONS)


def units_of(events: Sequence[Event], lengths: Iterable[int] = ()) -> list[list[Batch]]:
    """The events cut into units of work of these lengths; what remains is the last one."""
    ends: dict[Partition, int] = defaultdict(int)
    units, at = [], 0
    for length in [*lengths, len(events)]:
        unit: dict[Partition, list[LogRecord]] = defaultdict(list)
        for event in events[at : at + length]:
            source = source_of(event)
            unit[source].append(record_of(event, ends[source], APPENDED_MS))
            ends[source] += 1
        units.append([Batch(source, records) for source, records in unit.items()])
        at += length
    return [unit for unit in units if unit]


def starts(units: Iterable[Sequence[Batch]]) -> dict[Partition, LogStart]:
    """For a claim of the partitions of these units, from their beginnings."""
    sources = {batch.source for unit in units for batch in unit}
    return {source: LogStart(_topic_id(source.topic), 0) for source in sources}


def _topic_id(topic: str) -> str:
    """As the broker gives them: each topic has its own."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, topic))


async def project(dsn: str, events: Sequence[Event], lengths: Iterable[int] = ()) -> None:
    """Project events in units of these lengths, by one worker."""
    units = units_of(events, lengths)
    projector = Projector(Account(), dsn)
    await projector.claim(starts(units))
    for unit in units:
        await projector.commit(unit)
    await projector.close()


def run(dsn: str, events: Sequence[Event], lengths: Iterable[int] = ()) -> None:
    """The same, outside of an event loop."""
    asyncio.run(project(dsn, events, lengths))


def reset(dsn: str) -> None:
    """Empty everything: the next example starts from nothing."""
    empty(dsn, *(f"account_1.{name}" for name in Account.tables))


def rows(dsn: str, table: str) -> Table:
    """All rows of a table or view, without where they came from."""
    with psycopg.connect(dsn, options="-c timezone=UTC", row_factory=dict_row) as connection:
        found = connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))
        return [{k: v for k, v in row.items() if k not in _AUDIT} for row in found]


def row(dsn: str, table: str) -> dict[str, Any]:
    """The only row of a table or view."""
    (only,) = rows(dsn, table)
    return only


def tables(dsn: str) -> dict[str, Table]:
    """Everything that the reference makes too, in a comparable order."""
    return {name: ordered(rows(dsn, name)) for name in COMPARED}


def ordered(table: Iterable[Mapping[str, Any]]) -> Table:
    """Rows in an order that depends on nothing but them."""
    return sorted((dict(row) for row in table), key=_text)


def _text(row: Mapping[str, Any]) -> str:
    return repr([(name, _canonical(value)) for name, value in sorted(row.items())])


def _canonical(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value.normalize(), "f")
        case datetime():
            return value.timestamp()
        case _:
            return value
