"""`tape verify`: a generation built beside the live one, and compared with it at the same point."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import IsolationLevel

from projections import PROJECTIONS, checkpoint, generation
from projections.base import Connection, Partition, Projection
from projections.builder import Builder
from projections.comparison import Compared, Difference, compare
from projections.database import connect
from projections.generation import schema_name
from streams.log import LogReader
from streams.rebuild.alone import alone, clean, drop
from streams.rebuild.building import Reporter, build
from streams.rebuild.catching_up import Follower
from streams.rebuild.faults import explaining
from streams.rebuild.source import find_source
from streams.settings import Endpoints

__all__ = ["Place", "Verified", "place_of", "verify"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log the record behind a row stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a comparison found: the live generation, the positions at which both stood, and each
    table."""

    projection: str
    generation: int
    positions: Mapping[Partition, int]
    tables: Sequence[Compared]
    seconds: float

    @property
    def first(self) -> Difference | None:
        """The first row that differs."""
        return next((one for table in self.tables for one in table.first), None)


async def verify(name: str, at: Endpoints, reporter: Reporter) -> Verified:
    """Build beside the live generation, as far as it is, and compare. Changes nothing that is live.

    Raises UserError for what is wrong with the surroundings, Refusal where the live tables are of
    another version of the projection.
    """
    began = time.monotonic()
    projection = PROJECTIONS[name]()
    with explaining(name):
        source = await find_source(projection, at)
        async with alone(name, at.dsn) as control:
            await clean(control, name)
            current, positions = await _positions(control, projection)
            number = await generation.begin(control, projection, "verify")
            try:
                async with Builder(projection, at.dsn, number) as builder:
                    await build(builder, source.up_to(positions), reporter)
                    await builder.close_like(schema_name(name, current))
                    found = await _compare(builder, at, reporter)
            finally:
                reporter.phase("dropping")
                await drop(control, name, number)
    current, positions, tables = found
    return Verified(name, current, positions, tables, time.monotonic() - began)


async def _positions(
    connection: Connection, projection: Projection[Any]
) -> tuple[int, dict[Partition, int]]:
    """The live generation and its checkpoints."""
    name = projection.name
    current = await checkpoint.current_generation(connection, name, projection.version)
    found = await checkpoint.read(connection, name, current)
    return current, {source: one.next_offset for source, one in found.items()}


async def _compare(
    builder: Builder, at: Endpoints, reporter: Reporter
) -> tuple[int, dict[Partition, int], list[Compared]]:
    """Catch up with a snapshot of the live generation, and compare with that."""
    projection = builder.projection
    name = projection.name
    async with LogReader.open(at) as reader, _snapshot(at.dsn, name) as live:
        current, positions = await _positions(live, projection)
        reporter.phase("catching up")
        await Follower(builder, reader).up_to(positions)
        reporter.phase("comparing")
        async with await connect(at.dsn, f"{name} rebuild comparison", {"jit": "off"}) as built:
            schemas = schema_name(name, current), schema_name(name, builder.generation)
            tables = await compare(live, built, projection, schemas)
    return current, positions, tables


@asynccontextmanager
async def _snapshot(dsn: str, name: str) -> AsyncIterator[Connection]:
    """A connection in a transaction whose statements all see the same moment."""
    async with await connect(dsn, f"{name} rebuild snapshot", {"jit": "off"}) as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            yield connection


def place_of(difference: Difference) -> Place | None:
    """The record behind the row: as rebuilt, or as live for an extra row; None where the row does
    not say."""
    row = difference.live if difference.rebuilt is None else difference.rebuilt
    if row is None or row.get("offset") is None:
        return None
    return Place(row.get("topic", ""), row["partition"], row["offset"])
