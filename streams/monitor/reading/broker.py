"""What the brokers say, in few requests: topics, bounds, groups, committed offsets."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from projections.base import Partition
from streams.admin import Broker, GroupDescription, partitions_of
from streams.settings import Endpoints
from streams.topics import description_id

__all__ = ["BrokerReader", "BrokerReading"]

#: How long the broker may take for a request, in seconds.
_TIMEOUT_S = 4.0
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
    """Asks the brokers, from whatever thread. Where calls overlap, each has a client of its own."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._client: Broker | None = None
        self._retention_ms: dict[str, int] = {}
        self._settings_until = 0.0

    def read(self) -> BrokerReading:
        """All but the bounds. Raises UserError where the broker does not answer. Blocks."""
        with self._broker() as broker:
            topics = broker.describe(broker.topics())
            groups = broker.groups()
            committed = broker.committed(groups)
            self._read_settings(broker, topics)
        return BrokerReading(
            ids={name: description_id(topic) for name, topic in topics.items()},
            partitions=[
                Partition(one.topic, one.partition) for one in partitions_of(topics.values())
            ],
            retention_ms=self._retention_ms,
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
        with self._broker() as broker:
            found = broker.all_bounds(asked, skip_unavailable=True)
        return {Partition(*place): both for place, both in found.items()}

    @contextmanager
    def _broker(self) -> Iterator[Broker]:
        """The client; another one after a failure.

        One that lived through a restart of the broker never describes a group again.
        """
        client = self._client or Broker(self._endpoints, _TIMEOUT_S)
        self._client = None
        yield client
        self._client = client

    def _read_settings(self, broker: Broker, topics: Collection[str]) -> None:
        now = time.monotonic()
        if now >= self._settings_until or not self._retention_ms.keys() >= set(topics):
            found = broker.all_settings(topics)
            self._retention_ms = {name: int(one["retention.ms"]) for name, one in found.items()}
            self._settings_until = now + _SETTINGS_FOR_S
