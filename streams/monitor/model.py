"""What the monitor sees at one moment: a Picture, of plain data.

Times are microseconds since 1970 UTC, ages and durations seconds, sizes bytes, rates per second.
None is what is not known; it is never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from streams.monitor.burrow import Status

__all__ = ["Account", "DeadLetters", "Disk", "Feed", "Freshness", "Group", "Host", "Incident"]
__all__ += ["Building", "Level", "Partition", "Picture", "Postgres", "Source", "State", "Table"]
__all__ += ["Topic", "Trend"]


class Level(IntEnum):
    """How bad something is; also the exit status of `tape health`."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class State(StrEnum):
    """What a group does with one partition, by our own rules: see `states`."""

    OK = "ok"
    #: Records wait, and the checkpoint does not move.
    STUCK = "stuck"
    #: Nobody owns the partition.
    DEAD = "dead"
    #: The checkpoint is below the log's start: records are gone that were never read.
    LOST = "lost"
    #: The topic was deleted and made anew, or its log ends before the checkpoint.
    ANEW = "anew"
    BEYOND = "beyond"
    #: The checkpoint went back, and is not where it was yet.
    REWOUND = "rewound"


class Trend(StrEnum):
    """Where a lag goes."""

    STEADY = "steady"
    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a group stands in one partition.

    `current` is the next offset to read, `lag` the records between it and `end`. `lag_s` is the age
    of the first of them, by its append time; 0 where there is none. `moved` is when `current`
    moved last, as far as is known. `hours_left` is until that record may be deleted.
    """

    topic: str
    partition: int
    current: int
    start: int
    end: int
    lag: int
    lag_s: float | None
    owner: str | None
    moved: int | None
    hours_left: float | None
    state: State
    burrow: Status


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group; `projection` names ours, whose offsets are checkpoints in PostgreSQL.

    `lag` and `lag_s` are the sum and the worst of its partitions; `consumed` and `arriving` are
    records/s; `catch_up_s` is the time until nothing waits at this pace, 0 where nothing does.
    """

    name: str
    projection: str | None
    kafka_state: str | None
    members: int
    partitions: Sequence[Partition]
    lag: int
    lag_s: float | None
    consumed: float | None
    arriving: float | None
    trend: Trend
    catch_up_s: float | None
    state: State
    burrow: Status


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: records that were ever appended, records/s, and what it takes on the brokers."""

    name: str
    partitions: int
    end: int
    rate: float | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Feed:
    """A service by its newest heartbeat: a producer's feed, or a projection of a worker.

    `state` is the heartbeat's; `gone` where no heartbeat came for long. `heard` is when that was.
    `crash_loop` is how often it crashed in quick succession, where that is a crash loop.
    `usual_frames_per_second` is as of the last minute or so.
    """

    service: str
    instance: str
    state: str
    since: int
    detail: str | None
    crash_loop: int | None
    heard: int
    last_frame: int | None
    frames_per_second: float
    usual_frames_per_second: float
    events: int
    reconnects: int
    gaps: int
    unparsed: int
    clock_skew_s: float | None
    cpu_percent: float
    memory: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest event of one source in one topic, by event time.

    `source` is `coinbase:BTC-USD`. `warn_s`, `stale_s` and `critical_s` are its thresholds. Out of
    its market's hours nothing is expected, and `is_open` is False.
    """

    topic: str
    source: str
    newest: int
    age_s: float
    warn_s: float
    stale_s: float
    critical_s: float
    is_open: bool
    level: Level


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Records that a projection could not use, by the reason; `newest` is when one was refused."""

    projection: str
    error: str
    waiting: int
    newest: int


@dataclass(frozen=True, slots=True)
class Account:
    """What does not add up in one account. Money in dollars, as text, exact."""

    account: str
    unmatched_fills: int
    position_differences: int
    unexplained: str
    active_trades: int
    #: Of these, how many have a mark that is too old, and since when the oldest is.
    stale_marks: int
    stale_since: int | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the current generation, with its indexes and partitions."""

    projection: str
    name: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Postgres:
    """PostgreSQL's own vitals; of the whole server where it is of the server."""

    connections: int
    max_connections: int
    waiting_locks: int
    #: A sentence about the session of ours that waits longest for a lock, and for how long.
    blocked: str | None
    blocked_s: float
    longest_transaction_s: float
    longest_transaction: str | None
    slots: int
    slots_bytes: int
    dead_rows: int
    live_rows: int
    cache_hits: float | None


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that the monitor runs on."""

    cpu_percent: float
    memory_used: int
    memory_total: int
    load: float


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system that holds the `log`, the `database` or both; `hours_left` until it is full."""

    holds: str
    path: str
    free: int
    total: int
    hours_left: float | None


@dataclass(frozen=True, slots=True)
class Source:
    """Broker or database: whether it answers, and since when its values stand still."""

    name: str
    is_up: bool
    read: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Building:
    """A generation that is being built beside the current one: a rebuild under way."""

    projection: str
    generation: int
    purpose: str
    created: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Incident:
    """One cause with all its symptoms; `closed` is None while it lasts."""

    id: str
    cause: str
    level: Level
    title: str
    symptoms: Sequence[str]
    opened: int
    closed: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is known at `taken`. What could not be read is what was read last: see `sources`."""

    taken: int
    sources: Sequence[Source] = ()
    groups: Sequence[Group] = ()
    topics: Sequence[Topic] = ()
    feeds: Sequence[Feed] = ()
    freshness: Sequence[Freshness] = ()
    dead_letters: Sequence[DeadLetters] = ()
    accounts: Sequence[Account] = ()
    tables: Sequence[Table] = ()
    building: Sequence[Building] = ()
    postgres: Postgres | None = None
    database_bytes: int | None = None
    host: Host | None = None
    disks: Sequence[Disk] = ()
    incidents: Sequence[Incident] = ()
    level: Level = Level.OK
