"""The stable names: views over the tables of the current generation.

What stands on them (read models, grants, a user's own views) must not notice a swap. So a view
keeps its columns, their order and their types, and gets new ones at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from projections.base import Connection, Projection
from projections.errors import Refusal
from projections.generation import schema_name

_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute as a
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

# What reads a view, or (the second parameter) one column of it: 0 stands for any.
_USES = """
select distinct v.oid::regclass::text
from pg_depend as d
join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
join pg_class as v on v.oid = r.ev_class
left join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where d.refclassid = 'pg_class'::regclass and d.refobjid = to_regclass(%(view)s)
    and v.oid <> d.refobjid and (%(column)s::text is null or a.attname = %(column)s)
order by 1
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or view, with its type as SQL writes it."""

    name: str
    type: str


async def point_names_at(
    connection: Connection, projection: Projection[Any], generation: int
) -> None:
    """Make the stable names views over this generation, in the caller's transaction.

    Raises Refusal as `check_names` does.
    """
    for table in projection.tables:
        columns = await _view_columns(connection, projection, generation, table)
        await connection.execute(
            sql.SQL("create or replace view public.{} as select {} from {}").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.Identifier(schema_name(projection.name, generation), table),
            )
        )


async def check_names(connection: Connection, projection: Projection[Any], generation: int) -> None:
    """Raise Refusal where a view would lose a column, or have it of another type.

    The message lists what uses the column.
    """
    for table in projection.tables:
        await _view_columns(connection, projection, generation, table)


async def _view_columns(
    connection: Connection, projection: Projection[Any], generation: int, table: str
) -> list[str]:
    schema = schema_name(projection.name, generation)
    of_view = await _columns(connection, f'public."{table}"')
    of_table = await _columns(connection, f'{schema}."{table}"')
    types = {column.name: column.type for column in of_table}
    for column in of_view:
        if types.get(column.name) == column.type:
            continue
        became = (
            f"is {types[column.name]} there, and {column.type} in the view"
            if column.name in types
            else "is not there any more"
        )
        uses = await _uses(connection, table, column.name)
        raise Refusal(
            f"{projection.name}: {table}.{column.name} {became}; a swap would break"
            f" {', '.join(uses) or 'whoever reads it'}. Keep the column in"
            f" sql/projections/{projection.name}.sql, or drop the view {table}"
            " and what uses it first"
        )
    kept = [column.name for column in of_view]
    return [*kept, *(column.name for column in of_table if column.name not in kept)]


async def _columns(connection: Connection, relation: str) -> Sequence[Column]:
    cursor = await connection.execute(_COLUMNS, [relation])
    return [Column(*row) for row in await cursor.fetchall()]


async def _uses(connection: Connection, view: str, column: str) -> list[str]:
    """The relations that read this column of a view; if none does, those that read the view."""
    about = {"view": f'public."{view}"'}
    for name in (column, None):
        cursor = await connection.execute(_USES, {**about, "column": name})
        if found := [used for (used,) in await cursor.fetchall()]:
            return found
    return []
