"""Keys and indexes set aside while tables are loaded, and put back as they were."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from projections.base import Connection

_KEEP = """
create table if not exists set_aside (step integer generated always as identity, statement text)
"""

# A partitioned table's index is defined with ONLY, which would leave its partitions without.
_SET_ASIDE = """
with found as (
    select i.indrelid::regclass as table_name, i.indexrelid::regclass as index_name,
        c.conname as name, pg_get_constraintdef(c.oid) as key,
        replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') as index
    from pg_index as i
    left join pg_constraint as c on c.conindid = i.indexrelid and c.contype in ('p', 'u')
    where i.indrelid = %s::regclass
    order by c.conname is null, i.indexrelid
),
kept as (
    insert into set_aside (statement)
    select case
        when name is null then index
        else format('alter table %%s add constraint %%I %%s', table_name, name, key)
    end
    from found
)
select case
    when name is null then format('drop index %%s', index_name)
    else format('alter table %%s drop constraint %%I', table_name, name)
end
from found
"""


async def set_aside(connection: Connection, tables: Iterable[str]) -> None:
    """Drop the keys and indexes of these tables of the search path, and note how they were."""
    await connection.execute(_KEEP)
    for table in tables:
        cursor = await connection.execute(_SET_ASIDE, [table])
        for (statement,) in await cursor.fetchall():
            await connection.execute(sql.SQL(statement))


async def put_back(connection: Connection) -> None:
    """Make the keys and indexes again that were set aside, and forget of it.

    Raises psycopg.errors.UniqueViolation where rows repeat a key.
    """
    cursor = await connection.execute("select statement from set_aside order by step")
    for (statement,) in await cursor.fetchall():
        await connection.execute(sql.SQL(statement))
    await connection.execute("drop table set_aside")
