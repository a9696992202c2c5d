"""What the brokers say, in few requests: topics, bounds, groups, committed offsets."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from confluent_kafka import TopicPartition

from projections import PROJECTIONS
from projections.base import Partition
from streams.admin import Broker, GroupDescription, partitions_of
from streams.groups import group_name, is_lease
from streams.settings import Endpoints
from streams.topics import description_id

__all__ = ["OURS", "BrokerReader", "BrokerReading"]

T = TypeVar("T")

#: The projection of each consumer group of ours. Where these stand, PostgreSQL knows.
OURS: Mapping[str, str] = {group_name(name): name for name in PROJECTIONS}
#: How long the broker may take for a request, in seconds.
_TIMEOUT_S = 4.0
#: How long is believed what changes seldom: who is there, where logs start, settings. Seconds.
#: Who looks each five seconds reads the first two each time.
_MEMBERS_FOR_S = 4.5
_STARTS_FOR_S = 4.5
_SETTINGS_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """One look. `ids` are the topics' UUIDs; `partitions` are all that there are.

    `retention_ms` is -1 where a topic is kept for ever. `committed` has the groups that committed
    any offset, without ours: PostgreSQL knows where these stand.
    """

    ids: Mapping[str, str]
    partitions: Sequence[Partition]
    retention_ms: Mapping[str, int]
    groups: Mapping[str, GroupDescription]
    committed: Mapping[str, Mapping[Partition, int]]

    @property
    def others(self) -> list[str]:
        """The groups that may commit offsets, without ours."""
        return [name for name in self.groups if name not in OURS and not is_lease(name)]


class BrokerReader:
    """Asks the brokers, from whatever thread. Where calls overlap, each has a client of its own."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._client: Broker | None = None
        self._members = _Kept[BrokerReading](_MEMBERS_FOR_S)
        self._starts = _Kept[dict[Partition, int]](_STARTS_FOR_S)
        self._settings = _Kept[dict[str, int]](_SETTINGS_FOR_S)

    def read(self) -> BrokerReading:
        """All but the bounds. Raises UserError where the broker does not answer. Blocks.

        Topics and groups are at most five seconds old, committed offsets are those of now.
        """
        with self._broker() as broker:
            found = self._members.get(lambda: self._describe(broker))
            committed = broker.committed(found.others)
        return replace(
            found,
            committed={
                name: {Partition(*place): offset for place, offset in offsets.items()}
                for name, offsets in committed.items()
                if offsets
            },
        )

    def bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        """Start and end offset of those that have a leader. Raises as `read`. Blocks.

        Starts are at most five seconds old.
        """
        asked = [TopicPartition(*place) for place in partitions]
        with self._broker() as broker:
            ends = {Partition(*place): end for place, end in broker.ends(asked).items()}
            starts = self._starts.get(
                lambda: _starts(broker, asked),
                # It does not fit where a partition is new, or begins anew.
                lambda kept: all(kept.get(place, end + 1) <= end for place, end in ends.items()),
            )
        return {place: (starts[place], end) for place, end in ends.items() if place in starts}

    @contextmanager
    def _broker(self) -> Iterator[Broker]:
        """The client; another one after a failure, and nothing is believed any more.

        One that lived through a restart of the broker never describes a group again.
        """
        client = self._client or Broker(self._endpoints, _TIMEOUT_S)
        self._client = None
        try:
            yield client
        except BaseException:
            self._members.forget()
            self._starts.forget()
            raise
        self._client = client

    def _describe(self, broker: Broker) -> BrokerReading:
        topics = broker.describe(broker.topics())
        retention_ms = self._settings.get(
            lambda: _retention_ms(broker, topics), lambda kept: kept.keys() >= topics.keys()
        )
        return BrokerReading(
            ids={name: description_id(topic) for name, topic in topics.items()},
            partitions=[
                Partition(one.topic, one.partition) for one in partitions_of(topics.values())
            ],
            retention_ms=retention_ms,
            groups=broker.groups(),
            committed={},
        )


class _Kept(Generic[T]):
    """What was read, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: tuple[float, T] | None = None

    def get(self, read: Callable[[], T], fits: Callable[[T], bool] = lambda _: True) -> T:
        """What is kept, if it still fits, or what is read now. Raises what reading raises."""
        now = time.monotonic()
        kept = self._kept
        if kept is None or now >= kept[0] or not fits(kept[1]):
            kept = self._kept = now + self._seconds, read()
        return kept[1]

    def forget(self) -> None:
        self._kept = None


def _starts(broker: Broker, asked: Collection[TopicPartition]) -> dict[Partition, int]:
    found = broker.starts(asked)
    return {Partition(*place): start for place, start in found.items()}


def _retention_ms(broker: Broker, topics: Collection[str]) -> dict[str, int]:
    return {name: int(one["retention.ms"]) for name, one in broker.all_settings(topics).items()}
