"""Checkpoints and dead letters of a topic that was lost, carried over to the restored one.

A restored topic has the same records at the same offsets, up to where the archive ended, under
another id. What lies behind that was lost with the broker: checkpoints and dead letters there keep
the old id, so that no worker goes on as if the next records were those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from projections.base import Connection, Partition
from projections.decisions import Operator, record
from streams.events import LogRestored
from streams.events.system_decisions import Reached

_MOVED = """
(select %(topic)s as topic, %(old)s::uuid as old_id, %(new)s::uuid as new_id, u.*
from unnest(%(partitions)s::integer[], %(untils)s::bigint[]) as u (partition, until)) as m
"""
_CHECKPOINTS = f"""
update public.checkpoints as c
set topic_id = m.new_id, epoch = c.epoch + 1
from {_MOVED}
where c.topic = m.topic and c.partition = m.partition and c.topic_id = m.old_id
    and c.next_offset <= m.until
returning c.projection
"""
_LETTERS = f"""
update public.dead_letters as d
set topic_id = m.new_id
from {_MOVED}
where d.topic = m.topic and d.partition = m.partition and d.topic_id = m.old_id
    and d."offset" < m.until
    and not exists (
        select from public.dead_letters as o
        where o.projection = d.projection and o.topic_id = m.new_id
            and o.partition = d.partition and o."offset" = d."offset"
    )
returning d.projection
"""
_BUILT_LETTERS = f"""
update public.built_dead_letters as d
set topic_id = m.new_id
from {_MOVED}
where d.topic = m.topic and d.partition = m.partition and d.topic_id = m.old_id
    and d."offset" < m.until
    and not exists (
        select from public.built_dead_letters as o
        where o.projection = d.projection and o.generation = d.generation
            and o.topic_id = m.new_id and o.partition = d.partition and o."offset" = d."offset"
    )
returning d.projection
"""
_AHEAD = f"""
select c.projection, c.partition, c.next_offset, m.until
from public.checkpoints as c
join public.generations as g using (projection, generation)
join {_MOVED}
    on c.topic = m.topic and c.partition = m.partition and c.topic_id = m.old_id
where g.is_current
order by c.projection, c.partition
"""
_HAS_TABLES = "select to_regclass('public.decisions') is not null"


@dataclass(frozen=True, slots=True)
class Move:
    """A topic's old id, and the one of the topic that took its place; UUID text.

    Of each partition, offsets below `untils` mean the same records in both.
    """

    topic: str
    topic_id: str
    to_topic_id: str
    untils: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Ahead:
    """A projection has read on to `next_offset`, but the restored log ended at `until`."""

    projection: str
    source: Partition
    next_offset: int
    until: int


@dataclass
class Carried:
    """How many rows were carried over, by how many decisions; and what was not, of what is live."""

    checkpoints: int = 0
    dead_letters: int = 0
    decisions: int = 0
    ahead: list[Ahead] = field(default_factory=list)


async def carry_over(
    connection: Connection, moves: Sequence[Move], operator: Operator
) -> Carried | None:
    """Do all of it, and keep it as decisions, in one transaction; again, it finds nothing to do.

    Of several moves of a topic the newest comes first. None where the database has no tables yet.
    """
    async with connection.transaction():
        row = await (await connection.execute(_HAS_TABLES)).fetchone()
        if row is None or not row[0]:
            return None
        carried = Carried()
        for move in moves:
            await _carry(connection, move, operator, carried)
    return carried


async def _carry(connection: Connection, move: Move, operator: Operator, carried: Carried) -> None:
    partitions = sorted(move.untils)
    about = {
        "topic": move.topic,
        "old": move.topic_id,
        "new": move.to_topic_id,
        "partitions": partitions,
        "untils": [move.untils[one] for one in partitions],
    }

    async def run(statement: str) -> list[str]:
        cursor = await connection.execute(statement.encode(), about)
        return [projection for (projection,) in await cursor.fetchall()]

    checkpoints = await run(_CHECKPOINTS)
    letters = await run(_LETTERS) + await run(_BUILT_LETTERS)
    carried.checkpoints += len(checkpoints)
    carried.dead_letters += len(letters)
    for projection in sorted({*checkpoints, *letters}):
        await record(connection, _decided(move, projection, operator))
        carried.decisions += 1
    cursor = await connection.execute(_AHEAD.encode(), about)
    carried.ahead += [
        Ahead(projection, Partition(move.topic, partition), next_offset, until)
        for projection, partition, next_offset, until in await cursor.fetchall()
    ]


def _decided(move: Move, projection: str, operator: Operator) -> LogRestored:
    return LogRestored(
        **operator.decides(),
        projection=projection,
        of_topic=move.topic,
        of_topic_id=move.topic_id,
        to_topic_id=move.to_topic_id,
        reached=tuple(
            Reached(topic=move.topic, partition=partition, next_offset=until)
            for partition, until in sorted(move.untils.items())
        ),
    )
