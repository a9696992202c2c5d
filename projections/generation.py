"""Generations: a projection's tables in a schema of their own, behind stable names.

`prices_3.price_history` is a table; `price_history`, what everyone reads, is a view over the
current generation's. So a changed projection is built beside the old one and swapped by
replacing views (projections.swap).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import class_row

from projections.base import Connection, Projection

#: What a generation is built for: to take the place of the current one, or to be compared with it.
Purpose = Literal["rebuild", "verify"]

_BEGIN = """
insert into public.generations (projection, generation, version, purpose)
select %(projection)s, max(generation) + 1, %(version)s, %(purpose)s
from public.generations where projection = %(projection)s
returning generation
"""
_DELETE = """
delete from public.generations where projection = %s and generation = %s and not is_current
"""
_KEEP_ONLY = """
update public.generations set built = null
where projection = %s and not is_current and generation is distinct from %s
"""
_ALL = """
select projection, generation, version, is_current, created, built, purpose
from public.generations
order by projection, generation
"""


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of tables of a projection.

    `built` is when it was current for the first time; None while it is being built, or where it is
    left over: its building was killed, or it was replaced and not to be kept.
    """

    projection: str
    generation: int
    version: int
    is_current: bool
    created: datetime
    built: datetime | None
    purpose: Purpose

    @property
    def schema(self) -> str:
        """The schema of its tables."""
        return schema_name(self.projection, self.generation)

    @property
    def is_kept(self) -> bool:
        """Whether it was current once and can be again."""
        return self.built is not None and not self.is_current

    @property
    def is_unfinished(self) -> bool:
        """Whether it is being built, or is left over."""
        return self.built is None


def schema_name(projection: str, generation: int) -> str:
    """The schema of a generation: `prices_3`."""
    return f"{projection}_{generation}"


async def read_all(connection: Connection) -> list[Generation]:
    """Every generation of every projection, oldest first."""
    async with connection.cursor(row_factory=class_row(Generation)) as cursor:
        return await (await cursor.execute(_ALL)).fetchall()


async def begin(connection: Connection, projection: Projection[Any], purpose: Purpose) -> int:
    """Make the tables of a new generation, which is not current; returns its number."""
    about = {"projection": projection.name, "version": projection.version, "purpose": purpose}
    async with connection.transaction():
        row = await (await connection.execute(_BEGIN, about)).fetchone()
        generation: int = row[0] if row else 1
        await create(connection, projection, generation)
    return generation


async def create(connection: Connection, projection: Projection[Any], generation: int) -> None:
    """Create the schema and the tables of a generation, in the caller's transaction."""
    schema = sql.Identifier(schema_name(projection.name, generation))
    await connection.execute(sql.SQL("create schema {}").format(schema))
    await connection.execute(sql.SQL("set local search_path to {}").format(schema))
    await connection.execute(projection.sql_path().read_bytes())
    await connection.execute("set local search_path to public")


async def keep_only(connection: Connection, projection: str, kept: int | None) -> None:
    """Of the generations that were current, only `kept` can be again; the others are left over."""
    await connection.execute(_KEEP_ONLY, [projection, kept])


async def drop(connection: Connection, projection: str, generation: int) -> None:
    """Drop a generation: its tables, checkpoints, and what it could not use. Never the current one.

    Raises psycopg.errors.DependentObjectsStillExist where something outside stands on its tables,
    and psycopg.errors.LockNotAvailable where someone reads them for longer than the lock timeout.
    """
    schema = sql.Identifier(schema_name(projection, generation))
    async with connection.transaction():
        deleted = await connection.execute(_DELETE, [projection, generation])
        if not deleted.rowcount:
            return
        await _check_alone(connection, schema_name(projection, generation))
        await connection.execute(sql.SQL("drop schema if exists {} cascade").format(schema))


_STANDING_OUTSIDE = """
select distinct v.oid::regclass::text
from pg_depend as d
join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
join pg_class as v on v.oid = r.ev_class
join pg_class as t on d.refclassid = 'pg_class'::regclass and t.oid = d.refobjid
where t.relnamespace = to_regnamespace(%(schema)s)
    and v.relnamespace <> to_regnamespace(%(schema)s)
order by 1
"""


class StillUsed(Exception):
    """Something outside of a generation stands on its tables; the message names what."""


async def _check_alone(connection: Connection, schema: str) -> None:
    """Raises StillUsed: to drop the schema would drop a view that someone made."""
    found = await (await connection.execute(_STANDING_OUTSIDE, {"schema": schema})).fetchall()
    if found:
        names = ", ".join(name for (name,) in found)
        raise StillUsed(f"{schema} stays, because {names} stands on its tables")
