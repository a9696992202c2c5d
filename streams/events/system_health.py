"""The events of `system.health`: the heartbeats of producers and workers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streams.events.base import Event
from streams.events.types import Identifier, Micros, Sequence, Size, Text

TOPIC = "system.health"

State = Literal["starting", "standby", "connecting", "connected", "crashed", "stopped"]


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
    time: Micros

    def key(self) -> str:
        return self.service

    def event_id(self) -> str:
        return f"{self.service}:{self.instance}:{self.time}"

    def source(self) -> str:
        return f"/services/{self.service}"
