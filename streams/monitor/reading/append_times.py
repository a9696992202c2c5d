"""When records were appended: read from the log, exactly, and only the heads of their batches.

The lag in seconds is the age of the first record that is not read. Many groups lag at once, so
each request asks for many partitions, and of a batch only its head is parsed: where the broker
stamps records (`LogAppendTime`), as for all topics of ours, that is the time of each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from projections.base import Partition
from streams.monitor.reading.wire import Wire

__all__ = ["AppendTimes"]

#: A record: its partition and its offset.
Place = tuple[Partition, int]

#: Of one partition, where many are asked for; what is larger is asked for alone.
_PART_BYTES = 16 * 1024
_ALL_BYTES = 64 * 1024 * 1024
_NO_ERROR = 0
_LOG_APPEND_TIME = 1


class AppendTimes:
    """Looks up append times, and remembers those that are still asked for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known: dict[Place, int] = {}

    async def read(self, wanted: Collection[Place]) -> dict[Place, int]:
        """The append time of each record, or of the first that is left behind its offset.

        Milliseconds since 1970 UTC. Without those that no broker gave: their partition has no
        leader, or there is no such record yet.
        """
        self._known = {place: self._known[place] for place in wanted if place in self._known}
        offsets: dict[Partition, list[int]] = {}
        for partition, offset in sorted(set(wanted) - self._known.keys()):
            offsets.setdefault(partition, []).append(offset)
        while offsets:
            # Each partition once in a request; a batch may tell of the next offsets as well.
            first = {partition: some[0] for partition, some in offsets.items()}
            for partition in await self._ask(first, offsets, _PART_BYTES):
                # Whoever comes first in a request gets a batch of whatever size.
                alone = {partition: first[partition]}
                await self._ask(alone, offsets, _ALL_BYTES)
            offsets = {
                partition: left
                for partition, some in offsets.items()
                if (left := [at for at in some[1:] if (partition, at) not in self._known])
            }
        return dict(self._known)

    async def _ask(
        self, first: Mapping[Partition, int], wanted: Mapping[Partition, Sequence[int]], limit: int
    ) -> list[Partition]:
        """Ask for the record at each partition's offset; returns whose batch was too large."""
        too_large = []
        for node, partitions in (await self._wire.leaders(first)).items():
            topics: dict[str, list[tuple[int, int, int]]] = {}
            for one in partitions:
                topics.setdefault(one.topic, []).append((one.partition, first[one], limit))
            request = FetchRequest(0, 0, _ALL_BYTES, 0, list(topics.items()))
            try:
                reply = await self._wire.send(node, request)
            except (KafkaError, OSError):
                self._wire.refresh()
                continue
            for partition, error, data in _parts(reply):
                if error != _NO_ERROR:
                    self._wire.refresh()
                elif data:
                    self._learn(partition, wanted[partition], data)
                elif limit < _ALL_BYTES:
                    too_large.append(partition)
        return too_large

    def _learn(self, partition: Partition, wanted: Sequence[int], data: bytes) -> None:
        """What the first batch tells of the offsets that are wanted, the first of which it has."""
        batch = _batch_at(data, wanted[0])
        if batch is None:
            return
        if batch.timestamp_type == _LOG_APPEND_TIME:
            for offset in wanted:
                if offset < batch.next_offset:
                    self._known[partition, offset] = batch.max_timestamp
            return
        times = ((one.offset, one.timestamp) for one in batch)
        self._known[partition, wanted[0]] = next(
            (time for at, time in times if at >= wanted[0]), batch.max_timestamp
        )


def _parts(reply: Any) -> Iterator[tuple[Partition, int, bytes]]:
    for topic, partitions in reply.topics:
        for number, error, *_, data in partitions:
            yield Partition(topic, number), error, data


def _batch_at(data: bytes, offset: int) -> Any:
    """The batch that holds the first record from this offset on."""
    records = MemoryRecords(data)
    while records.has_next():
        batch = records.next_batch()
        if batch.next_offset > offset:
            return batch
    return None
