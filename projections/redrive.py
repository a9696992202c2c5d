"""Redrive: dead letters through the projection that refused them, behind all that came since.

One transaction for each: its row is locked, so that nobody else redrives it; the generation's row
is locked in share mode, so that no swap comes between; the checkpoint of its partition, so that no
live unit of that partition does. Then its rows are written, by the projection's own methods and
under its own locks, and it is marked as done. A kill anywhere undoes all of that, or nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import structlog

from projections import checkpoint
from projections.base import Batch, Connection, OutOfPlace, Partition, Projection
from projections.database import connect
from projections.deadletter import headers_of
from projections.decisions import Operator, record
from projections.errors import Refusal
from projections.faults import describe, is_data_fault, is_timeout
from projections.generation import schema_name
from projections.unit import LONGEST_TRANSACTION_MS, TRANSACTION_TIMEOUT_MS
from streams.events import DeadLettersRedriven
from streams.events.types import micros_of

log = structlog.get_logger(__name__)

_FIND = """
select topic, key, headers, value, appended
from public.dead_letters
where projection = %(projection)s and topic_id = %(topic_id)s and partition = %(partition)s
    and "offset" = %(offset)s and done is null
for update skip locked
"""
# A swap updates this row.
_HOLD_GENERATION = """
select from public.generations
where projection = %(projection)s and generation = %(generation)s and is_current
for share
"""
# A live unit begins by updating this row; another redrive of the partition waits as well.
_HOLD_CHECKPOINT = """
select topic_id::text, next_offset
from public.checkpoints
where projection = %(projection)s and generation = %(generation)s and topic = %(topic)s
    and partition = %(partition)s
for no key update
"""
_DONE = """
update public.dead_letters
set done = now(), outcome = 'projected', done_generation = %(generation)s
where projection = %(projection)s and topic_id = %(topic_id)s and partition = %(partition)s
    and "offset" = %(offset)s
"""
_FAILED = """
update public.dead_letters set tries = tries + 1, tried = now(), last_error = %(error)s
where projection = %(projection)s and topic_id = %(topic_id)s and partition = %(partition)s
    and "offset" = %(offset)s
"""
#: Pauses between tries, in seconds, where the fault is not the record's.
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)


class Place(NamedTuple):
    """Which dead letter: `topic_id` is a UUID in text form."""

    projection: str
    topic_id: str
    partition: int
    offset: int


class Outcome(NamedTuple):
    """What became of a dead letter; `reason` is of `left` and `failed`.

    `projected`: its rows are written, and it is done. `left`: it cannot be written behind what came
    since, or not yet; nothing is wrong with it. `failed`: the projection refused it again. `taken`:
    it is done already, or another redrive is at it.
    """

    kind: Literal["projected", "left", "failed", "taken"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Letter:
    """The record of a dead letter; see projections.base.Record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class _Swapped(Exception):
    """The generation is no longer the current one."""


