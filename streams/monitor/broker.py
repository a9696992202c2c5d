"""What the brokers say, in few requests: topics, bounds, groups, committed offsets."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from projections.base import Partition
from streams.admin import Broker, GroupDescription, partitions_of
from streams.topics import description_id

__all__ = ["BrokerReader", "BrokerReading"]

#: How long the settings of a topic are believed, in seconds.
_SETTINGS_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """One look. `ids` are the topics' UUIDs; `partitions` are all that there are.

    `retention_ms` is -1 where a topic is kept for ever. `committed` has no group without offsets.
    """

    ids: Mapping[str, str]
    partitions: Sequence[Partition]
    retention_ms: Mapping[str, int]
    groups: Mapping[str, GroupDescription]
    committed: Mapping[str, Mapping[Partition, int]]


class BrokerReader:
    """Asks the brokers; each look is one thread's."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._retention: dict[str, tuple[int, float]] = {}

    def read(self) -> BrokerReading:
        """All but the bounds. Raises UserError where the broker does not answer. Blocks."""
        topics = self._broker.describe(self._broker.topics())
        groups = self._broker.groups()
        committed = self._broker.committed(groups)
        return BrokerReading(
            ids={name: description_id(topic) for name, topic in topics.items()},
            partitions=[
                Partition(one.topic, one.partition) for one in partitions_of(topics.values())
            ],
            retention_ms={name: self._retention_of(name) for name in topics},
            groups=groups,
            committed={
                name: {Partition(*place): offset for place, offset in offsets.items()}
                for name, offsets in committed.items()
                if offsets
            },
        )

    def bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        """Start and end offset of those that have a leader. Raises as `read`. Blocks."""
        asked = [TopicPartition(*place) for place in partitions]
        found = self._broker.all_bounds(asked, skip_unavailable=True)
        return {Partition(*place): both for place, both in found.items()}

    def _retention_of(self, topic: str) -> int:
        known, until = self._retention.get(topic, (-1, 0.0))
        now = time.monotonic()
        if now >= until:
            known = int(self._broker.settings(topic)["retention.ms"])
            self._retention[topic] = known, now + _SETTINGS_FOR_S
        return known
