"""Repair in place: the rows of some Kafka keys are deleted and written anew, in one transaction.

It holds the live checkpoints, so that live units wait, and the current generation, so that no swap
happens meanwhile. Readers see the rows as they were until it commits, and then as the log has them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from projections import checkpoint, deadletter
from projections.base import Batch, Connection, Partition, Projection, Refused
from projections.database import connect
from projections.decisions import Operator, record
from projections.generation import schema_name
from projections.isolation import write_or_refuse
from projections.locks import lock_keys
from streams.events import ProjectionRepaired
from streams.events.system_decisions import MOST_KEYS

_SETTINGS = {"jit": "off", "transaction_timeout": "0"}

_LOCK_CHECKPOINTS = """
select topic, partition, next_offset from public.checkpoints
where projection = %s and generation = %s
order by topic, partition
for update
"""

_RECORDS = """
create temporary table repaired_records (
    topic text, partition integer, "offset" bigint, primary key (topic, partition, "offset")
)
on commit drop
"""
_COPY_RECORDS = 'copy repaired_records (topic, partition, "offset") from stdin'

# The tables whose rows tell the record that made them; where there is but one topic, without it.
_TELLING = """
select c.relname,
    exists (select from pg_attribute as t where t.attrelid = c.oid and t.attname = 'topic')
from pg_class as c
join pg_attribute as o on o.attrelid = c.oid and o.attname = 'offset'
where c.relnamespace = to_regnamespace(%s) and c.relname = any(%s)
order by 1
"""
# A row that tells of a place behind the checkpoint was made by no record.
_FOREIGN = """
select count(*)
from (select {topic} as topic, partition, "offset" from {table} where {of_keys}) as t
join public.checkpoints as c on c.topic = t.topic and c.partition = t.partition
where c.projection = %(projection)s and c.generation = %(generation)s
    and t."offset" < c.next_offset
    and not exists (
        select from repaired_records as r
        where r.topic = t.topic and r.partition = t.partition and r."offset" = t."offset"
    )
"""

_OF_RECORD = """
d.projection = %(projection)s and d.topic_id = any(%(topic_ids)s::uuid[])
and d.topic = r.topic and d.partition = r.partition and d."offset" = r."offset"
"""
_COUNT = f"""
select count(*) from public.dead_letters as d join repaired_records as r on {_OF_RECORD}
"""
_DONE = f"""
update public.dead_letters as d
set done = now(), outcome = 'projected', done_generation = %(generation)s
from repaired_records as r
where {_OF_RECORD}
    and d.done is null
    and not exists (
        select from unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
            as u (topic, partition, "offset")
        where u.topic = d.topic and u.partition = d.partition and u."offset" = d."offset"
    )
"""
# What a redrive had projected, and was refused again.
_REOPEN = f"""
update public.dead_letters as d
set done = null, outcome = null, done_generation = null
from repaired_records as r
where {_OF_RECORD}
    and d.outcome = 'projected'
    and exists (
        select from unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
            as u (topic, partition, "offset")
        where u.topic = d.topic and u.partition = d.partition and u."offset" = d."offset"
    )
