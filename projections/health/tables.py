"""The tables of `health`: in each, of the rows of a key that of the newest event stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from projections.base import Connection
from streams.events.types import moment

#: Days that are kept, back from the append time of the newest record. The topic keeps as many.
KEEP_DAYS = 7
_DAY_MS = 86_400_000
#: Old rows are removed once in so many milliseconds of the log.
_STEP_MS = 3_600_000

_COUNTS = (
    *("frames", "frames_per_second", "events", "reconnects", "gaps", "unparsed"),
    *("clock_skew", "cpu_percent", "memory_bytes"),
)
_PLACE = ("content", "appended", "partition", "offset")


@dataclass(frozen=True)
class Table:
    """A table, the columns of its key, the others, and which of them is the event's time.

    `kafka_key` as in projections.base.
    """

    name: str
    kafka_key: str
    key: tuple[str, ...]
    rest: tuple[str, ...]
    time: str = "time"

    def key_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """The key of a row."""
        return tuple(row[name] for name in self.key)

    def rank_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Of the rows of a key the one with the greatest rank stands."""
        return row[self.time], row["content"]

    @cached_property
    def statement(self) -> bytes:
        """Writes the rows of a JSON array; what is not kept any more is left out."""
        columns = ", ".join(f'"{name}"' for name in (*self.key, *self.rest, *_PLACE))
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in (*self.rest, *_PLACE))
        return f"""
insert into {self.name} as t ({columns})
select {columns} from json_populate_recordset(null::{self.name}, %s::json)
where {self.time} >= (select since from health_kept)
on conflict ({", ".join(self.key)}) do update
set {changes}
where (excluded.{self.time}, excluded.content) > (t.{self.time}, t.content)
""".encode()


SERVICES = Table(
    "health_services",
    "service",
    ("service", "instance"),
    (
        *("state", "since", "detail", "crash_loop", "last_frame", *_COUNTS),
        *("scope", "complete_until", "time"),
    ),
)
CHANGES = Table(
    "health_changes",
    "service",
    ("service", "instance", "since", "state"),
    ("detail", "crash_loop", "last_seen"),
    time="last_seen",
)
MINUTES = Table(
    "health_minutes",
    "service",
    ("service", "minute", "instance"),
    ("state", *_COUNTS, "time"),
)
RESTARTS = Table(
    "health_restarts",
    "service",
    ("service", "supervisor", "time"),
    ("action", "reason", "restarts", "pause_ms"),
)
INCIDENTS = Table(
    "health_incidents",
    "cause",
    ("incident", "cause"),
    (
        *("action", "severity", "title", "detail", "symptoms"),
        *("opened", "closed", "changed", "service"),
    ),
    time="changed",
)
TABLES = (SERVICES, CHANGES, MINUTES, RESTARTS, INCIDENTS)


def kept_since(appended: int) -> int:
    """From when on is kept, once a record was appended then; both milliseconds since 1970 UTC.

    In whole hours, so that old rows are seldom looked for.
    """
    return appended - appended % _STEP_MS - KEEP_DAYS * _DAY_MS


async def keep(connection: Connection, appended: int) -> None:
    """Remove what is too old for a log that goes up to this append time (milliseconds).

    In the unit of work and not now and then, so that the same log always leaves the same rows.
    """
    await connection.execute("select keep_health(%s)", [moment(kept_since(appended) * 1000)])


async def write(
    connection: Connection, table: Table, rows: Mapping[tuple[Any, ...], Mapping[str, Any]]
) -> None:
    """Write rows, by their keys, where they are newer than what the table has."""
    if rows:
        found = [rows[key] for key in sorted(rows)]
        await connection.execute(table.statement, [orjson.dumps(found).decode()])
