"""What the tables of `health` must hold, from a log alone: a plain fold, in memory.

It is written from the rules (sql/projections/health.sql) in plain Python, and shares no code with
`projections`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from streams.events import Event, Heartbeat, Incident, Restart

Row = dict[str, Any]
#: An event and its append time, milliseconds.
Told = tuple[Event, int]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HOUR = 3_600_000
_WEEK = 7 * 24 * _HOUR
_COUNTS = (
    *("frames", "frames_per_second", "events", "reconnects", "gaps", "unparsed"),
    *("clock_skew", "cpu_percent", "memory_bytes"),
)
#: The columns that tell which record made a row.
AUDIT = {"topic", "partition", "offset", "appended"}


def when(micros: int | None) -> dt.datetime | None:
    return None if micros is None else _EPOCH + dt.timedelta(microseconds=micros)


def folded(log: Iterable[Told]) -> dict[str, list[Row]]:
    """The rows of each table, in no order."""
    told = list(log)
    newest = max((at for _, at in told), default=0)
    first = (newest // _HOUR * _HOUR - _WEEK) * 1000
    kept = [event for event, _ in told if event.time >= first]  # type: ignore[attr-defined]
    beats = [one for one in kept if isinstance(one, Heartbeat)]
    return {
        "health_services": _last(beats, lambda b: (b.service, b.instance), _service),
        "health_changes": _last(beats, lambda b: (b.service, b.instance, b.since, b.state), _state),
        "health_minutes": _last(
            beats, lambda b: (b.service, b.instance, b.time // 60_000_000), _minute
        ),
        "health_restarts": _last(
            [one for one in kept if isinstance(one, Restart)],
            lambda r: (r.service, r.supervisor, r.time),
            _restart,
        ),
        "health_incidents": _last(
            [one for one in kept if isinstance(one, Incident)],
            lambda i: (i.incident, i.cause),
            _incident,
        ),
    }


def _content(event: Any) -> str:
    step = ""
    if isinstance(event, Incident):
        step = {"opened": "0", "changed": "1", "closed": "2"}[event.action]
    return step + hashlib.sha256(event.model_dump_json().encode()).hexdigest()[:16]


def _last(events: Any, key_of: Any, row_of: Any) -> list[Row]:
    groups: dict[Any, list[Any]] = {}
    for event in events:
        groups.setdefault(key_of(event), []).append(event)
    rows = []
    for group in groups.values():
        last = max(group, key=lambda one: (one.time, _content(one)))
        rows.append({**row_of(last), "content": _content(last)})
    return rows


def _of(event: Any, *names: str) -> Row:
    values = {name: getattr(event, name) for name in names}
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


def _service(beat: Heartbeat) -> Row:
    return {
        **_of(beat, "service", "instance", "state", "detail", "crash_loop", "scope", *_COUNTS),
        "since": when(beat.since),
        "last_frame": when(beat.last_frame),
        "complete_until": when(beat.complete_until),
        "time": when(beat.time),
    }


def _state(beat: Heartbeat) -> Row:
    return {
        **_of(beat, "service", "instance", "state", "detail", "crash_loop"),
        "since": when(beat.since),
        "last_seen": when(beat.time),
    }


def _minute(beat: Heartbeat) -> Row:
    return {
        **_of(beat, "service", "instance", "state", *_COUNTS),
        "minute": when(beat.time // 60_000_000 * 60_000_000),
        "time": when(beat.time),
    }


def _restart(one: Restart) -> Row:
    return {
        **_of(one, "service", "supervisor", "action", "reason", "restarts", "pause_ms"),
        "time": when(one.time),
    }


def _incident(one: Incident) -> Row:
    return {
        **_of(one, "incident", "cause", "action", "severity", "title", "detail", "service"),
        "symptoms": list(one.symptoms),
        "opened": when(one.opened),
        "closed": when(one.closed),
        "changed": when(one.time),
    }
