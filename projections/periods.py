"""Tables partitioned by time: partitions attached ahead and on demand, detached when old.

Attaching and detaching are data definition, so they never happen in a unit of work. Which period
is due follows from the records (their times, their append times), not from a clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from projections.base import Connection

_ATTACHED = """
select c.relname, i.inhdetachpending
from pg_inherits as i
join pg_class as c on c.oid = i.inhrelid
where i.inhparent = %s::regclass
"""


@dataclass(frozen=True)
class Calendar:
    """How `table` is partitioned: into periods, each named by its first day in UTC.

    `register` is the table of the periods that there are: the first day, in the column `unit`, and
    whether the period is `closed`, that is detached for ever.
    """

    table: LiteralString
    register: LiteralString
    unit: LiteralString
    #: The first day of the period after.
    following: Callable[[dt.date], dt.date]
    #: What a partition's name has after the table's, as strftime takes it.
    suffix: str

    def partition_name(self, period: dt.date) -> str:
        """The table that holds a period: `price_history_2026_11`."""
        return f"{self.table}_{period.strftime(self.suffix)}"

    def statement(self, query: LiteralString) -> sql.Composed:
        """A query with the names of the register and its unit filled in."""
        return sql.SQL(query).format(
            register=sql.Identifier(self.register), unit=sql.Identifier(self.unit)
        )


class Periods:
    """What is known of the periods of one process' current generation."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._closed: dict[dt.date, bool] = {}

    def forget(self) -> None:
        """Ask the table again: another process may have attached or closed a period."""
        self._closed = {}

    def are_open(self, periods: Iterable[dt.date]) -> bool:
        """Whether all these are known to be attached and not closed."""
        return all(self._closed.get(period) is False for period in periods)

    async def make_ready(
        self, connection: Connection, periods: Iterable[dt.date]
    ) -> frozenset[dt.date]:
        """Attach what is missing of these periods and their successors; returns the closed ones."""
        wanted = set(periods)
        if not wanted <= self._closed.keys():
            ahead = wanted | {self._calendar.following(period) for period in wanted}
            self._closed.update(await _known(connection, self._calendar))
            for period in sorted(ahead - self._closed.keys()):
                await _attach(connection, self._calendar, period)
            self._closed.update(await _known(connection, self._calendar))
        return frozenset(period for period in wanted if self._closed[period])


async def _known(connection: Connection, calendar: Calendar) -> dict[dt.date, bool]:
    query = calendar.statement("select {unit}, closed from {register}")
    return dict(await (await connection.execute(query)).fetchall())


async def _attach(connection: Connection, calendar: Calendar, period: dt.date) -> None:
    names = {
        "table": sql.Identifier(calendar.table),
        "partition": sql.Identifier(calendar.partition_name(period)),
        "first": _midnight(period),
        "end": _midnight(calendar.following(period)),
    }
    async with connection.transaction():
        await connection.execute(
            calendar.statement("lock table {register} in share row exclusive mode")
        )
        if period in await _known(connection, calendar):
            return
        await connection.execute(
            sql.SQL("create table {partition} (like {table} including defaults)").format(**names)
        )
        await connection.execute(
            sql.SQL(
                "alter table {table} attach partition {partition}"
                " for values from ({first}) to ({end})"
            ).format(**names)
        )
        await connection.execute(
            calendar.statement("insert into {register} ({unit}) values (%s)"), [period]
        )


def _midnight(day: dt.date) -> sql.Literal:
    return sql.Literal(f"{day.isoformat()} 00:00:00+00")


async def close(
    connection: Connection,
    calendar: Calendar,
    find_due: Callable[[Connection, Sequence[dt.date]], Awaitable[Sequence[dt.date]]],
) -> list[dt.date]:
    """Detach the periods that `find_due` chooses from those that are open; returns them.

    Their tables stay, outside of the partitioned one. Where another process is at it, does nothing.
    `connection` is in autocommit mode, its search path is the generation's schema.
    """
    lock = [calendar.register]
    if not await scalar(
        connection, "select pg_try_advisory_lock(%s::text::regclass::bigint)", lock
    ):
        return []
    try:
        known = await _known(connection, calendar)
        open_periods = [period for period in sorted(known) if not known[period]]
        due = list(await find_due(connection, open_periods))
        for period in due:
            await connection.execute(
                calendar.statement("update {register} set closed = true where {unit} = %s"),
                [period],
            )
        await _detach_closed(connection, calendar)
    finally:
        await connection.execute("select pg_advisory_unlock(%s::text::regclass::bigint)", lock)
    return due


async def close_like(connection: Connection, calendar: Calendar, live: str) -> None:
    """Detach the periods that the generation in the schema `live` has closed. See `close`."""
    closed = sql.SQL("select {} from {} where closed").format(
        sql.Identifier(calendar.unit), sql.Identifier(live, calendar.register)
    )

    async def due(connection: Connection, periods: Sequence[dt.date]) -> list[dt.date]:
        found = {period for (period,) in await (await connection.execute(closed)).fetchall()}
        return [period for period in periods if period in found]

    await close(connection, calendar, due)


async def hold(connection: Connection, calendar: Calendar) -> None:
    """Keep periods from being closed until the transaction of the caller ends."""
    await connection.execute(
        "select pg_advisory_xact_lock(%s::text::regclass::bigint)", [calendar.register]
    )


async def _detach_closed(connection: Connection, calendar: Calendar) -> None:
    """Also those that an earlier run closed and, interrupted, left attached or half detached."""
    attached = dict(await (await connection.execute(_ATTACHED, [calendar.table])).fetchall())
    known = await _known(connection, calendar)
    for period in sorted(period for period in known if known[period]):
        pending = attached.get(partition := calendar.partition_name(period))
        if pending is not None:
            await connection.execute(
                sql.SQL("alter table {} detach partition {} {}").format(
                    sql.Identifier(calendar.table),
                    sql.Identifier(partition),
                    sql.SQL("finalize" if pending else "concurrently"),
                )
            )


async def scalar(
    connection: Connection, query: LiteralString | sql.Composed, values: Sequence[Any] = ()
) -> Any:
    """The first column of a query's first row; None where there is no row."""
    row = await (await connection.execute(query, values)).fetchone()
    return row[0] if row else None
