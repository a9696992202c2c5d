"""The months of `price_history`: partitions attached ahead and on demand, detached when old.

Attaching and detaching are data definition, so they never happen in a unit of work. Which month
is due follows from the records (their times, their append times), not from a clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from psycopg import sql

from projections.base import Connection

_LOCK = "lock table price_months in share row exclusive mode"
_KNOWN = "select month, closed from price_months"
_INSERT = "insert into price_months (month) values (%s)"
_CLOSE = "update price_months set closed = true where month = %s"
_OPEN = "select month from price_months where not closed order by month"


class Months:
    """What is known of the months of one process' current generation."""

    def __init__(self) -> None:
        self._closed: dict[dt.date, bool] = {}

    def forget(self) -> None:
        """Ask the table again: another process may have attached or closed a month."""
        self._closed = {}

    async def make_ready(
        self, connection: Connection, months: Iterable[dt.date]
    ) -> frozenset[dt.date]:
        """Attach what is missing of these months and their successors; returns the closed ones."""
        wanted = set(months)
        if not wanted <= self._closed.keys():
            ahead = wanted | {following(month) for month in wanted}
            self._closed.update(await (await connection.execute(_KNOWN)).fetchall())
            for month in sorted(ahead - self._closed.keys()):
                await _attach(connection, month)
            self._closed.update(await (await connection.execute(_KNOWN)).fetchall())
        return frozenset(month for month in wanted if self._closed[month])


def following(month: dt.date) -> dt.date:
    """The first day of the next month."""
    return (month + dt.timedelta(days=32)).replace(day=1)


def partition_name(month: dt.date) -> str:
    """The table that holds a month: `price_history_2026_11`."""
    return f"price_history_{month:%Y_%m}"


async def _attach(connection: Connection, month: dt.date) -> None:
    table = sql.Identifier(partition_name(month))
    async with connection.transaction():
        await connection.execute(_LOCK)
        known = dict(await (await connection.execute(_KNOWN)).fetchall())
        if month in known:
            return
        await connection.execute(
            sql.SQL("create table {} (like price_history including defaults)").format(table)
        )
        await connection.execute(
            sql.SQL(
                "alter table price_history attach partition {} for values from ({}) to ({})"
            ).format(table, _midnight(month), _midnight(following(month)))
        )
        await connection.execute(_INSERT, [month])


def _midnight(month: dt.date) -> sql.Literal:
    return sql.Literal(f"{month.isoformat()} 00:00:00+00")


async def close_old(connection: Connection, keep_days: int) -> list[dt.date]:
    """Detach the months whose newest record was appended `keep_days` before the newest of all.

    Their tables stay, outside of `price_history`; their seconds stay as they are. Returns them.
    `connection` is in autocommit mode, its search path is the generation's schema.
    """
    months = [month for (month,) in await (await connection.execute(_OPEN)).fetchall()]
    newest = {month: await _newest_append(connection, month) for month in months}
    limit = max((time for time in newest.values() if time), default=None)
    if limit is None:
        return []
    closed = []
    for month, time in newest.items():
        if time is not None and time < limit - dt.timedelta(days=keep_days):
            await connection.execute(_CLOSE, [month])
            await connection.execute(
                sql.SQL("alter table price_history detach partition {} concurrently").format(
                    sql.Identifier(partition_name(month))
                )
            )
            closed.append(month)
    return closed


async def _newest_append(connection: Connection, month: dt.date) -> dt.datetime | None:
    cursor = await connection.execute(
        sql.SQL("select max(appended) from {}").format(sql.Identifier(partition_name(month)))
    )
    row = await cursor.fetchone()
    return row[0] if row else None
