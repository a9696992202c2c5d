"""From events of `system.health` to rows: of each key those that its newest event makes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from projections.base import Batch, Decoded, Recorded, Refused, read_event
from projections.health.tables import CHANGES, INCIDENTS, MINUTES, RESTARTS, SERVICES, TABLES, Table
from streams.events import DecodeError, Event, Heartbeat, Incident, Restart
from streams.events.system_health import TOPIC
from streams.events.types import MAX_INT64, moment, plain

_MINUTE = 60_000_000
#: An incident may be opened and closed at one time: then it is closed.
_STEPS = {"opened": 0, "changed": 1, "closed": 2}

Row = dict[str, Any]


@dataclass(slots=True)
class Facts:
    """What some records come to: `rows` by table and key, and the newest append time (ms)."""

    rows: Mapping[str, dict[tuple[Any, ...], Row]] = field(
        default_factory=lambda: {table.name: {} for table in TABLES}
    )
    appended: int = 0

    def add(self, table: Table, row: Row) -> None:
        """Keep the row, unless there is a newer one of its key."""
        rows = self.rows[table.name]
        key = table.key_of(row)
        if key not in rows or table.rank_of(rows[key]) < table.rank_of(row):
            rows[key] = row


def read(batches: Sequence[Batch]) -> Decoded[Facts]:
    """The facts of these batches, and the records that are refused; see projections.base."""
    decoded = Decoded(Facts())
    for batch in batches:
        for record in batch.records:
            try:
                event = read_event(record, (TOPIC,))
                _check_storable(event)
            except DecodeError as error:
                decoded.refused.append(Refused(batch.source, record, str(error)))
            else:
                place = Recorded(batch.source, record.offset, record.timestamp, event)
                _add(place, decoded.facts)
    return decoded


def _check_storable(event: Event) -> None:
    """Refused here rather than by the server, which is given the newest of each key only."""
    texts: list[str | None] = []
    if isinstance(event, Heartbeat):
        texts = [event.detail, event.scope]
        if abs(event.clock_skew or 0) > MAX_INT64:
            raise DecodeError("clock_skew: over 64 bits")
    elif isinstance(event, Restart):
        texts = [event.reason]
    elif isinstance(event, Incident):
        texts = [event.title, event.detail, *event.symptoms]
    if any(text and "\0" in text for text in texts):
        raise DecodeError("a NUL character, which PostgreSQL cannot store")


def _add(one: Recorded, facts: Facts) -> None:
    facts.appended = max(facts.appended, one.appended)
    for table, row in _rows(one.event):
        place = {"partition": one.source.partition, "offset": one.offset}
        facts.add(table, {**row, **place, "appended": moment(one.appended * 1000)})


def _rows(event: Event) -> Iterator[tuple[Table, Row]]:
    if isinstance(event, Heartbeat):
        yield from _heartbeat(event)
    elif isinstance(event, Restart):
        yield RESTARTS, _restart(event)
    elif isinstance(event, Incident):
        yield INCIDENTS, _incident(event)


def _heartbeat(beat: Heartbeat) -> Iterator[tuple[Table, Row]]:
    time = moment(beat.time)
    who = {"service": beat.service, "instance": beat.instance, "content": _hash(beat)}
    state = {"state": beat.state, "since": moment(beat.since)}
    why = {"detail": beat.detail, "crash_loop": beat.crash_loop}
    counts = {
        "frames": beat.frames,
        "frames_per_second": plain(beat.frames_per_second),
        "events": beat.events,
        "reconnects": beat.reconnects,
        "gaps": beat.gaps,
        "unparsed": beat.unparsed,
        "clock_skew": beat.clock_skew,
        "cpu_percent": plain(beat.cpu_percent),
        "memory_bytes": beat.memory_bytes,
    }
    marks = {
        "last_frame": _moment(beat.last_frame),
        "scope": beat.scope,
        "complete_until": _moment(beat.complete_until),
    }
    yield SERVICES, {**who, **state, **why, **counts, **marks, "time": time}
    yield CHANGES, {**who, **state, **why, "last_seen": time}
    minute = moment(beat.time - beat.time % _MINUTE)
    yield MINUTES, {**who, "state": beat.state, **counts, "minute": minute, "time": time}


def _restart(restart: Restart) -> Row:
    return {
        "service": restart.service,
        "supervisor": restart.supervisor,
        "time": moment(restart.time),
        "action": restart.action,
        "reason": restart.reason,
        "restarts": restart.restarts,
        "pause_ms": restart.pause_ms,
        "content": _hash(restart),
    }


def _incident(incident: Incident) -> Row:
    return {
        "incident": incident.incident,
        "cause": incident.cause,
        "action": incident.action,
        "severity": incident.severity,
        "title": incident.title,
        "detail": incident.detail,
        "symptoms": incident.symptoms,
        "opened": moment(incident.opened),
        "closed": _moment(incident.closed),
        "changed": moment(incident.time),
        "service": incident.service,
        "content": f"{_STEPS[incident.action]}{_hash(incident)}",
    }


def _moment(micros: int | None) -> Any:
    return None if micros is None else moment(micros)


def _hash(event: Event) -> str:
    return hashlib.sha256(event.to_json()).hexdigest()[:16]
