"""Who is behind, by how much, and how: from one look after the other to groups with their lags.

Ours are measured by their checkpoints in PostgreSQL, all others by what they committed to Kafka.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from projections import PROJECTIONS
from projections.base import Partition as Place
from streams.groups import group_name
from streams.monitor.burrow import (
    MINIMUM_COMPLETE,
    Commit,
    Status,
    Window,
    group_status,
    partition_status,
)
from streams.monitor.model import Group, Partition, State, Trend
from streams.monitor.reading.broker import OURS, BrokerReading
from streams.monitor.reading.commits import Committed
from streams.monitor.reading.tables import Standing
from streams.monitor.states import Facts, hours_left, state_of
from streams.monitor.trend import Course

__all__ = ["LagTracker", "Look"]


class _Position(NamedTuple):
    """Where a group stands in a partition, and when that was written, as far as it is known."""

    offset: int
    topic_id: str | None
    written: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What was read at about the same time; `now` in microseconds since 1970 UTC.

    `standings` is None where the database was never read: then nothing is said of ours.
    `clock` is in seconds and never jumps.
    """

    now: int
    clock: float
    broker: BrokerReading
    bounds: Mapping[Place, tuple[int, int]]
    standings: Mapping[str, Standing] | None

    def positions(self) -> dict[str, dict[Place, _Position]]:
        """Of each group, its position in each partition that it reads or has read."""
        found = {
            name: {place: _Position(offset, None, None) for place, offset in offsets.items()}
            for name, offsets in self.broker.committed.items()
        }
        for projection, standing in (self.standings or {}).items():
            if projection in PROJECTIONS:
                found[group_name(projection)] = self._ours(projection, standing)
        return found

    def wanted(self) -> set[tuple[Place, int]]:
        """The first record that waits, for each partition in which any does."""
        return {
            (place, max(one.offset, self.bounds[place][0]))
            for positions in self.positions().values()
            for place, one in positions.items()
            if place in self.bounds and one.offset < self.bounds[place][1]
        }

    def _ours(self, projection: str, standing: Standing) -> dict[Place, _Position]:
        found = {
            place: _Position(one.next_offset, one.topic_id, one.written)
            for place, one in standing.checkpoints.items()
        }
        # A partition that was never claimed is read from the start of its log.
        for place, (start, _) in self.bounds.items():
            if place.topic in PROJECTIONS[projection].topics and place not in found:
                found[place] = _Position(start, self.broker.ids.get(place.topic), None)
        return found


@dataclass(slots=True)
class _Memory:
    """What is remembered of a group in a partition."""

    position: _Position
    generation: int | None
    moved: int | None
    first_seen: int
    rewound_from: int | None = None
    window: Window = field(default_factory=Window)

    def saw(self, position: _Position, generation: int | None, now: int) -> bool:
        """Take in a newer look; whether it moved."""
        before, after = self.position.offset, position.offset
        self.position = position
        if generation != self.generation:
            self.generation, self.rewound_from = generation, None
        elif after < before:
            self.rewound_from = max(before, self.rewound_from or before)
        elif self.rewound_from is not None and after >= self.rewound_from:
            self.rewound_from = None
        if after == before:
            return False
        self.moved = position.written or now
        return True


