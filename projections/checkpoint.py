"""Checkpoints: where each projection stands in each partition, moved only by compare-and-set.

Owning a partition is an epoch. Taking over bumps it and reads the position in one statement;
every unit of work first moves the checkpoint from the offset and epoch it believes in, so a
worker that lost its partition without noticing cannot commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from psycopg import errors

from projections.base import SQL, Connection, Partition
from projections.errors import Refusal

#: They are applied in order, so who has the newest has all.
_NEWEST_MIGRATION = max(path.stem for path in (SQL / "migrations").glob("*.sql"))

_CURRENT = """
select generation, version,
    exists(select from public._yoyo_migration where migration_id = %(newest)s)
from public.generations
where projection = %(projection)s and is_current
for share
"""

_CLAIM = """
insert into public.checkpoints as c
    (projection, generation, topic, topic_id, partition, next_offset, epoch)
select %(projection)s, %(generation)s, v.topic, v.topic_id, v.partition, v.log_start, 1
from unnest(%(topics)s::text[], %(ids)s::uuid[], %(partitions)s::integer[], %(starts)s::bigint[])
    as v (topic, topic_id, partition, log_start)
order by v.topic, v.partition
on conflict (projection, generation, topic, partition) do update
    set epoch = c.epoch + 1,
        topic_id = excluded.topic_id,
        next_offset = case
            when not %(passes_over)s then c.next_offset
            when c.topic_id <> excluded.topic_id then excluded.next_offset
            else greatest(c.next_offset, excluded.next_offset)
        end
    where c.topic_id = excluded.topic_id or %(passes_over)s
returning c.topic, c.partition, c.next_offset, c.epoch
"""

_ADVANCE = """
select public.advance_checkpoints(
    %(projection)s, %(generation)s, %(topics)s, %(partitions)s::integer[], %(epochs)s::bigint[],
    %(starts)s::bigint[], %(untils)s::bigint[]
)
"""

#: The SQLSTATE by which the server refuses to advance.
FENCED = "TT001"

_READ = """
select topic, partition, next_offset, epoch from public.checkpoints
where projection = %s and generation = %s
"""

_STANDING = """
select c.topic, c.partition, c.topic_id::text, c.next_offset
from public.generations as g
left join public.checkpoints as c using (projection, generation)
where g.projection = %s and g.is_current
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The next offset to project, and the epoch under which it may be moved."""

    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Span:
    """A unit's part of one partition: from `start` up to but not including `until`."""

    start: int
    until: int
    epoch: int


@dataclass(frozen=True, slots=True)
class LogStart:
    """What the broker says of a partition: its topic's id (a UUID) and its first offset."""

    topic_id: str
    first_offset: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The next offset to project, and the topic (a UUID) whose offset that is."""

    topic_id: str
    next_offset: int


async def current_generation(connection: Connection, projection: str, version: int) -> int:
    """The number of the generation that is live, which stays so until the transaction ends.

    Raises Refusal when there is none, when it was made by another version of the projection, or
    when the database is not migrated as far as this program needs it.
    """
    row = None
    with suppress(errors.UndefinedTable):
        # Whoever waited for a swap finds the old generation current no more, and the new one
        # only by asking again.
        for _ in range(2):
            row = row or await _current(connection, projection)
    if row is None:
        raise _no_tables(projection)
    generation, made_by, is_migrated = row
    if not is_migrated:
        raise Refusal("the database lacks migrations of this program: run `tape db migrate`")
    if made_by != version:
        raise Refusal(
            f"{projection}: the tables are of version {made_by}, this program is of version"
            f" {version}; a rebuild is due: run `tape rebuild {projection}`,"
            " or start the program that fits the tables"
        )
    return int(generation)


async def _current(connection: Connection, projection: str) -> tuple[int, int, bool] | None:
    parameters = {"projection": projection, "newest": _NEWEST_MIGRATION}
    return await (await connection.execute(_CURRENT, parameters)).fetchone()


async def claim(
    connection: Connection,
    projection: str,
    generation: int,
    partitions: Mapping[Partition, LogStart],
    *,
    passes_over: bool = False,
) -> dict[Partition, Checkpoint]:
    """Take over partitions: bump their epochs and read their positions, in one statement.

    A partition without a checkpoint starts at the first offset of the log; with `passes_over` also
    one whose checkpoint lies before that, or is of a topic that was made anew. Raises Refusal for a
    topic that was made anew since the checkpoint was written, unless it `passes_over` that.
    """
    sources = sorted(partitions)
    cursor = await connection.execute(
        _CLAIM,
        {
            "projection": projection,
            "generation": generation,
            "topics": [source.topic for source in sources],
            "ids": [partitions[source].topic_id for source in sources],
            "partitions": [source.partition for source in sources],
            "starts": [partitions[source].first_offset for source in sources],
            "passes_over": passes_over,
        },
    )
    claimed = {
        Partition(topic, partition): Checkpoint(next_offset, epoch)
        for topic, partition, next_offset, epoch in await cursor.fetchall()
    }
    anew = [str(source) for source in sources if source not in claimed]
    if anew:
        raise Refusal(
            f"{projection}: {', '.join(anew)} was deleted and made anew (its topic id differs from"
            " the checkpoint's), so the offsets no longer mean the same records; rebuild with"
            f" `tape rebuild {projection}`"
        )
    return claimed


async def advance(
    connection: Connection, projection: str, generation: int, spans: Mapping[Partition, Span]
) -> None:
    """Move the checkpoints of a unit, all or (after the caller's rollback) none.

    The server raises FENCED when one of them is not where the caller believes; with a connection
    in pipeline mode that arrives later.
    """
    sources = sorted(spans)
    await connection.execute(
        _ADVANCE,
        {
            "projection": projection,
            "generation": generation,
            "topics": [source.topic for source in sources],
            "partitions": [source.partition for source in sources],
            "epochs": [spans[source].epoch for source in sources],
            "starts": [spans[source].start for source in sources],
            "untils": [spans[source].until for source in sources],
        },
    )


async def read(
    connection: Connection, projection: str, generation: int
) -> dict[Partition, Checkpoint]:
    """All checkpoints of a generation."""
    cursor = await connection.execute(_READ, [projection, generation])
    return {
        Partition(topic, partition): Checkpoint(next_offset, epoch)
        for topic, partition, next_offset, epoch in await cursor.fetchall()
    }


async def standing(connection: Connection, projection: str) -> dict[Partition, Standing]:
    """Where the current generation stands now, whichever that is and whoever moves it.

    Partitions that were never claimed are not in it. Raises Refusal when there are no tables.
    """
    try:
        rows = await (await connection.execute(_STANDING, [projection])).fetchall()
    except errors.UndefinedTable:
        rows = []
    if not rows:
        raise _no_tables(projection)
    return {
        Partition(topic, partition): Standing(topic_id, next_offset)
        for topic, partition, topic_id, next_offset in rows
        if topic is not None
    }


def _no_tables(projection: str) -> Refusal:
    return Refusal(f"{projection} has no tables yet: run `tape db migrate`")
