"""What was told before, from the projection `health`: open incidents, and the last heartbeats."""

from __future__ import annotations

from typing import Any

from psycopg import errors
from psycopg.rows import dict_row

from projections.database import connect
from streams.events.system_health import Heartbeat
from streams.events.types import micros_of
from streams.monitor.model import Incident, Level

__all__ = ["last_heartbeats", "open_incidents"]

_OPEN = """
select incident, cause, severity, title, symptoms, opened
from public.health_incidents
where closed is null
order by opened
"""

_HEARTBEATS = """
select distinct on (service)
    service, instance, state, since, detail, last_frame, frames, frames_per_second, events,
    reconnects, gaps, unparsed, clock_skew, cpu_percent, memory_bytes, scope, complete_until,
    crash_loop, time
from public.health_services
where time > now() - interval '2 days'
order by service, time desc
"""
_TIMES = {"since", "last_frame", "complete_until", "time"}


async def open_incidents(dsn: str) -> list[Incident]:
    """Those that nobody has closed; none where the tables are not there yet.

    Raises psycopg's errors where the database does not answer.
    """
    return [
        Incident(
            one["incident"],
            one["cause"],
            _level(one["severity"]),
            one["title"],
            tuple(one["symptoms"]),
            micros_of(one["opened"]),
        )
        for one in await _rows(dsn, _OPEN)
    ]


async def last_heartbeats(dsn: str) -> list[Heartbeat]:
    """Of each service the newest of the last two days; raises as `open_incidents`."""
    return [
        Heartbeat.model_validate(
            {
                name: micros_of(value) if name in _TIMES and value is not None else value
                for name, value in one.items()
            }
        )
        for one in await _rows(dsn, _HEARTBEATS)
    ]


async def _rows(dsn: str, query: str) -> list[dict[str, Any]]:
    async with await connect(dsn, "monitor history", {"statement_timeout": "3000"}) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        try:
            return await (await cursor.execute(query.encode())).fetchall()
        except errors.UndefinedTable:
            return []


def _level(severity: str) -> Level:
    return Level.CRITICAL if severity == "critical" else Level.WARNING
