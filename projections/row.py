"""One row of a projection's table, by its primary key, and the Kafka keys that its records have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import errors, sql
from psycopg.rows import dict_row

from projections.base import Connection, Projection

Row = dict[str, Any]

_KEY = """
select a.attname, format_type(a.atttypid, a.atttypmod)
from pg_index as i
cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = to_regclass(%s) and i.indisprimary
order by k.place
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a key, with its type as SQL writes it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RowKey:
    """A row's table and its primary key, values as text that PostgreSQL reads."""

    table: str
    values: Mapping[Column, str]

    def matches(self) -> sql.Composable:
        """The condition that this is the row."""
        return sql.SQL(" and ").join(
            sql.SQL("t.{} = {}").format(sql.Identifier(column.name), value)
            for column, value in self._typed()
        )

    def columns(self) -> sql.Composable:
        """The key's columns with these values, as a select has them."""
        return sql.SQL(", ").join(
            sql.SQL("{} as {}").format(value, sql.Identifier(column.name))
            for column, value in self._typed()
        )

    def _typed(self) -> list[tuple[Column, sql.Composable]]:
        # The type is the catalog's word, no user's.
        return [
            (column, sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(column.type)))
            for column, text in self.values.items()
        ]

    def __str__(self) -> str:
        pairs = (f"{column.name}={text}" for column, text in self.values.items())
        return f"{self.table} {' '.join(pairs)}"


class Seen(NamedTuple):
    """A row at one moment, None where there is none. Whatever wrote it changed the `version`."""

    version: tuple[Any, ...] | None
    row: Row | None


async def key_columns(connection: Connection, table: str) -> list[Column]:
    """The primary key of a table of the search path; empty where it has none."""
    cursor = await connection.execute(_KEY, [table])
    return [Column(*row) for row in await cursor.fetchall()]


async def look(connection: Connection, key: RowKey) -> Seen:
    """The row now. Raises psycopg.DataError where a value is none of its column's type."""
    statement = sql.SQL("select t.tableoid, t.ctid, t.* from {} as t where {}").format(
        sql.Identifier(key.table), key.matches()
    )
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(statement)).fetchone()
    if row is None:
        return Seen(None, None)
    return Seen((row.pop("tableoid"), row.pop("ctid")), row)


async def kafka_key(
    connection: Connection, projection: Projection[Any], key: RowKey, *, exists: bool
) -> str | None:
    """The Kafka key of the records that the row comes from.

    None where the row does not exist, and its key alone does not tell.
    """
    expression = sql.SQL(projection.kafka_keys[key.table])
    if exists:
        found = sql.SQL("select {} from {} as t where {}").format(
            expression, sql.Identifier(key.table), key.matches()
        )
    else:
        found = sql.SQL("select {} from (select {}) as t").format(expression, key.columns())
    try:
        async with connection.transaction():
            row = await (await connection.execute(found)).fetchone()
    except errors.UndefinedColumn:
        return None
    return row[0] if row else None


async def related_keys(
    connection: Connection, projection: Projection[Any], keys: Sequence[str]
) -> set[str]:
    """Kafka keys on whose records too the rows of these keys depend."""
    if projection.related_keys is None:
        return set()
    cursor = await connection.execute(projection.related_keys.encode(), {"keys": list(keys)})
    return {key for (key,) in await cursor.fetchall()}
