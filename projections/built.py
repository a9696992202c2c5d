"""Dead letters of a generation that is being built, beside those of the live one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.rows import class_row

from projections.base import Connection, Partition
from projections.errors import Refusal

# What the live generation has not come to yet, it may refuse as well; what it never read at all (in
# a new database) too. Of a topic that was made anew it has other records.
_MORE = """
select b.topic, b.partition, b."offset", b.error, count(*) over () as in_all
from public.built_dead_letters as b
join public.generations as g on g.projection = b.projection and g.is_current
join public.checkpoints as c
    on c.projection = g.projection and c.generation = g.generation
    and c.topic = b.topic and c.partition = b.partition
where b.projection = %s and b.generation = %s
    and (c.next_offset > b."offset" or c.topic_id <> b.topic_id)
    and not exists (
        select from public.dead_letters as d
        where d.projection = b.projection and d.topic_id = b.topic_id
            and d.partition = b.partition and d."offset" = b."offset"
            and d.outcome is distinct from 'projected'
    )
order by b.topic, b.partition, b."offset"
limit 5
"""

# What the live generation had refused and this one took: from where it began to read.
_DONE = """
update public.dead_letters as d
set done = now(), outcome = 'projected', done_generation = c.generation
from unnest(%(topics)s::text[], %(partitions)s::integer[], %(starts)s::bigint[])
    as s (topic, partition, start),
    public.checkpoints as c
where c.projection = %(projection)s and c.generation = %(generation)s
    and c.topic = s.topic and c.partition = s.partition
    and d.projection = c.projection and d.topic_id = c.topic_id and d.partition = c.partition
    and d."offset" >= s.start and d."offset" < c.next_offset and d.done is null
    and not exists (
        select from public.built_dead_letters as b
        where b.projection = d.projection and b.generation = c.generation
            and b.topic_id = d.topic_id and b.partition = d.partition and b."offset" = d."offset"
    )
"""
# What another generation has the rows of, and this one, which did not read it again, has not.
_WAITS_AGAIN = """
update public.dead_letters as d
set done = null, outcome = null, done_generation = null
from unnest(%(topics)s::text[], %(partitions)s::integer[], %(starts)s::bigint[])
    as s (topic, partition, start)
where d.projection = %(projection)s and d.topic = s.topic and d.partition = s.partition
    and d."offset" < s.start and d.done_generation <> %(generation)s
"""
_TAKE_OVER = """
insert into public.dead_letters as dead_letters
    (projection, topic, topic_id, partition, "offset", key, headers, value, error, appended)
select projection, topic, topic_id, partition, "offset", key, headers, value, error, appended
from public.built_dead_letters
where projection = %(projection)s and generation = %(generation)s
on conflict (projection, topic_id, partition, "offset") do update
set done = null, outcome = null, done_generation = null, error = excluded.error
where dead_letters.outcome = 'projected'
"""
_FORGET = """
delete from public.built_dead_letters
where projection = %(projection)s and generation = %(generation)s
"""


@dataclass(frozen=True, slots=True)
class More:
    """A dead letter that the live generation does not have, one of `in_all`."""

    topic: str
    partition: int
    offset: int
    error: str
    in_all: int


async def check_none_more(connection: Connection, projection: str, generation: int) -> None:
    """Raise Refusal where this generation refused records that the live one did not."""
    async with connection.cursor(row_factory=class_row(More)) as cursor:
        more = await (await cursor.execute(_MORE, [projection, generation])).fetchall()
    if more:
        shown = "; ".join(f"{one.topic}[{one.partition}]@{one.offset}: {one.error}" for one in more)
        raise Refusal(
            f"{projection}: {more[0].in_all:,} records could not be projected that the live tables"
            f" have: {shown}. The live tables are as they were; mend the program, or, if these are"
            " to become dead letters, run it again with --accept-dead-letters"
        )


async def take_over(
    connection: Connection, projection: str, generation: int, starts: Mapping[Partition, int]
) -> None:
    """Make them the projection's dead letters, in the transaction of the swap.

    `starts` is where the generation began to read: what was refused live behind it and is projected
    now is done; what was refused before it waits, if only another generation has its rows.
    """
    sources = sorted(starts)
    about = {
        "projection": projection,
        "generation": generation,
        "topics": [source.topic for source in sources],
        "partitions": [source.partition for source in sources],
        "starts": [starts[source] for source in sources],
    }
    for statement in (_DONE, _WAITS_AGAIN, _TAKE_OVER, _FORGET):
        await connection.execute(statement, about)
