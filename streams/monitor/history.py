"""What was told before: incidents that were open, from the projection `health`."""

from __future__ import annotations

from psycopg import errors

from projections.database import connect
from streams.events.types import micros_of
from streams.monitor.model import Incident, Level

__all__ = ["open_incidents"]

_OPEN = """
select incident, cause, severity, title, symptoms, opened
from public.health_incidents
where closed is null
order by opened
"""


async def open_incidents(dsn: str) -> list[Incident]:
    """Those that nobody has closed; none where the tables are not there yet.

    Raises psycopg's errors where the database does not answer.
    """
    async with await connect(dsn, "monitor history", {"statement_timeout": "3000"}) as connection:
        try:
            rows = await (await connection.execute(_OPEN)).fetchall()
        except errors.UndefinedTable:
            return []
    return [
        Incident(incident, cause, _level(severity), title, tuple(symptoms), micros_of(opened))
        for incident, cause, severity, title, symptoms, opened in rows
    ]


def _level(severity: str) -> Level:
    return Level.CRITICAL if severity == "critical" else Level.WARNING
