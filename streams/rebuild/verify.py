"""`tape verify`: a generation built beside the live one, and compared with it at the same point."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import IsolationLevel, sql

from projections import PROJECTIONS, checkpoint, generation
from projections.base import Connection, Partition, Projection
from projections.builder import Builder
from projections.comparison import Compared, Difference, compare
from projections.database import connect
from projections.errors import Refusal
from projections.generation import schema_name
from streams.errors import UserError
from streams.events.types import LAST_TIME, moment
from streams.log import LogReader
from streams.rebuild.alone import alone, clean, drop
from streams.rebuild.building import Reporter, build
from streams.rebuild.catching_up import Follower
from streams.rebuild.explain import Question, explain
from streams.rebuild.faults import explaining
from streams.rebuild.history import lacking
from streams.rebuild.source import Source, find_source
from streams.settings import Endpoints
from streams.tracing import Place

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a comparison found: the live generation, the positions at which both stood, each table,
    the first row that differs, and where the record behind it stands.

    That is the record that made the row what it is: as rebuilt, or, of a row that only live has, as
    live says. None where none leads to it.
    """

    projection: str
    generation: int
    positions: Mapping[Partition, int]
    tables: Sequence[Compared]
    first: Difference | None
    record: Place | None
    seconds: float


async def verify(
    name: str, at: Endpoints, reporter: Reporter, sample: Sequence[int] | None = None
) -> Verified:
    """Build beside the live generation, as far as it is, and compare. Changes nothing that is live.

    `sample` as for projections.comparison.compare.

    Raises UserError for what is wrong with the surroundings, Refusal where the live tables are of
    another version of the projection, or the history is not whole.
    """
    began = time.monotonic()
    projection = PROJECTIONS[name]()
    with explaining(name):
        async with alone(name, at.dsn) as control:
            await clean(control, name)
            current, positions = await _positions(control, projection)
            live = await checkpoint.standing(control, name)
            source = await find_source(projection, at)
            if gap := lacking(projection, live, source):
                raise Refusal(f"{'; '.join(gap.sentences)}. What is left cannot be compared")
            number = await generation.begin(control, projection, "verify")
            try:
                async with Builder(
                    projection, at.dsn, number, accepts_dead_letters=True
                ) as builder:
                    await build(builder, source.up_to(positions), reporter)
                    await builder.close_like(schema_name(name, current))
                    found = await _compare(builder, source, at, reporter, sample)
            finally:
                reporter.phase("dropping")
                await drop(control, name, number)
        current, positions, tables, first, keys = found
        record = None if first is None else await _place_of(projection, first, keys, at)
    seconds = time.monotonic() - began
    return Verified(name, current, positions, tables, first, record, seconds)


async def _positions(
    connection: Connection, projection: Projection[Any]
) -> tuple[int, dict[Partition, int]]:
    """The live generation and its checkpoints."""
    name = projection.name
    current = await checkpoint.current_generation(connection, name, projection.version)
    found = await checkpoint.read(connection, name, current)
    return current, {source: one.next_offset for source, one in found.items()}


async def _compare(
    builder: Builder,
    source: Source,
    at: Endpoints,
    reporter: Reporter,
    sample: Sequence[int] | None,
) -> tuple[int, dict[Partition, int], list[Compared], Difference | None, Sequence[str]]:
    """Catch up with a snapshot of the live generation, and compare with that.

    Also gives the first difference, and the Kafka keys of its row.
    """
    projection = builder.projection
    name = projection.name
    async with LogReader.open(at) as reader, _snapshot(at.dsn, name) as live:
        current, positions = await _positions(live, projection)
        if new := positions.keys() - builder.claims.keys():
            raise UserError(
                f"{name}: {', '.join(map(str, sorted(new)))} came meanwhile; run it again"
            )
        reporter.phase("catching up")
        await Follower(builder, reader).up_to(positions)
        reporter.phase("comparing")
        async with await connect(at.dsn, f"{name} rebuild comparison", {"jit": "off"}) as built:
            schemas = schema_name(name, current), schema_name(name, builder.generation)
            since = None if projection.keeps_days is None else await _begin(source, reader)
            tables = await compare(live, built, projection, schemas, sample, since)
            first = next((one for table in tables for one in table.first), None)
            keys = []
            if first is not None:
                side = (live, schemas[0]) if first.rebuilt is None else (built, schemas[1])
                keys = await _kafka_keys(*side, projection, first)
    return current, positions, tables, first, keys


async def _begin(source: Source, reader: LogReader) -> datetime:
    """From when on (append time) the log has all records: of a log that begins late, the first
    moment after that of its first record. Never, where it is empty."""
    begins = []
    for part, (first, until) in source.bounds.items():
        async for batch, *_ in reader.read({part: first}, {part: min(until, first + 1)}, 1):
            begins.append(batch.records[0].timestamp + bool(first))
    return moment(max(begins) * 1000) if begins else moment(LAST_TIME)


async def _kafka_keys(
    connection: Connection, schema: str, projection: Projection[Any], first: Difference
) -> list[str]:
    query = sql.SQL("select {} from {} where {}").format(
        sql.SQL(projection.kafka_keys[first.table]),
        sql.Identifier(schema, first.table),
        sql.SQL(" and ").join(
            sql.SQL("{} = %s").format(sql.Identifier(name)) for name in first.key
        ),
    )
    rows = await (await connection.execute(query, list(first.key.values()))).fetchall()
    return [key for (key,) in rows]


async def _place_of(
    projection: Projection[Any], first: Difference, keys: Sequence[str], at: Endpoints
) -> Place | None:
    """A row of facts says it itself; of any other, the log is asked."""
    row = first.live if first.rebuilt is None else first.rebuilt
    if row is not None and "offset" in row:
        return Place(row.get("topic", projection.topics[0]), row["partition"], row["offset"])
    key = [f"{name}={value}" for name, value in first.key.items()]
    try:
        found = await explain(Question(first.table, key, keys), 1, at, lambda *_: None)
    except UserError:
        return None  # what was found so far is worth more than this
    if not found.events:
        return None
    source = found.events[0].source
    return Place(source.topic, source.partition, found.events[0].offset)


@asynccontextmanager
async def _snapshot(dsn: str, name: str) -> AsyncIterator[Connection]:
    """A connection in a transaction whose statements all see the same moment."""
    async with await connect(dsn, f"{name} rebuild snapshot", {"jit": "off"}) as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            yield connection
