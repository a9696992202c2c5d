"""Building a generation beside the current one, under checkpoints of its own.

Nobody reads it yet, so units may be large and derived rows may wait. What goes wrong ends the
building with an error, and leaves the live generation as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import psycopg

from projections import built, checkpoint, deadletter, indexes
from projections.base import Batch, Connection, Decoded, Partition, Projection
from projections.checkpoint import Checkpoint, LogStart
from projections.database import connect
from projections.errors import Fenced
from projections.generation import schema_name
from projections.isolation import write_or_refuse
from projections.unit import spans

#: SQLSTATEs of what another process of the same rebuild causes: deadlock, serialization.
_COLLISIONS = frozenset({"40P01", "40001"})
_TRIES = 20

#: So many records may be refused before it is asked whether the live generation has them.
_REFUSED_UNASKED = 1_000

#: A killed process must not leave the server at work for it.
_SETTINGS: Mapping[str, str] = {
    "synchronous_commit": "off",
    "jit": "off",
    "client_connection_check_interval": "5s",
}
#: What `finish`, of one process, sorts and makes indexes with.
_MEMORY = "set work_mem = '256MB'; set maintenance_work_mem = '512MB'"

# Of a partitioned table the server takes the partitions along.
_ANALYZE = """
do $$
declare
    found regclass;
begin
    for found in
        select oid from pg_class
        where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
            and not relispartition
    loop
        execute format('analyze %s', found);
    end loop;
end
$$
"""


class Builder:
    """Loads batches of one projection into one generation that is not current.

    Use as a context manager. Not for concurrent use. Raises Fenced when another process has taken
    this generation's partitions over, Refusal where too much is refused that live is not, and
    psycopg's errors for what is wrong with the database.
    """

    def __init__(
        self,
        projection: Projection[Any],
        dsn: str,
        generation: int,
        *,
        accepts_dead_letters: bool = False,
    ) -> None:
        self.projection = projection
        # Live units must not wait for these, which may last.
        projection.lock_family = schema_name(projection.name, generation)
        self.accepts_dead_letters = accepts_dead_letters
        self._refused = 0
        self.generation = generation
        self.claims: dict[Partition, Checkpoint] = {}
        self._dsn = dsn
        self._topic_ids: dict[str, str] = {}
        self._unit: Connection
        self._side: Connection

    async def __aenter__(self) -> Self:
        name = self.projection.name
        settings = {**_SETTINGS, "search_path": schema_name(name, self.generation)}
        self._unit = await connect(self._dsn, f"{name} rebuild", settings)
        self._side = await connect(self._dsn, f"{name} rebuild side", settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._side.close()
        await self._unit.close()

    async def prepare(self) -> None:
        """Set the keys and indexes of the bulk tables aside."""
        async with self._unit.transaction():
            await indexes.set_aside(self._unit, self.projection.bulk_tables)

    async def claim(self, partitions: Mapping[Partition, LogStart]) -> None:
        """Take over partitions of this generation; `claims` says where to go on.

        Raises Refusal for a topic that was made anew meanwhile.
        """
        self.claims = await checkpoint.claim(
            self._unit,
            self.projection.name,
            self.generation,
            partitions,
            passes_over=self.projection.keeps_days is not None,
        )
        self.projection.forget()
        self._topic_ids |= {source.topic: part.topic_id for source, part in partitions.items()}

    async def load(self, batches: Sequence[Batch], decoded: Decoded[Any] | None = None) -> None:
        """Load batches while nothing is derived yet; see Projection.load."""
        await self._commit(batches, decoded, is_loading=True)

    async def project(self, batches: Sequence[Batch]) -> None:
        """Write batches with all that follows from them, after `finish`."""
        await self._commit(batches, None, is_loading=False)

    async def finish(self) -> None:
        """Make the keys and indexes, derive what `load` left, and gather statistics."""
        await self._unit.execute(_MEMORY)
        async with self._unit.transaction():
            try:
                async with self._unit.transaction():
                    await indexes.put_back(self._unit)
            except psycopg.errors.UniqueViolation:
                await self.projection.settle(self._unit)
                await indexes.put_back(self._unit)
            await self.projection.derive(self._unit)
        self.projection.forget()
        await self._unit.execute(_ANALYZE)

    async def close_like(self, live: str) -> None:
        """Close the periods that are closed in the schema of the live generation."""
        await self.projection.close_like(self._side, live)
        self.projection.forget()

    async def maintain(self, history_days: int | None) -> None:
        """Close the periods that are too old, as the live worker does now and then."""
        await self.projection.maintain(self._side, history_days)
        self.projection.forget()

    async def _commit(
        self, batches: Sequence[Batch], decoded: Decoded[Any] | None, *, is_loading: bool
    ) -> None:
        for attempt in range(_TRIES):
            try:
                await self._transact(batches, decoded, is_loading=is_loading)
                break
            except psycopg.Error as error:
                if error.sqlstate == checkpoint.FENCED:
                    raise Fenced from error
                if error.sqlstate not in _COLLISIONS or attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(0.01 * 2 ** min(attempt, 6))
        for source, span in spans(batches, self.claims).items():
            self.claims[source] = Checkpoint(span.until, span.epoch)

    async def _transact(
        self, batches: Sequence[Batch], decoded: Decoded[Any] | None, *, is_loading: bool
    ) -> None:
        name = self.projection.name
        write = self.projection.load if is_loading else self.projection.write
        unit = spans(batches, self.claims)
        async with self._unit.transaction():
            await checkpoint.advance(self._unit, name, self.generation, unit)
            refused = await write_or_refuse(
                self.projection, write, self._unit, self._side, batches, decoded
            )
            if refused:
                await deadletter.insert_built(
                    self._unit, name, self.generation, self._topic_ids, refused
                )
        await self._count(len(refused))

    async def _count(self, refused: int) -> None:
        """Raise Refusal, now and then, where what was refused is not refused live as well: a
        program that reads nothing must not copy the log into dead letters."""
        self._refused += refused
        if self._refused >= _REFUSED_UNASKED and not self.accepts_dead_letters:
            self._refused = 0
            await built.check_none_more(self._unit, self.projection.name, self.generation)
