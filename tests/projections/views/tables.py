"""Rows of the tables that views stand on, put there directly, and what a view makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = Mapping[str, Any]

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
ACCOUNT = "kalshi/prod/main/0"
TICKER = "KXBTCD-26NOV1516-T114749.99"
#: Finer than any view rounds, coarser than the server divides.
TINY = Decimal("0.0000000001")


def after(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def put(dsn: str, table: str, *rows: Row) -> None:
    """Insert rows by a stable name; what a row leaves out is the column's default."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for row in rows:
            cursor.execute(
                sql.SQL("insert into {} ({}) values ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(sql.Placeholder() * len(row)),
                ),
                list(row.values()),
            )


def read(dsn: str, query: str, *values: object, zone: str = "UTC") -> list[dict[str, Any]]:
    """The rows of a query, by a session in the given time zone; decimals are Decimal."""
    with psycopg.connect(dsn, options=f"-c timezone={zone}", row_factory=dict_row) as connection:
        return connection.execute(query.encode(), values).fetchall()


def second(at: datetime, price: object, **fields: Any) -> Row:
    """A second of BTC-USD at coinbase with one trade at its start."""
    number = Decimal(str(price))
    return {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "second": at,
        "first_time": at,
        "first_trade_id": "1",
        "volume": 1,
        "trades": 1,
        **dict.fromkeys(("open", "high", "low", "close"), number),
        **fields,
    }


def latest(at: datetime, price: str, **fields: Any) -> Row:
    """The latest price of BTC-USD at coinbase."""
    return {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "time": at,
        "trade_id": "1",
        "price": Decimal(price),
        "received": at,
        **fields,
    }


def quote(at: datetime, **fields: Any) -> Row:
    return {"venue": "kalshi", "ticker": TICKER, "time": at, "received": at, **fields}


def trade(ticket_id: str = "ticket", **fields: Any) -> Row:
    """An open trade of ten YES at 0.40, asked for at noon."""
    return {
        "ticket_id": ticket_id,
        "id": 1,
        "account": ACCOUNT,
        "ticker": TICKER,
        "status": "open",
        "asked_at": NOON,
        "symbol": "BTC",
        "side": "yes",
        "requested": 10,
        "position": 10,
        "held": 10,
        "canceled": 0,
        "buy_price": Decimal("0.40"),
        "fees": 0,
        "fee_estimated": False,
        "origin": "native",
        **fields,
    }


def fact(topic: str, offset: int, **fields: Any) -> Row:
    """A row of facts from a record of partition 0."""
    return {
        "account": ACCOUNT,
        "ticker": TICKER,
        "origin": "native",
        "topic": topic,
        "partition": 0,
        "offset": offset,
        **fields,
    }
