"""The log `market_log`: every event of `kalshi.market`, by day of its appending, for 30 days.

A day is a partition of its own, so that what is too old is dropped and not deleted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from psycopg import errors, sql

from projections.base import Connection
from projections.database import is_at_once
from projections.periods import Calendar, Periods, close, scalar
from streams.events.types import moment

#: Days that are kept, counted back from the newest day that has records. The topic keeps as many.
KEEP_DAYS = 30
_DAY_MS = 86_400_000


class LogRow(NamedTuple):
    """A row of `market_log`, as text where COPY takes text; times as `timestamp` writes them."""

    appended: str
    partition: int
    offset: int
    venue: str
    ticker: str
    type: str
    time: str
    received: str
    event: str


#: Rows by the day of their appending, each in offset order.
Rows = Mapping[dt.date, Sequence[LogRow]]

_COLUMNS = ", ".join(f'"{name}"' for name in LogRow._fields)
# No JSON holds this control character, nor does any other column: so nothing is ever escaped.
_COPY = f"copy market_log ({_COLUMNS}) from stdin (format csv, quote E'\\x01')".encode()
_INSERT = f"""
insert into market_log ({_COLUMNS})
select {_COLUMNS} from json_populate_recordset(null::market_log, %s::json)
"""


class DayClosed(Exception):
    """There is no partition for a record's day any more."""


def _next_day(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1)


#: The days of `market_log`.
DAYS = Calendar("market_log", "market_log_days", "day", _next_day, "%Y_%m_%d")


class Days(Periods):
    """What is known of the days of one process' current generation."""

    def __init__(self) -> None:
        super().__init__(DAYS)


@lru_cache(maxsize=64)
def _day(number: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=number)


def day_of(appended_ms: int) -> dt.date:
    """The day, in UTC, of an append time in milliseconds."""
    return _day(appended_ms // _DAY_MS)


@lru_cache(maxsize=1024)
def _second(number: int) -> str:
    return f"{moment(number * 1_000_000):%Y-%m-%d %H:%M:%S}"


def timestamp(micros: int) -> str:
    """Microseconds since 1970 UTC as the table takes them: `2026-11-15 12:00:00.000001+00`."""
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06}+00"


async def write(connection: Connection, rows: Rows) -> None:
    """Append rows, in the caller's transaction.

    Raises DayClosed where a day was closed meanwhile: unless statements are sent without waiting,
    when the server's own error comes later.
    """
    for day in sorted(rows):
        if is_at_once(connection):
            found: list[dict[str, Any]] = [row._asdict() for row in rows[day]]
            await connection.execute(_INSERT, [orjson.dumps(found).decode()])
            continue
        try:
            async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                await copy.write("".join(map(_line, rows[day])))
        except errors.CheckViolation as error:
            raise DayClosed(f"the day {day} of market_log is closed: too old") from error


def _line(row: LogRow) -> str:
    appended, partition, offset, venue, ticker, kind, time, received, event = row
    return (
        f"{appended},{partition},{offset},{venue},{ticker},{kind},{time},{received},"
        f"\x01{event}\x01\n"
    )


async def drop_old(connection: Connection) -> list[dt.date]:
    """Drop the days that are over KEEP_DAYS older than the newest with records; returns them.

    See projections.periods.close for the connection, and for what happens where another process is
    at it.
    """
    closed = await close(connection, DAYS, _due)
    gone = await connection.execute(DAYS.statement("select {unit} from {register} where closed"))
    for (day,) in await gone.fetchall():
        await connection.execute(
            sql.SQL("drop table if exists {}").format(sql.Identifier(DAYS.partition_name(day)))
        )
    return closed


async def _due(connection: Connection, days: Sequence[dt.date]) -> list[dt.date]:
    for newest in reversed(days):
        table = sql.Identifier(DAYS.partition_name(newest))
        if await scalar(connection, sql.SQL("select exists (select from {})").format(table)):
            return [day for day in days if day < newest - dt.timedelta(days=KEEP_DAYS)]
    return []
