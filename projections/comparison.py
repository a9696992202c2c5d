"""Comparing the tables of two generations: hashes first, then the rows where these differ."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from projections.base import Connection, Projection

#: Rows are hashed in so many groups, by their keys.
GROUPS = 1024
#: The keys of about so many rows are read at once, and of so many groups in all: each takes a scan.
_ROWS_AT_ONCE = 50_000
_MOST_READ = 64
#: Of each table at most so many differing rows are kept.
MOST = 100

_COLUMNS = """
select a.attname, t.typname, coalesce(a.attnum = any(i.indkey), false)
from pg_attribute as a
join pg_type as t on t.oid = a.atttypid
left join pg_index as i on i.indrelid = a.attrelid and i.indisprimary
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is compared."""

    name: str
    type: str
    is_key: bool

    @property
    def canonical(self) -> sql.Composable:
        """Equal values give equal texts, whatever their trailing zeros and their origin."""
        name = sql.Identifier(self.name)
        if self.type == "numeric":
            return sql.SQL("trim_scale({})").format(name)
        if self.type == "jsonb":
            return sql.SQL("{} - array['topic', 'partition', 'offset']").format(name)
        return name


@dataclass(frozen=True)
class Table:
    """What is compared of a table. `columns` begin with the key.

    With `since`, only the rows of records that were appended at this time or later.
    """

    name: str
    columns: Sequence[Column]
    since: datetime | None = None

    @property
    def key(self) -> list[str]:
        return [column.name for column in self.columns if column.is_key]

    @property
    def key_text(self) -> sql.Composable:
        """The key as one text, the same for both tables."""
        return self._text([column for column in self.columns if column.is_key])

    @property
    def row_text(self) -> sql.Composable:
        """All that is compared as one text."""
        return self._text(self.columns)

    @staticmethod
    def _text(columns: Sequence[Column]) -> sql.Composable:
        return sql.SQL("row({})::text").format(
            sql.SQL(", ").join(column.canonical for column in columns)
        )

    @property
    def is_compared(self) -> sql.Composable:
        """Whether a row is compared."""
        if self.since is None:
            return sql.SQL("true")
        return sql.SQL("appended >= {}").format(sql.Literal(self.since))

    @property
    def group(self) -> sql.Composable:
        """In which of the groups a row is."""
        return sql.SQL("(hashtextextended({}, 0) & {})").format(
            self.key_text, sql.Literal(GROUPS - 1)
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs: of `table`, by its `key`; None where one side lacks it.

    Rows are whole, with the columns that are not compared.
    """

    table: str
    key: Mapping[str, Any]
    live: Row | None
    rebuilt: Row | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ, where both have the row."""
        if self.live is None or self.rebuilt is None:
            return []
        return [name for name, value in self.live.items() if self.rebuilt.get(name) != value]


@dataclass(frozen=True, slots=True)
class Compared:
    """One table: how many rows of live were compared, how many differ, and the first of these.

    `is_all` is false where so much differs that only a part of the rows was looked at.
    """

    table: str
    rows: int
    differing: int
    first: Sequence[Difference]
    is_all: bool


async def compare(
    live: Connection,
    rebuilt: Connection,
    projection: Projection[Any],
    schemas: tuple[str, str],
    sample: Sequence[int] | None = None,
    since: datetime | None = None,
) -> list[Compared]:
    """Compare all tables, each of the connections in a transaction of its own choice.

    `schemas` are those of the live and of the rebuilt generation. A table whose rows come from no
    record is not compared. With a `sample` only the rows of these groups are, of the GROUPS that
    there are; with `since` only those of records that were appended since then.
    """
    found = []
    for name in projection.tables:
        if name in projection.kafka_keys:
            table = await _table(rebuilt, projection, schemas[1], name, since)
            found.append(await _compare(live, rebuilt, table, schemas, sample))
    return found


async def _table(
    connection: Connection,
    projection: Projection[Any],
    schema: str,
    name: str,
    since: datetime | None,
) -> Table:
    cursor = await connection.execute(_COLUMNS, [f'"{schema}"."{name}"'])
    columns = [Column(*row) for row in await cursor.fetchall()]
    compared = [one for one in columns if one.is_key or one.name not in projection.uncompared]
    return Table(name, sorted(compared, key=lambda one: not one.is_key), since)


async def _compare(
    live: Connection,
    rebuilt: Connection,
    table: Table,
    schemas: tuple[str, str],
    sample: Sequence[int] | None,
) -> Compared:
    ours, theirs = await asyncio.gather(
        _hashes(live, table, schemas[0], sample), _hashes(rebuilt, table, schemas[1], sample)
    )
    groups = [group for group in sorted({*ours, *theirs}) if ours.get(group) != theirs.get(group)]
    differing = 0
    first: list[Difference] = []
    for some in _portions(groups[:_MOST_READ], {**theirs, **ours}):
        keys = await _differing(live, rebuilt, table, schemas, some)
        found = await _differences(live, rebuilt, table, schemas, some, sorted(keys)[:MOST])
        differing += len(keys)
        first = sorted([*first, *found], key=lambda one: str(list(one.key.values())))[:MOST]
    rows = sum(count for count, _ in ours.values())
    return Compared(table.name, rows, differing, first, is_all=len(groups) <= _MOST_READ)


async def _hashes(
    connection: Connection, table: Table, schema: str, sample: Sequence[int] | None
) -> dict[int, tuple[int, int]]:
    """Of each group the number of its rows, and the sum of their hashes."""
    query = sql.SQL(
        "select {group} as g, count(*), sum(hashtextextended({row}, 0)::numeric) from {table}"
        " where {is_compared} and (%(sample)s::bigint[] is null or {group} = any(%(sample)s))"
        " group by 1"
    ).format(
        group=table.group,
        row=table.row_text,
        table=sql.Identifier(schema, table.name),
        is_compared=table.is_compared,
    )
    chosen = None if sample is None else list(sample)
    rows = await (await connection.execute(query, {"sample": chosen})).fetchall()
    return {group: (count, int(total)) for group, count, total in rows}


def _portions(groups: Sequence[int], hashes: Mapping[int, tuple[int, int]]) -> Iterator[list[int]]:
    """The groups, so many together as have about _ROWS_AT_ONCE rows."""
    some: list[int] = []
    rows = 0
    for group in groups:
        some.append(group)
        rows += hashes[group][0]
        if rows >= _ROWS_AT_ONCE:
            yield some
            some, rows = [], 0
    if some:
        yield some


async def _differing(
    live: Connection,
    rebuilt: Connection,
    table: Table,
    schemas: tuple[str, str],
    groups: Sequence[int],
) -> set[str]:
    """The keys, as text, of the rows that differ."""
    query = sql.SQL(
        "select {key}, hashtextextended({row}, 0) from {table}"
        " where {is_compared} and {group} = any(%s)"
    )

    async def read(connection: Connection, schema: str) -> set[tuple[str, int]]:
        statement = query.format(
            key=table.key_text,
            row=table.row_text,
            table=sql.Identifier(schema, table.name),
            is_compared=table.is_compared,
            group=table.group,
        )
        return set(await (await connection.execute(statement, [list(groups)])).fetchall())

    ours, theirs = await asyncio.gather(read(live, schemas[0]), read(rebuilt, schemas[1]))
    return {key for key, _ in ours ^ theirs}


async def _differences(
    live: Connection,
    rebuilt: Connection,
    table: Table,
    schemas: tuple[str, str],
    groups: Sequence[int],
    keys: Sequence[str],
) -> list[Difference]:
    """The rows of these keys, which are of these groups."""
    ours, theirs = await asyncio.gather(
        _rows(live, table, schemas[0], groups, keys),
        _rows(rebuilt, table, schemas[1], groups, keys),
    )
    return [
        Difference(
            table.name,
            {name: (ours.get(key) or theirs[key])[name] for name in table.key},
            ours.get(key),
            theirs.get(key),
        )
        for key in sorted({*ours, *theirs})
    ]


async def _rows(
    connection: Connection, table: Table, schema: str, groups: Sequence[int], keys: Sequence[str]
) -> dict[str, Row]:
    """The rows of some keys, by the key as text."""
    query = sql.SQL(
        "select {key} as compared_key, t.* from {table} as t"
        " where {group} = any(%s) and {key} = any(%s)"
    ).format(key=table.key_text, table=sql.Identifier(schema, table.name), group=table.group)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, [list(groups), list(keys)])
        return {row.pop("compared_key"): row for row in await cursor.fetchall()}