"""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """How many were added, and how many earlier ones are projected now."""

    added: int
    done: int


class Repair:
    """What is done within the transaction: `know` the records, `erase`, `write` them, `settle`.

    `positions` are the live checkpoints, which are held.
    """

    def __init__(
        self,
        projection: Projection[Any],
        keys: Sequence[str],
        generation: int,
        positions: Mapping[Partition, int],
        unit: Connection,
        side: Connection,
    ) -> None:
        self.generation = generation
        self.positions = positions
        self._projection = projection
        self._keys = list(keys)
        self._unit = unit
        self._side = side
        self._refused: list[Refused] = []

    async def know(self, records: Iterable[tuple[str, int, int]]) -> None:
        """Take note of records (topic, partition, offset) that are going to be written."""
        async with self._unit.cursor() as cursor, cursor.copy(_COPY_RECORDS) as copy:
            for place in records:
                await copy.write_row(place)
        await self._unit.execute("analyze repaired_records")

    async def foreign(self) -> dict[str, int]:
        """By table, how many rows of the keys were made by records that are not known.

        These are no longer in the log, or have another Kafka key: they could not be made again.
        """
        projection = self._projection
        schema = schema_name(projection.name, self.generation)
        about = {
            "keys": self._keys,
            "projection": projection.name,
            "generation": self.generation,
        }
        telling = await self._unit.execute(_TELLING, [schema, list(projection.kafka_keys)])
        found: dict[str, int] = {}
        for table, has_topic in await telling.fetchall():
            statement = _FOREIGN.format(
                topic="topic" if has_topic else f"'{projection.topics[0]}'",
                table=table,
                of_keys=projection.of_keys(table),
            )
            row = await (await self._unit.execute(statement.encode(), about)).fetchone()
            if row is not None and row[0]:
                found[table] = row[0]
        return found

    async def erase(self) -> int:
        """Delete the rows of the keys; returns how many."""
        return await self._projection.erase(self._unit, self._keys)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write records with all that follows from them."""
        projection = self._projection
        self._refused += await write_or_refuse(
            projection, projection.write, self._unit, self._side, batches
        )

    async def settle(self, topic_ids: Mapping[str, str]) -> DeadLetters:
        """Bring the dead letters in line: what was refused is one, what was written is done.

        A record that was refused because its period is closed by now was projected while it was
        open, or is a dead letter already.
        """
        name = self._projection.name
        new = [one for one in self._refused if not one.is_closed]
        about = {
            "projection": name,
            "generation": self.generation,
            "topic_ids": list(topic_ids.values()),
            "topics": [one.source.topic for one in self._refused],
            "partitions": [one.source.partition for one in self._refused],
            "offsets": [one.record.offset for one in self._refused],
        }
        before = await self._count(about)
        await deadletter.insert(self._unit, name, topic_ids, new)
        added = await self._count(about) - before
        await self._unit.execute(_REOPEN.encode(), about)
        done = await self._unit.execute(_DONE.encode(), about)
        return DeadLetters(added, done.rowcount)

    async def decided(self, operator: Operator, keys: Sequence[str]) -> None:
        """Keep that it was decided, with what it does."""
        for first in range(0, len(keys), MOST_KEYS):
            decision = ProjectionRepaired(
                **operator.decides(),
                projection=self._projection.name,
                generation=self.generation,
                keys=tuple(keys[first : first + MOST_KEYS]),
            )
            await record(self._unit, decision)

    async def _count(self, about: Mapping[str, Any]) -> int:
        row = await (await self._unit.execute(_COUNT.encode(), about)).fetchone()
        return int(row[0]) if row else 0


@asynccontextmanager
async def repairing(
    projection: Projection[Any], dsn: str, keys: Sequence[str]
) -> AsyncIterator[Repair]:
    """The transaction of a repair of some Kafka keys, committed unless an error comes.

    Raises Refusal as checkpoint.current_generation, and psycopg's errors: DeadlockDetected where
    a live unit was in the way, then it is to be tried again.
    """
    name = projection.name
    async with await connect(dsn, f"{name} repair", _SETTINGS) as unit, unit.transaction():
        generation = await checkpoint.current_generation(unit, name, projection.version)
        schema = schema_name(name, generation)
        await unit.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
        await projection.hold_periods(unit)
        cursor = await unit.execute(_LOCK_CHECKPOINTS, [name, generation])
        positions = {Partition(topic, part): at for topic, part, at in await cursor.fetchall()}
        await lock_keys(unit, name, keys)
        await unit.execute(_RECORDS)
        settings = {"search_path": schema, "lock_timeout": "2000"}
        async with await connect(dsn, f"{name} repair side", settings) as side:
            projection.forget()
            yield Repair(projection, keys, generation, positions, unit, side)
