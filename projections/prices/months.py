"""The months of `price_history`: partitions attached ahead and on demand, detached when old.

Attaching and detaching are data definition, so they never happen in a unit of work. Which month
is due follows from the records (their times, their append times), not from a clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, LiteralString

from psycopg import sql

from projections.base import Connection

_LOCK = "lock table price_months in share row exclusive mode"
_KNOWN = "select month, closed from price_months"
_INSERT = "insert into price_months (month) values (%s)"
_CLOSE = "update price_months set closed = true where month = %s"
_OPEN = "select month from price_months where not closed order by month"
_CLOSED = "select month from price_months where closed order by month"
_ATTACHED = """
select c.relname, i.inhdetachpending
from pg_inherits as i
join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'price_history'::regclass
"""
_TRY_LOCK = "select pg_try_advisory_lock('price_months'::regclass::bigint)"
_UNLOCK = "select pg_advisory_unlock('price_months'::regclass::bigint)"


class Months:
    """What is known of the months of one process' current generation."""

    def __init__(self) -> None:
        self._closed: dict[dt.date, bool] = {}

    def forget(self) -> None:
        """Ask the table again: another process may have attached or closed a month."""
        self._closed = {}

    def are_open(self, months: Iterable[dt.date]) -> bool:
        """Whether all these are known to be attached and not closed."""
        return all(self._closed.get(month) is False for month in months)

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
    Where another process is at it, does nothing.
    `connection` is in autocommit mode, its search path is the generation's schema.
    """
    if not await _one(connection, _TRY_LOCK):
        return []
    try:
        due = await _due(connection, keep_days)
        for month in due:
            await connection.execute(_CLOSE, [month])
        await _detach_closed(connection)
    finally:
        await connection.execute(_UNLOCK)
    return due


async def _due(connection: Connection, keep_days: int) -> list[dt.date]:
    months = [month for (month,) in await (await connection.execute(_OPEN)).fetchall()]
    newest = {
        month: await _one(
            connection,
            sql.SQL("select max(appended) from {}").format(sql.Identifier(partition_name(month))),
        )
        for month in months
    }
    limit = max((time for time in newest.values() if time), default=None)
    if limit is None:
        return []
    oldest = limit - dt.timedelta(days=keep_days)
    return [month for month, time in newest.items() if time is not None and time < oldest]


async def _detach_closed(connection: Connection) -> None:
    """Also those that an earlier run closed and, interrupted, left attached or half detached."""
    attached = dict(await (await connection.execute(_ATTACHED)).fetchall())
    for (month,) in await (await connection.execute(_CLOSED)).fetchall():
        pending = attached.get(table := partition_name(month))
        if pending is not None:
            await connection.execute(
                sql.SQL("alter table price_history detach partition {} {}").format(
                    sql.Identifier(table), sql.SQL("finalize" if pending else "concurrently")
                )
            )


async def _one(connection: Connection, query: LiteralString | sql.Composed) -> Any:
    row = await (await connection.execute(query)).fetchone()
    return row[0] if row else None
