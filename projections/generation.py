"""Generations: a projection's tables in a schema of their own, behind stable names.

`prices_3.price_history` is a table; `price_history`, what everyone reads, is a view over the
current generation's. So a changed projection is built beside the old one and swapped by
replacing views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import sql

from projections.base import Connection, Projection

_EXISTS = "select 1 from public.generations where projection = %s"
_INSERT = """
insert into public.generations (projection, generation, version, is_current)
values (%s, %s, %s, true)
"""


def schema_name(projection: str, generation: int) -> str:
    """The schema of a generation: `prices_3`."""
    return f"{projection}_{generation}"


async def create(connection: Connection, projection: Projection[Any], generation: int) -> None:
    """Create the schema and the tables of a generation, in the caller's transaction."""
    schema = sql.Identifier(schema_name(projection.name, generation))
    await connection.execute(sql.SQL("create schema {}").format(schema))
    await connection.execute(sql.SQL("set local search_path to {}").format(schema))
    await connection.execute(projection.sql_path().read_bytes())
    await connection.execute("set local search_path to public")


async def point_names_at(
    connection: Connection, projection: Projection[Any], generation: int
) -> None:
    """Make the stable names views over this generation, in the caller's transaction."""
    schema = schema_name(projection.name, generation)
    for table in projection.tables:
        await connection.execute(
            sql.SQL("create or replace view public.{} as select * from {}").format(
                sql.Identifier(table), sql.Identifier(schema, table)
            )
        )


async def create_first(connection: Connection, projections: Iterable[Projection[Any]]) -> list[str]:
    """Give each projection that has no tables its first generation; returns their names."""
    created = []
    for projection in projections:
        if await (await connection.execute(_EXISTS, [projection.name])).fetchone():
            continue
        async with connection.transaction():
            await connection.execute(_INSERT, [projection.name, 1, projection.version])
            await create(connection, projection, 1)
            await point_names_at(connection, projection, 1)
        created.append(projection.name)
    return created
