"""`tape explain` and `tape at`: a row's records, written to tables that nobody else sees.

Read-only for the live tables. Records are taken in log order of each partition and across
partitions by append time, which is roughly how a live worker met them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import DataError, sql

from projections import PROJECTIONS, checkpoint
from projections.base import Connection, Partition, Projection
from projections.changes import Change, newest_changes, write_all
from projections.database import connect
from projections.generation import schema_name
from projections.row import Column, Row, RowKey, kafka_key, key_columns, look, related_keys
from projections.scratch import scratch
from streams.errors import UserError
from streams.events.types import moment
from streams.log import Bounds, LogReader
from streams.rebuild.faults import explaining
from streams.rebuild.selection import Moved, Selection, select
from streams.rebuild.source import Source, find_source
from streams.settings import Endpoints

__all__ = ["Event", "Explanation", "Known", "Question", "explain", "row_at"]

#: Columns that tell where a row came from: an event has its own place beside it.
AUDIT = frozenset({"topic", "partition", "offset"})


@dataclass(frozen=True, slots=True)
class Question:
    """Which row: its table, its key as `read_key` takes it, and Kafka keys that the user names."""

    table: str
    key: Sequence[str]
    kafka_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A record that changed the row, and the row before and after; None where there was none."""

    source: Partition
    offset: int
    appended: datetime
    type: str
    id: str
    before: Row | None
    after: Row | None

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Of each column that changed the old value and the new one."""
        before, after = self.before or {}, self.after or {}
        names = after or before
        return {
            name: (before.get(name), after.get(name))
            for name in names
            if name not in AUDIT and before.get(name) != after.get(name)
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What was read to answer: so many records of the topics, so many of these Kafka keys.

    `begins_late` are partitions whose first records the log no longer has.
    """

    projection: str
    key: str
    kafka_keys: Sequence[str]
    topics: Sequence[str]
    scanned: int
    records: int
    begins_late: Sequence[Partition]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The events, oldest first; `are_all` tells whether there are older ones than these.

    `differs` are the columns in which the live row is not what the log makes of it.
    """

    known: Known
    events: Sequence[Event]
    are_all: bool
    row: Row | None
    differs: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Live:
    """The row as the live tables have it, and how far these are."""

    key: RowKey
    row: Row | None
    kafka_keys: Sequence[str]
    checkpoints: Mapping[Partition, int]


async def explain(question: Question, limit: int, at: Endpoints, moved: Moved) -> Explanation:
    """The newest events that changed a row, as far as the live tables have come.

    Raises UserError for what is wrong with the question or the surroundings.
    """
    kind = _projection_of(question.table)
    with explaining(kind.name):
        live = await _find_live(kind, question, at)
        source = await find_source(kind(), at)
        untils = {
            part: min(until, max(first, live.checkpoints.get(part, first)))
            for part, (first, until) in source.bounds.items()
        }
        async with _selected(kind, live, source, untils, at, moved) as (found, known):
            async with scratch(kind, at.dsn) as tables:
                changes = await newest_changes(tables, found, live.key, limit + 1)
                # The newest is found first, so it tells of the row at the end.
                row = changes[0].after if changes else None
            events = [_event(found, change) for change in reversed(changes[:limit])]
    differs = _differing(kind, live.row, row)
    return Explanation(known, events, len(changes) <= limit, row, differs)


async def row_at(
    question: Question, time: datetime, at: Endpoints, moved: Moved
) -> tuple[Known, Row | None]:
    """A row as the records make it that were appended up to a time; None where it was not there.

    Raises as `explain`.
    """
    kind = _projection_of(question.table)
    with explaining(kind.name):
        live = await _find_live(kind, question, at)
        source = await find_source(kind(), at)
        last = int(time.timestamp() * 1000)
        async with LogReader.open(at) as reader:
            ends = await reader.offsets_at(set(source.bounds), last + 1)
        untils = {part: max(first, ends[part]) for part, (first, _) in source.bounds.items()}
        async with (
            _selected(kind, live, source, untils, at, moved, last) as (found, known),
            scratch(kind, at.dsn) as tables,
        ):
            await write_all(tables, found)
            return known, (await tables.look(live.key)).row


def _projection_of(table: str) -> type[Projection[Any]]:
    for projection in PROJECTIONS.values():
        if table in projection.kafka_keys:
            return projection
    known = sorted(name for one in PROJECTIONS.values() for name in one.kafka_keys)
    raise UserError(f"no table {table!a} has rows that come from events; {', '.join(known)} have")


async def _find_live(kind: type[Projection[Any]], question: Question, at: Endpoints) -> _Live:
    projection = kind()
    async with (
        await connect(at.dsn, f"{kind.name} explain", {}) as connection,
        connection.transaction(),
    ):
        await connection.execute("set transaction isolation level repeatable read")
        generation = await checkpoint.current_generation(connection, kind.name, kind.version)
        await connection.execute(
            sql.SQL("set local search_path to {}").format(
                sql.Identifier(schema_name(kind.name, generation))
            )
        )
        key = read_key(question, await key_columns(connection, question.table))
        try:
            row = (await look(connection, key)).row
        except DataError as error:
            raise UserError(f"{key}: {str(error).splitlines()[0]}") from None
        keys = await _kafka_keys(connection, projection, question, key, exists=row is not None)
        reached = await checkpoint.read(connection, kind.name, generation)
    return _Live(key, row, keys, {part: one.next_offset for part, one in reached.items()})


async def _kafka_keys(
    connection: Connection,
    projection: Projection[Any],
    question: Question,
    key: RowKey,
    *,
    exists: bool,
) -> list[str]:
    own = await kafka_key(connection, projection, key, exists=exists)
    named = {*question.kafka_keys, *([] if own is None else [own])}
    if not named:
        raise UserError(
            f"there is no row {key}, and its key does not tell the Kafka key of its records: give"
            f" it with --kafka-key ({projection.kafka_keys[key.table]})"
        )
    return sorted(named | await related_keys(connection, projection, sorted(named)))


def read_key(question: Question, columns: Sequence[Column]) -> RowKey:
    """The key from values in the order of its columns, or from `column=value` in any order.

    Raises UserError, which says what the key is.
    """
    if unfit := [text for text in (*question.key, *question.kafka_keys) if not text.isprintable()]:
        raise UserError(f"{unfit[0]!a} is no part of a key")
    names = [column.name for column in columns]
    pairs = [text.partition("=") for text in question.key]
    if all(name in names and sign for name, sign, _ in pairs):
        given = {name: value for name, _, value in pairs}
        is_whole = len(pairs) == len(names)
    else:
        given = dict(zip(names, question.key, strict=False))
        is_whole = len(question.key) == len(names)
    if not is_whole or len(given) != len(names):
        key = ", ".join(f"{column.name} ({column.type})" for column in columns)
        raise UserError(
            f"the key of {question.table} is {key}: give its values in this order, or as"
            " column=value"
        )
    return RowKey(question.table, {column: given[column.name] for column in columns})


@asynccontextmanager
async def _selected(
    kind: type[Projection[Any]],
    live: _Live,
    source: Source,
    untils: Mapping[Partition, int],
    at: Endpoints,
    moved: Moved,
    appended_by: int | None = None,
) -> AsyncIterator[tuple[Selection, Known]]:
    starts = {part: first for part, (first, _) in source.bounds.items()}
    with Selection(source.bounds) as found:
        async with LogReader.open(at) as reader:
            keys = [key.encode() for key in live.kafka_keys]
            await select(reader, starts, untils, keys, found, moved, appended_by)
        found.arrange()
        yield (
            found,
            Known(
                projection=kind.name,
                key=str(live.key),
                kafka_keys=live.kafka_keys,
                topics=sorted(source.topic_ids),
                scanned=sum(untils[part] - starts[part] for part in untils),
                records=len(found),
                begins_late=_begin_late(source.bounds),
            ),
        )


def _begin_late(bounds: Mapping[Partition, Bounds]) -> list[Partition]:
    return sorted(part for part, (first, _) in bounds.items() if first > 0)


def _event(found: Selection, change: Change) -> Event:
    (batch,) = found.read(change.place, change.place + 1)
    (record,) = batch.records
    attributes = dict(record.headers)
    kind, id_ = (attributes.get(name) or b"" for name in ("ce_type", "ce_id"))
    return Event(
        source=batch.source,
        offset=record.offset,
        appended=moment(record.timestamp * 1000),
        type=kind.decode(errors="backslashreplace"),
        id=id_.decode(errors="backslashreplace"),
        before=change.before,
        after=change.after,
    )


def _differing(kind: type[Projection[Any]], live: Row | None, made: Row | None) -> list[str]:
    names = live or made or {}
    return [
        name
        for name in names
        if name not in kind.uncompared and (live or {}).get(name) != (made or {}).get(name)
    ]
