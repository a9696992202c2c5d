"""The months of `price_history`: attached ahead and on demand, detached when old."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from psycopg import sql

from projections.base import Connection
from projections.periods import Calendar, Periods, close, scalar


def following(month: dt.date) -> dt.date:
    """The first day of the next month."""
    return (month + dt.timedelta(days=32)).replace(day=1)


#: The months of `price_history`.
MONTHS = Calendar("price_history", "price_months", "month", following, "%Y_%m")


class Months(Periods):
    """What is known of the months of one process' current generation."""

    def __init__(self) -> None:
        super().__init__(MONTHS)


def partition_name(month: dt.date) -> str:
    """The table that holds a month: `price_history_2026_11`."""
    return MONTHS.partition_name(month)


async def close_old(connection: Connection, keep_days: int) -> list[dt.date]:
    """Detach the months whose newest record was appended `keep_days` before the newest of all.

    Their tables stay, outside of `price_history`; their seconds stay as they are. Returns them.
    See projections.periods.close.
    """

    async def due(connection: Connection, months: Sequence[dt.date]) -> list[dt.date]:
        newest = {month: await _newest_append(connection, month) for month in months}
        limit = max((time for time in newest.values() if time), default=None)
        if limit is None:
            return []
        oldest = limit - dt.timedelta(days=keep_days)
        return [month for month, time in newest.items() if time is not None and time < oldest]

    return await close(connection, MONTHS, due)


async def _newest_append(connection: Connection, month: dt.date) -> dt.datetime | None:
    table = sql.Identifier(partition_name(month))
    newest: dt.datetime | None = await scalar(
        connection, sql.SQL("select max(appended) from {}").format(table)
    )
    return newest