class LagTracker:
    """Makes groups of looks, and remembers what of earlier ones they need."""

    def __init__(self) -> None:
        self._memories: dict[tuple[str, Place], _Memory] = {}
        self._courses = defaultdict[str, Course](Course)
        self._windows: dict[tuple[str, Place], Window] = {}

    def commits(
        self, commits: Iterable[Committed], bounds: Mapping[Place, tuple[int, int]]
    ) -> None:
        """What others committed, as the brokers' own log tells."""
        for one in commits:
            place = Place(one.topic, one.partition)
            if one.group in OURS:
                continue
            if one.offset is None:
                self._windows.pop((one.group, place), None)
                continue
            window = self._windows.setdefault((one.group, place), Window())
            lag = max(0, bounds[place][1] - one.offset) if place in bounds else None
            window.add(Commit(one.offset, one.time, lag))

    def groups(self, look: Look, appended: Mapping[tuple[Place, int], int]) -> list[Group]:
        """All groups, ours first; `appended` has the append times of `look.wanted()`, in ms."""
        positions = look.positions()
        self._forget(positions)
        found = [self._group(name, some, look, appended) for name, some in positions.items()]
        return sorted(found, key=lambda group: (group.projection is None, group.name))

    def _forget(self, positions: Mapping[str, Mapping[Place, _Position]]) -> None:
        """What is there no more: groups that were deleted, topics that are gone."""
        here = {(name, place) for name, some in positions.items() for place in some}
        self._memories = {key: one for key, one in self._memories.items() if key in here}
        self._windows = {key: one for key, one in self._windows.items() if key in here}
        for name in self._courses.keys() - positions.keys():
            del self._courses[name]

    def _group(
        self,
        name: str,
        positions: Mapping[Place, _Position],
        look: Look,
        appended: Mapping[tuple[Place, int], int],
    ) -> Group:
        description = look.broker.groups.get(name)
        partitions = [
            self._partition(name, place, position, look, appended)
            for place, position in sorted(positions.items())
            if place in look.bounds
        ]
        lag = sum(one.lag for one in partitions)
        pace = self._courses[name].add(
            look.clock,
            sum(one.current for one in partitions),
            sum(one.end for one in partitions),
            lag,
        )
        return Group(
            name=name,
            projection=OURS.get(name),
            kafka_state=description.state if description else None,
            members=description.members if description else 0,
            partitions=partitions,
            lag=lag,
            lag_s=_worst_age(partitions),
            consumed=pace.consumed,
            arriving=pace.arriving,
            trend=pace.trend if lag else Trend.STEADY,
            catch_up_s=pace.catch_up_s,
            state=_worst_state(partitions),
            burrow=group_status(one.burrow for one in partitions),
        )

    def _partition(
        self,
        name: str,
        place: Place,
        position: _Position,
        look: Look,
        appended: Mapping[tuple[Place, int], int],
    ) -> Partition:
        memory = self._remember(name, place, position, look)
        start, end = look.bounds[place]
        description = look.broker.groups.get(name)
        first = max(position.offset, start)
        oldest_ms = appended.get((place, first))
        oldest = None if oldest_ms is None else oldest_ms * 1000
        facts = Facts(
            current=position.offset,
            start=start,
            end=end,
            is_same_topic=position.topic_id in (None, look.broker.ids.get(place.topic)),
            owner=description.owners.get(place) if description else None,
            group_state=description.state if description else None,
            oldest=oldest,
            moved=memory.moved or memory.first_seen,
            rewound_from=memory.rewound_from,
            is_ours=name in OURS,
        )
        return Partition(
            topic=place.topic,
            partition=place.partition,
            current=position.offset,
            start=start,
            end=end,
            lag=facts.waiting,
            lag_s=_age(facts, look.now),
            owner=facts.owner,
            moved=memory.moved,
            hours_left=hours_left(oldest, look.broker.retention_ms.get(place.topic, -1), look.now),
            state=state_of(facts, look.now),
            burrow=_burrow(memory.window, facts, look.now),
        )

    def _remember(self, name: str, place: Place, position: _Position, look: Look) -> _Memory:
        key = name, place
        projection = OURS.get(name)
        standing = (look.standings or {}).get(projection) if projection else None
        generation = standing.generation if standing else None
        memory = self._memories.get(key)
        if memory is None:
            memory = _Memory(position, generation, position.written, look.now)
            self._memories[key] = memory
            moved = True
        else:
            moved = memory.saw(position, generation, look.now)
        _, end = look.bounds[place]
        if projection is None:
            memory.window = self._windows.setdefault(key, memory.window)
            if memory.window.commits:
                # Committing in place moves nothing: `moved` is when the offset was first committed.
                memory.moved = _first_at(memory.window.commits, position.offset) or memory.moved
        elif moved:
            time = position.written or look.now
            memory.window.add(Commit(position.offset, time, max(0, end - position.offset)))
        memory.window.add_end(end)
        return memory


def _burrow(window: Window, facts: Facts, now: int) -> Status:
    """Of ours a commit is each look that saw it move: a few of these say nothing of a trend."""
    complete = 1.0 if facts.is_ours else MINIMUM_COMPLETE
    return partition_status(
        window.commits, window.ends, now, facts.waiting, minimum_complete=complete
    )


def _first_at(commits: Sequence[Commit], offset: int) -> int | None:
    """When this offset was committed first, of the last commits that all are of it."""
    found = None
    for commit in reversed(commits):
        if commit.offset != offset:
            break
        found = commit.time
    return found


def _age(facts: Facts, now: int) -> float | None:
    if not facts.waiting:
        return 0.0
    if facts.oldest is None:
        return None
    return max(0.0, (now - facts.oldest) / 1_000_000)


def _worst_age(partitions: Sequence[Partition]) -> float | None:
    ages = [one.lag_s for one in partitions]
    known = [age for age in ages if age is not None]
    # Where one is not known, the others are a lower bound, unless these say that nothing waits.
    return max(known) if known and (any(known) or None not in ages) else None


_ORDER = [
    State.OK,
    State.REWOUND,
    State.STUCK,
    State.DEAD,
    State.BEYOND,
    State.ANEW,
    State.LOST,
]


def _worst_state(partitions: Iterable[Partition]) -> State:
    return max((one.state for one in partitions), key=_ORDER.index, default=State.OK)
