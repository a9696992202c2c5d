"""Reading topics from one offset to another, outside of any consumer group.

What the log no longer has comes from the archive, where there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from projections.base import Batch, Partition
from streams import tolerant
from streams.clients import running
from streams.errors import UserError
from streams.settings import Endpoints
from streams.topics import topic_ids

__all__ = ["Bounds", "LogReader", "leave_records_as_parsed"]

#: (first offset, offset behind the last) of a partition.
Bounds = tuple[int, int]

_FETCH_BYTES = 1024 * 1024
_POLL_MS = 500
#: A broker that gives nothing for so many polls is given up.
_POLLS = 120


class _Parsed(fetcher.PartitionRecords):  # type: ignore[misc]
    def _consumer_record(self, _: TopicPartition, record: Any) -> Any:
        return record


def leave_records_as_parsed() -> None:
    """Let every consumer of this process give records as aiokafka's parser makes them.

    They have all that a projection reads. Its ConsumerRecord, which tells the topic and the
    partition besides, takes 1 of 2.3 microseconds a record.
    """
    fetcher.PartitionRecords = _Parsed


class LogReader:
    """One consumer, assigned and not subscribed: it disturbs no group, and commits nothing."""

    def __init__(self, consumer: AIOKafkaConsumer, endpoints: Endpoints) -> None:
        self._consumer = consumer
        self._endpoints = endpoints
        self._archive = endpoints.archive

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints) -> AsyncIterator[LogReader]:
        """Connect. Raises UserError where the broker is out of reach."""
        tolerant.install()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=endpoints.brokers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            **endpoints.kafka,
        )
        try:
            async with running(consumer):
                yield cls(consumer, endpoints)
        except KafkaError as error:
            raise _unreachable(endpoints, error) from error

    async def bounds(
        self, partitions: Mapping[Partition, Any] | set[Partition]
    ) -> dict[Partition, Bounds]:
        """The first offset of each partition's log, and the one behind its last."""
        places = [TopicPartition(*source) for source in partitions]
        first = await self._consumer.beginning_offsets(places)
        until = await self._consumer.end_offsets(places)
        return {Partition(*place): (first[place], until[place]) for place in places}

    async def offsets_at(
        self, partitions: Mapping[Partition, Any] | set[Partition], time_ms: int
    ) -> dict[Partition, int]:
        """The first offset of each partition that was appended at this time or later, in
        milliseconds since 1970 UTC; the one behind the last where there is none."""
        places = [TopicPartition(*source) for source in partitions]
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, time_ms))
        ends = await self._consumer.end_offsets(places)
        return {
            Partition(*place): ends[place] if at is None else at.offset
            for place, at in found.items()
        }

    async def read(
        self, starts: Mapping[Partition, int], untils: Mapping[Partition, int], at_once: int
    ) -> AsyncIterator[list[Batch]]:
        """Batches from the starts up to and without the untils, some of each partition.

        At most about `at_once` records are given together. Raises UserError where a record is not
        there any more, or where one is missing.
        """
        want = {source: start for source, start in starts.items() if start < untils[source]}
        async for batch in self._archived(want, untils, at_once):
            want[batch.source] = batch.records[-1].offset + 1
            yield [batch]
        want = {source: start for source, start in want.items() if start < untils[source]}
        self._consumer.assign([TopicPartition(*source) for source in want])
        for source, start in want.items():
            self._consumer.seek(TopicPartition(*source), start)
        polls = 0
        while want:
            batches = self._taken(await self._poll(want, at_once), want, untils)
            polls = 0 if batches else polls + 1
            if polls > _POLLS:
                raise UserError(f"{_places(want)}: the broker gives no records any more")
            if batches:
                yield batches

    async def _archived(
        self, want: Mapping[Partition, int], untils: Mapping[Partition, int], at_once: int
    ) -> AsyncIterator[Batch]:
        """What lies before the log's beginning, one partition after the other."""
        first = await self._consumer.beginning_offsets([TopicPartition(*one) for one in want])
        lacking = {
            source: (start, min(first[TopicPartition(*source)], untils[source]))
            for source, start in want.items()
            if start < first[TopicPartition(*source)]
        }
        if not lacking or self._archive is None:
            return
        from streams.archive.reader import Archive  # with it comes a large library

        archive = Archive(self._archive)
        names = {source.topic for source in lacking}
        ids = await asyncio.to_thread(topic_ids, self._endpoints, names)
        for source, (start, until) in sorted(lacking.items()):
            if archive.leads_to(source, ids[source.topic], until) > start:
                continue  # of another topic of that name, or not from there on
            groups = archive.read(source, start, until)
            place = start
            while (records := await asyncio.to_thread(next, groups, None)) is not None:
                for at in range(0, len(records), at_once):
                    taken = _cut(source, records[at : at + at_once], place, until)
                    place += len(taken)
                    yield Batch(source, taken)

    async def _poll(self, want: Mapping[Partition, int], at_once: int) -> Mapping[Any, list[Any]]:
        try:
            fetched: Mapping[Any, list[Any]] = await self._consumer.getmany(
                timeout_ms=_POLL_MS, max_records=at_once
            )
        except OffsetOutOfRangeError as error:
            raise UserError(
                f"{_places(want)}: the log does not hold these offsets (any more), nor does an"
                f" archive: {error}"
            ) from error
        return fetched

    def _taken(
        self,
        fetched: Mapping[Any, list[Any]],
        want: dict[Partition, int],
        untils: Mapping[Partition, int],
    ) -> list[Batch]:
        """The batches of what was fetched; moves `want` on, and ends what is complete."""
        batches = []
        for place, records in fetched.items():
            source = Partition(*place)
            taken = _cut(source, records, want[source], untils[source])
            if taken:
                batches.append(Batch(source, taken))
                want[source] = taken[-1].offset + 1
            if want[source] >= untils[source]:
                self._consumer.pause(place)
                del want[source]
        return batches


def _cut(source: Partition, records: list[Any], want: int, until: int) -> list[Any]:
    """These records without what lies behind the end; they must follow what was read before."""
    if records[-1].offset >= until:
        records = [record for record in records if record.offset < until]
    if records and (records[0].offset != want or records[-1].offset - want + 1 != len(records)):
        raise UserError(
            f"{source}: offset {want} was wanted, and the log gave {records[0].offset} to"
            f" {records[-1].offset} in {len(records)} records: some are missing, as after"
            " compaction or a transaction, neither of which a topic may have"
        )
    return records


def _places(want: Mapping[Partition, int]) -> str:
    return ", ".join(f"{source}@{offset}" for source, offset in sorted(want.items()))


def _unreachable(endpoints: Endpoints, error: BaseException) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"the broker {endpoints.brokers}: {reason}; `tape doctor` tries the connection"
    )
