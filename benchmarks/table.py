"""The table that all contenders fill, how it is checked, and what its commits say about speed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.dataset import STARTS, Totals
from benchmarks.window import Window

#: Columns of a trade in the event's order; a peer fills these.
COLUMNS = ("venue", "symbol", "trade_id", "price", "size", "side", "time", "sequence", "received")
PRIMARY_KEY = ("venue", "symbol", "time", "trade_id")

_OURS = Path(__file__).parent.parent / "sql" / "projections" / "prices.sql"


def _ddl() -> str:
    """Our own tables for all contenders, but that times are integers, which every peer can write,
    and that the audit columns, which only ours fills, may be null."""
    text = _OURS.read_text(encoding="utf-8").replace("timestamptz", "bigint     ")
    for column in ("appended", "partition", '"offset"'):
        nullable = re.compile(rf"^(    {column} +\w+ +)not null,", re.MULTILINE)
        text = nullable.sub(r"\1,", text, count=1)
    return text


def fresh_database(admin_dsn: str, name: str, at: datetime = STARTS) -> str:
    """Makes database `name` anew with the empty table in it, for trades of that time on.

    Gives its DSN.
    """
    dsn = empty_database(admin_dsn, name)
    create(dsn, at)
    return dsn


def empty_database(admin_dsn: str, name: str) -> str:
    """Makes database `name` anew, with nothing in it. Gives its DSN."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(identifier))
        connection.execute(sql.SQL("create database {}").format(identifier))
    return make_conninfo(admin_dsn, dbname=name)


def create(dsn: str, at: datetime = STARTS) -> None:
    """Makes the empty tables, and the partition that all trades of that time on fall into."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_ddl().encode())
    _attach_partition(dsn, at)


def drop_database(admin_dsn: str, name: str) -> None:
    """Drops database `name`, whoever is still connected."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        query = sql.SQL("drop database if exists {} with (force)")
        connection.execute(query.format(sql.Identifier(name)))


def _attach_partition(dsn: str, at: datetime) -> None:
    """Attaches one partition that covers the month of `at` and the next."""
    low = datetime(at.year, at.month, 1, tzinfo=UTC)
    month = at.month + 1
    high = datetime(at.year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    with psycopg.connect(dsn, autocommit=True) as connection:
        query = sql.SQL(
            "create table price_history_0 partition of price_history"
            " for values from ({low}) to ({high})"
        )
        bounds = {
            "low": int(low.timestamp()) * 1_000_000,
            "high": int(high.timestamp()) * 1_000_000,
        }
        connection.execute(query.format(**bounds))


def checkpoint(dsn: str) -> None:
    """Flushes what earlier contenders left, so that none pays for another's pages."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("checkpoint")


class Growth:
    """Watches a table fill up, at next to no cost to the database: rows are only counted when
    the files have stopped growing."""

    def __init__(self, connection: psycopg.Connection[tuple[int]], table: str) -> None:
        self._connection = connection
        self._table = table
        self._size = 0

    def reached(self, rows: int) -> bool:
        """Whether `rows` rows are there. Call it a few times a second."""
        size = self._one(
            "select coalesce(sum(pg_relation_size(relid)), 0)::bigint"
            " from pg_partition_tree(%s::regclass) where isleaf"
        )
        grown, self._size = size != self._size, size
        if grown or size == 0:
            return False
        count = sql.SQL("select count(*) from {}").format(sql.SQL(self._table))
        row = self._connection.execute(count).fetchone()
        return row is not None and row[0] >= rows

    def _one(self, query: str) -> int:
        row = self._connection.execute(query, [self._table]).fetchone()
        return row[0] if row is not None else 0


def totals(dsn: str, table: str) -> Totals:
    """What the table holds, in the dataset's own sums."""
    with psycopg.connect(dsn) as connection:
        kind = connection.execute(
            "select atttypid::regtype::text from pg_attribute"
            " where attrelid = %s::regclass and attname = 'time'",
            [table],
        ).fetchone()
        micros = "{}" if kind == ("bigint",) else "(extract(epoch from {}) * 1000000)::bigint"
        query = sql.SQL(
            "select count(*), count(distinct (venue, symbol, time, trade_id)),"
            " count(*) filter (where side = 'buy'), coalesce(sum(price), 0),"
            f" coalesce(sum(size), 0), coalesce(sum({micros.format('time')}), 0),"
            " coalesce(sum(sequence), 0),"
            f" coalesce(sum({micros.format('received')}), 0) from {{}}"
        ).format(sql.SQL(table))
        row = connection.execute(query).fetchone()
    assert row is not None
    rows, keys, buys, price, size, time, sequence, received = row
    return Totals(
        rows, keys, buys, Decimal(price), Decimal(size), int(time), int(sequence), int(received)
    )


def window(dsn: str, table: str) -> Window:
    """The commits that filled the table, from the server's own record of them."""
    query = sql.SQL(
        "select extract(epoch from pg_xact_commit_timestamp(id))::float8 as at, sum(n)::bigint"
        " from (select xmin as id, count(*) as n from {} group by xmin) as transactions"
        " group by at order by at"
    ).format(sql.SQL(table))
    with psycopg.connect(dsn) as connection:
        return Window(tuple((at, rows) for at, rows in connection.execute(query)))
