"""The stable names: views over the tables of the current generation.

What stands on them (read models, grants, a user's own views) must not notice a swap. So a view
keeps its columns, their order and their types, and gets new ones at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

# What reads a view, or one column of it.
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


async def point_names_at(
    connection: Connection, projection: Projection[Any], generation: int
) -> None:
    """Make the stable names views over this generation, in the caller's transaction.

    Raises psycopg's error where a column is of another type.
    """
    await connection.execute(await views_of(connection, projection, generation))


async def views_of(
    connection: Connection, projection: Projection[Any], generation: int
) -> sql.Composed:
    """The statements that make the stable names views over this generation.

    A column that the view has, and the table has not, is null: after a rollback, one that the newer
    version brought.
    """
    schema = schema_name(projection.name, generation)
    return sql.SQL(";").join(
        [
            sql.SQL("create or replace view public.{} as select {} from {}").format(
                sql.Identifier(table),
                sql.SQL(", ").join(
                    _selected(
                        await _columns(connection, f'public."{table}"'),
                        await _columns(connection, f'{schema}."{table}"'),
                    )
                ),
                sql.Identifier(schema, table),
            )
            for table in projection.tables
        ]
    )


def _selected(of_view: Mapping[str, str], of_table: Mapping[str, str]) -> Iterator[sql.Composable]:
    for name, kind in of_view.items():
        if name in of_table:
            yield sql.Identifier(name)
        else:
            yield sql.SQL("null::{} as {}").format(sql.SQL(kind), sql.Identifier(name))
    for name in of_table:
        if name not in of_view:
            yield sql.Identifier(name)


async def check_names(connection: Connection, projection: Projection[Any], generation: int) -> None:
    """Raise Refusal where a view has a column of another type, or lost one that something uses.

    The message lists what uses it.
    """
    schema = schema_name(projection.name, generation)
    for table in projection.tables:
        of_table = await _columns(connection, f'{schema}."{table}"')
        for name, kind in (await _columns(connection, f'public."{table}"')).items():
            found = of_table.get(name)
            uses = [] if found == kind else await _uses(connection, table, name)
            if found is None and uses:
                _refuse(projection.name, f"{table}.{name} is not there any more", uses)
            if found is not None and found != kind:
                became = f"{table}.{name} is {found} there, and {kind} in the view"
                _refuse(projection.name, became, uses or await _uses(connection, table, None))


def _refuse(projection: str, became: str, uses: Sequence[str]) -> None:
    used = f"; it is used by {', '.join(uses)}" if uses else ""
    raise Refusal(
        f"{projection}: {became}{used}. The live tables are as they were; keep the column in"
        f" sql/projections/{projection}.sql, or drop the view, and what uses it, first"
    )


async def _columns(connection: Connection, relation: str) -> dict[str, str]:
    """The type of each column, as SQL writes it; none where there is no such relation."""
    return dict(await (await connection.execute(_COLUMNS, [relation])).fetchall())


async def _uses(connection: Connection, view: str, column: str | None) -> list[str]:
    """The relations that read this column of a view, or any of it."""
    about = {"view": f'public."{view}"', "column": column}
    return [used for (used,) in await (await connection.execute(_USES, about)).fetchall()]
