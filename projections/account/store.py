"""Writing facts: what is there is read and locked, merged with what came, and written if changed.

New rows are inserted, never upserted: where another unit has just inserted the same key, from a
partition of another market, that fails, and the unit tries again with that row in sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from psycopg import AsyncCursor
from psycopg.rows import dict_row

from projections.account.facts import AUDIT, TABLES, FactTable, Key, Row
from projections.base import Connection

_CONFLICTS = """
select c.key, f.*
from fact_conflicts as c
cross join lateral jsonb_populate_record(null::{table}, c.body) as f
where c.fact = %s and c.key = any(%s)
"""
_FORGET_CONFLICTS = "delete from fact_conflicts where fact = %s and key = any(%s)"
_ADD_CONFLICTS = """
insert into fact_conflicts (fact, key, content, body)
select fact, key, content, body
from json_populate_recordset(null::fact_conflicts, %s::json)
"""


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows for json_populate_recordset: decimals as text, times in ISO 8601."""
    return orjson.dumps(rows, default=_plain, option=orjson.OPT_UTC_Z).decode()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _quoted(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


class Statements:
    """The SQL of one table of facts, made of names in our code."""

    def __init__(self, table: FactTable) -> None:
        columns = (*table.columns, *AUDIT)
        rest = [name for name in columns if name not in table.key]
        rows = f"json_populate_recordset(null::{table.name}, %s::json)"
        same = " and ".join(f't."{name}" = k."{name}"' for name in table.key)
        of_key = " and ".join(f't."{name}" = k."{name}"' for name in table.natural_key)
        self.conflicts = _CONFLICTS.format(table=table.name)
        self.find = (
            f"select t.* from {rows} as k join {table.name} as t on {of_key} for update of t"
        )
        self.insert = (
            f"insert into {table.name} ({_quoted(columns)}) select {_quoted(columns)} from {rows}"
        )
        self.update = (
            f"update {table.name} as t set ({_quoted(rest)}) = "
            f"row({_quoted(rest, of='k.')}) "
            f"from {rows} as k where {same}"
        )


_STATEMENTS = {name: Statements(table) for name, table in TABLES.items()}


@dataclass
class Arrived:
    """Rows on their way into a table of facts, and the question for those that are there."""

    table: FactTable
    rows: dict[Key, list[Row]]
    held: AsyncCursor[Row]


async def find(connection: Connection, table: FactTable, rows: Iterable[Row]) -> Arrived:
    """Ask for, and lock, what is held of the keys of these rows, of either origin."""
    arrived: dict[Key, list[Row]] = {}
    for row in rows:
        arrived.setdefault(table.key_of(row), []).append(row)
    natural = {key[:-1] for key in arrived}
    named = [dict(zip(table.natural_key, key, strict=True)) for key in natural]
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_STATEMENTS[table.name].find, [as_json(named)])
    return Arrived(table, arrived, cursor)


async def store(connection: Connection, arrived: Arrived) -> list[Row]:
    """Merge these rows into the table.

    Where one is new or changed, returns all rows of its natural key, as they are and as they were:
    all touched markets are among them.
    """
    table = arrived.table
    held = {table.key_of(row): row for row in await arrived.held.fetchall()}
    candidates = {
        key: [held[key], *came] if key in held else came for key, came in arrived.rows.items()
    }
    contested = {key: some for key, some in candidates.items() if _is_contested(table, some)}
    after = {key: _merged(table, some) for key, some in candidates.items() if key not in contested}
    if contested:
        after |= await _settle(connection, table, contested)
    inserted = [row for key, row in after.items() if key not in held]
    changed = [row for key, row in after.items() if key in held and _differs(table, held[key], row)]
    statements = _STATEMENTS[table.name]
    if inserted:
        await connection.execute(statements.insert, [as_json(inserted)])
    if changed:
        await connection.execute(statements.update, [as_json(changed)])
    written = [*inserted, *changed]
    touched = {table.key_of(row)[:-1] for row in written} if held else set()
    return written + [row for key, row in held.items() if key[:-1] in touched]


def _is_contested(table: FactTable, rows: Sequence[Row]) -> bool:
    """Whether these contents contradict each other, where that matters."""
    return len(rows) > 1 and not table.is_latest and len({table.core(row) for row in rows}) > 1


def _merged(table: FactTable, rows: Sequence[Row]) -> Row:
    """One row of rows with one key: the winner, filled from the others."""
    best = rows[0]
    for row in rows[1:]:
        if table.core(row) != table.core(best) and table.wins(row, best):
            best = table.join(row, best)
        else:
            best = table.join(best, row)
    return best


def _differs(table: FactTable, one: Row, other: Row) -> bool:
    return any(one[name] != other[name] for name in table.columns)


async def _settle(
    connection: Connection,
    table: FactTable,
    contested: Mapping[Key, list[Row]],
) -> dict[Key, Row]:
    """Decide keys with several contents anew, with all contents that ever came."""
    texts = {key: orjson.dumps([str(part) for part in key]).decode() for key in contested}
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_STATEMENTS[table.name].conflicts, [table.name, list(texts.values())])
    known: dict[str, list[Row]] = {}
    for row in await cursor.fetchall():
        known.setdefault(row["key"], []).append(row)
    settled, losers = {}, []
    for key, rows in contested.items():
        by_core: dict[Key, Row] = {}
        for row in [*rows, *known.get(texts[key], ())]:
            core = table.core(row)
            by_core[core] = table.join(by_core[core], row) if core in by_core else row
        contents = list(by_core.values())
        winner = contents[0]
        for row in contents[1:]:
            winner = row if table.wins(row, winner) else winner
        settled[key] = winner
        losers += [_conflict(table, texts[key], row) for row in contents if row is not winner]
    await connection.execute(_FORGET_CONFLICTS, [table.name, list(texts.values())])
    await connection.execute(_ADD_CONFLICTS, [as_json(losers)])
    return settled


def _conflict(table: FactTable, key: str, row: Row) -> Row:
    body = {name: row[name] for name in (*table.columns, *AUDIT)}
    return {
        "fact": table.name,
        "key": key,
        "content": table.content(row),
        "body": body,
    }
