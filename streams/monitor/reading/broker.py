"""What the brokers say, in few requests: topics, bounds, groups, committed offsets."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from projections import PROJECTIONS
from projections.base import Partition
from streams.groups import group_name, is_lease
from streams.monitor.reading.groups import GroupDescription, read_committed, read_groups
from streams.monitor.reading.offsets import EARLIEST, LATEST, read_offsets
from streams.monitor.reading.topics import read_retention, read_topics
from streams.monitor.reading.wire import Wire

__all__ = ["OURS", "BrokerReader", "BrokerReading"]

T = TypeVar("T")

#: The projection of each consumer group of ours. Where these stand, PostgreSQL knows.
OURS: Mapping[str, str] = {group_name(name): name for name in PROJECTIONS}
#: How long is believed what changes seldom: who is there, where logs start, settings. Seconds.
#: Who looks each five seconds reads the first two each time.
_MEMBERS_FOR_S = 4.5
_STARTS_FOR_S = 4.5
_SETTINGS_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """One look. `ids` are the topics' UUIDs; `leaders` are the nodes that lead the partitions.

    `retention_ms` is -1 where a topic is kept for ever. `committed` has the groups that committed
    any offset, without ours: PostgreSQL knows where these stand.
    """

    ids: Mapping[str, str]
    leaders: Mapping[Partition, int]
    retention_ms: Mapping[str, int]
    groups: Mapping[str, GroupDescription]
    committed: Mapping[str, Mapping[Partition, int]]

    @property
    def others(self) -> list[str]:
        """The groups that may commit offsets, without ours."""
        return [name for name in self.groups if name not in OURS and not is_lease(name)]


class BrokerReader:
    """Asks the brokers.

    Raises UserError where one refuses, aiokafka's KafkaError and OSError where one does not answer.
    """

    def __init__(self) -> None:
        self._members = _Kept[BrokerReading](_MEMBERS_FOR_S)
        self._starts = _Kept[dict[Partition, int]](_STARTS_FOR_S)
        self._retention = _Kept[dict[str, int]](_SETTINGS_FOR_S)

    async def read(self, wire: Wire) -> BrokerReading:
        """All but the bounds.

        Topics and groups are at most five seconds old, committed offsets are those of now.
        """
        found = await self._members.get(lambda: self._describe(wire))
        return replace(found, committed=await read_committed(wire, found.groups, found.others))

    async def bounds(
        self, wire: Wire, leaders: Mapping[Partition, int]
    ) -> dict[Partition, tuple[int, int]]:
        """Start and end offset of those that have a leader. Starts are at most five seconds old."""
        ends = await read_offsets(wire, leaders, LATEST)
        if len(ends) < len(leaders):
            self._members.forget()
        starts = await self._starts.get(
            lambda: read_offsets(wire, leaders, EARLIEST),
            # It does not fit where a partition is new, or begins anew.
            lambda kept: all(kept.get(place, end + 1) <= end for place, end in ends.items()),
        )
        return {place: (starts[place], end) for place, end in ends.items() if place in starts}

    def forget(self) -> None:
        """Believe nothing any more."""
        self._members.forget()
        self._starts.forget()

    async def _describe(self, wire: Wire) -> BrokerReading:
        topics = await read_topics(wire)
        retention_ms = await self._retention.get(
            lambda: read_retention(wire, topics.ids), lambda kept: kept.keys() >= topics.ids.keys()
        )
        return BrokerReading(
            topics.ids, topics.leaders, retention_ms, await read_groups(wire), committed={}
        )


class _Kept(Generic[T]):
    """What was read, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: tuple[float, T] | None = None

    async def get(
        self, read: Callable[[], Awaitable[T]], fits: Callable[[T], bool] = lambda _: True
    ) -> T:
        """What is kept, if it still fits, or what is read now. Raises what reading raises."""
        now = time.monotonic()
        kept = self._kept
        if kept is None or now >= kept[0] or not fits(kept[1]):
            kept = self._kept = now + self._seconds, await read()
        return kept[1]

    def forget(self) -> None:
        self._kept = None
