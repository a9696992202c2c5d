"""The events of `system.health`: heartbeats, what supervisors started again, and incidents."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streams.events.base import Event
from streams.events.types import Identifier, Micros, Sequence, Size, Text

TOPIC = "system.health"

State = Literal["starting", "standby", "connecting", "connected", "crashed", "stopped"]

#: The most symptoms of one incident.
MOST_SYMPTOMS = 100

#: One sentence for people.
Title = Annotated[str, Field(strict=True, min_length=1, max_length=500)]
Symptom = Annotated[str, Field(strict=True, min_length=1, max_length=500)]


class Heartbeat(Event):
    """How one service of one process does; counts are since it started.

    A service is a feed of a producer (`producer/coinbase`) or a projection of a worker
    (`worker/prices`). `standby` means that another instance holds its lease. For a worker,
    `connected` means that it holds partitions, and frames are records.
    """

    name: ClassVar[str] = "health.heartbeat"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC

    service: Identifier
    #: One run of one process: `host/pid/start`.
    instance: Identifier
    state: State
    #: When it got into this state.
    since: Micros
    #: Why, where there is something to tell: what ended the connection, what crashed.
    detail: Text | None
    last_frame: Micros | None
    frames: Sequence
    frames_per_second: Size
    events: Sequence
    reconnects: Sequence
    gaps: Sequence
    unparsed: Sequence
    #: This machine's clock less the venue's, in microseconds, at least; null where none is given.
    clock_skew: Annotated[int, Field(strict=True)] | None
    #: Of the process: share of one core since the last heartbeat, and resident bytes.
    cpu_percent: Size
    memory_bytes: Sequence
    #: What the feed follows: the name of its lease.
    scope: Text | None = None
    #: The venue's time up to which this feed's log lacks nothing that has to be asked for later.
    complete_until: Micros | None = None
    #: Of what is `crashed`: how often it crashed in quick succession, once that is a crash loop.
    #: A field, because a published list of states takes no new one.
    crash_loop: Sequence | None = None
    time: Micros

    def key(self) -> str:
        return self.service

    def event_id(self) -> str:
        return f"{self.service}:{self.instance}:{self.time}"

    def source(self) -> str:
        return f"/services/{self.service}"


class Restart(Event):
    """A supervisor saw a process or a feed die, and what it does about it.

    `restarted`: it starts again after a pause. `crash_loop`: that too, but it died so often in
    quick succession that the pause is the longest one. `gave_up`: it is not started again, because
    that would end in the same way. What a person stopped is no death.
    """

    name: ClassVar[str] = "health.restart"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC

    #: Who died: a process of `tape up` (`process/worker-1`) or a feed (`producer/coinbase`).
    service: Identifier
    #: Who says so: `tape-up`, `tape-produce`.
    supervisor: Identifier
    action: Literal["restarted", "crash_loop", "gave_up"]
    #: The exit status, or the error; no secrets.
    reason: Text
    #: How often this supervisor started it again, this time included.
    restarts: Sequence
    #: The pause before it starts, in milliseconds; 0 where it does not.
    pause_ms: Sequence
    #: When the death was seen.
    time: Micros

    def key(self) -> str:
        return self.service

    def event_id(self) -> str:
        return f"{self.service}:{self.supervisor}:{self.time}"

    def source(self) -> str:
        return f"/services/{self.supervisor}"


class Incident(Event):
    """What a monitor found wrong, as it is known by now: the newest event says all of it.

    One that stays open is told again, as `changed`, at least once a day: the topic does not keep
    its opening for ever.
    """

    name: ClassVar[str] = "health.incident"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC

    #: Made by the monitor, the same for the same incident whoever finds it.
    incident: Identifier
    action: Literal["opened", "changed", "closed"]
    severity: Literal["warning", "critical"]
    #: What is broken: `feed/coinbase`, `database`, `projection/prices`.
    cause: Identifier
    title: Title
    #: More of it, in several lines.
    detail: Text | None
    #: What was noticed of it, a short text each.
    symptoms: Annotated[tuple[Symptom, ...], Field(max_length=MOST_SYMPTOMS)]
    opened: Micros
    closed: Micros | None
    #: When this was found.
    time: Micros
    #: Who says so: `monitor`.
    service: Identifier

    def key(self) -> str:
        return self.cause

    def event_id(self) -> str:
        return f"{self.incident}:{self.action}:{self.time}"

    def source(self) -> str:
        return f"/services/{self.service}"
