"""Many times as much of an account: its rows again, in other markets, under other ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from projections.account import Account

_SCHEMA = "account_1"

# As long and as scattered as the venue's own ids; equal ids stay equal, whichever table has them.
_FUNCTIONS = """
create function pg_temp.copied(id text, copy integer) returns text language sql immutable
return md5(id || '/' || copy)::uuid::text;
"""

_KEYS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint
where contype = 'p' and connamespace = %s::regnamespace
"""
_INDEXES = "select indexname, indexdef from pg_indexes where schemaname = %s"

_ID = "pg_temp.copied({column}, copy)"
_EXPRESSIONS = {
    **dict.fromkeys(("trade_id", "order_id", "client_order_id", "command_id", "ticket_id"), _ID),
    "ticker": "replace(ticker, 'KXBTCD-', 'KXBTCD' || copy || '-')",
    "id": (
        "('x' || left(encode(sha256(pg_temp.copied(ticket_id, copy)::bytea), 'hex'), 14))"
        "::bit(56)::bigint >> 3"
    ),
    "ref": "case kind when 'settlement' then ref else pg_temp.copied(ref, copy) end",
}


def multiply(dsn: str, times: int) -> None:
    """Make the tables hold so many times what they hold, facts and what follows from them alike."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit to off")
        connection.execute(_FUNCTIONS.encode())
        with _without_indexes(connection):
            for table in Account.tables:
                columns = _columns(connection, table)
                if "ticker" in columns:
                    connection.execute(_insert(table, columns), [times - 1])
    vacuum(dsn)


def vacuum(dsn: str) -> None:
    """What autovacuum and the checkpointer do in their time."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Makes them again in the end: one by one, scattered ids take five times as long."""
    keys = connection.execute(_KEYS, [_SCHEMA]).fetchall()
    for table, name, _ in keys:
        connection.execute(f"alter table {table} drop constraint {name}".encode())
    others = connection.execute(_INDEXES, [_SCHEMA]).fetchall()
    for name, _ in others:
        connection.execute(f"drop index {_SCHEMA}.{name}".encode())
    yield
    for table, name, definition in keys:
        connection.execute(f"alter table {table} add constraint {name} {definition}".encode())
    for _, definition in others:
        connection.execute(definition.encode())


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    found = connection.execute(
        "select column_name from information_schema.columns"
        " where table_schema = %s and table_name = %s order by ordinal_position",
        [_SCHEMA, table],
    )
    return [name for (name,) in found]


def _insert(table: str, columns: list[str]) -> sql.Composed:
    values = [
        sql.SQL(_EXPRESSIONS.get(name, "{column}")).format(column=sql.Identifier(name))
        for name in columns
    ]
    return sql.SQL(
        "insert into {table} ({columns}) select {values}"
        " from {table} cross join generate_series(1, %s) as copies (copy)"
    ).format(
        table=sql.Identifier(_SCHEMA, table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(values),
    )