class Redriver:
    """Redrives dead letters of one projection, one at a time, into its current generation."""

    def __init__(self, projection: Projection[Any], dsn: str, operator: Operator) -> None:
        self.projection = projection
        self._dsn = dsn
        self._operator = operator
        self._generation = 0
        self._timeout_ms = TRANSACTION_TIMEOUT_MS
        self._unit: Connection | None = None
        self._side: Connection | None = None

    async def redrive(self, place: Place) -> Outcome:
        """Redrive one dead letter, which is of this projection.

        What the infrastructure is at fault for is tried again a few times, with more time where it
        took too long, and then raised: psycopg's errors. Raises Refusal where the tables are not
        this program's (see projections.checkpoint).
        """
        for seconds in _BACKOFF:
            try:
                return await self._transact(place)
            except Refusal:
                raise
            except Exception as error:
                if is_timeout(error):
                    self._timeout_ms = min(2 * self._timeout_ms, LONGEST_TRANSACTION_MS)
                log.warning(
                    "redrive failed, trying the same again",
                    **place._asdict(),
                    error=describe(error),
                    seconds=seconds,
                )
            await self.close()
            await asyncio.sleep(seconds)
        return await self._transact(place)

    async def close(self) -> None:
        """Close the connections; the next redrive opens new ones."""
        for connection in (self._unit, self._side):
            if connection is not None:
                await connection.close()
        self._unit = self._side = None

    async def _transact(self, place: Place) -> Outcome:
        connection, side = await self._connections()
        async with connection.transaction():
            cursor = await connection.execute(_FIND, place._asdict())
            row = await cursor.fetchone()
            if row is None:
                return Outcome("taken")
            topic, key, headers, value, appended = row
            source = Partition(topic, place.partition)
            await self._hold_generation(connection)
            if reason := await self._not_passed(connection, place, source):
                return Outcome("left", reason)
            timestamp = micros_of(appended) // 1000
            letter = _Letter(place.offset, timestamp, key, value, headers_of(headers))
            outcome = await self._project(connection, side, Batch(source, [letter]))
            await self._mark(connection, place, source, outcome)
        return outcome

    async def _hold_generation(self, connection: Connection) -> None:
        held = {"projection": self.projection.name, "generation": self._generation}
        if await (await connection.execute(_HOLD_GENERATION, held)).fetchone() is None:
            raise _Swapped(f"generation {self._generation} is no longer the current one")

    async def _not_passed(
        self, connection: Connection, place: Place, source: Partition
    ) -> str | None:
        """Why the record is not one that the current generation has passed; holds live units off.

        The database may hold rows of a topic that was made anew, whose offsets mean other records.
        """
        held = {**place._asdict(), "generation": self._generation, "topic": source.topic}
        row = await (await connection.execute(_HOLD_CHECKPOINT, held)).fetchone()
        if row is not None and row[0] != place.topic_id:
            return f"it is of a topic {source.topic} that was deleted since and made anew"
        if row is None or row[1] <= place.offset:
            return f"the tables of {self.projection.name} are not that far: a worker comes to it"
        return None

    async def _project(
        self, connection: Connection, side: Connection, batch: Batch, *, is_last_try: bool = False
    ) -> Outcome:
        """Write the record's rows. What fails is tried once more, as in projections.unit."""
        try:
            decoded = self.projection.decode([batch])
            decoded = await self.projection.prepare(side, [batch], decoded)
            if decoded.refused:
                return Outcome("failed", decoded.refused[0].error)
            async with connection.transaction():
                await self.projection.write_late(connection, decoded.facts)
        except OutOfPlace as reason:
            return Outcome("left", str(reason))
        except Exception as error:
            if not is_data_fault(error):
                raise
            if is_last_try:
                return Outcome("failed", describe(error))
        else:
            return Outcome("projected")
        return await self._project(connection, side, batch, is_last_try=True)

    async def _mark(
        self, connection: Connection, place: Place, source: Partition, outcome: Outcome
    ) -> None:
        if outcome.kind == "failed":
            error = outcome.reason.replace("\0", "\\0")
            await connection.execute(_FAILED, {**place._asdict(), "error": error})
        elif outcome.kind == "projected":
            await connection.execute(_DONE, {**place._asdict(), "generation": self._generation})
            decision = DeadLettersRedriven(
                **self._operator.decides(),
                projection=place.projection,
                of_topic=source.topic,
                of_topic_id=place.topic_id,
                partition=place.partition,
                offsets=(place.offset,),
                generation=self._generation,
            )
            await record(connection, decision)

    async def _connections(self) -> tuple[Connection, Connection]:
        if self._unit is not None and self._side is not None:
            return self._unit, self._side
        name = self.projection.name
        async with await connect(self._dsn, f"{name} redrive", {}) as connection:
            self._generation = await checkpoint.current_generation(
                connection, name, self.projection.version
            )
        self.projection.forget()
        settings = {"search_path": schema_name(name, self._generation)}
        limits = {"transaction_timeout": str(self._timeout_ms), "jit": "off"}
        self._unit = await connect(self._dsn, f"{name} redrive", {**settings, **limits})
        self._side = await connect(
            self._dsn, f"{name} redrive side", {**settings, "lock_timeout": "2000"}
        )
        return self._unit, self._side
