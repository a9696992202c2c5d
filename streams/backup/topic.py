"""One topic's way back from the archive into a broker that has lost it.

It is made with the producer's time as its time and kept for ever, is filled, and only then gets the
catalogue's settings. Until then the setting tells that it is not whole, and a run that was stopped
is gone on with. Nothing that stands in a log is ever deleted.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition

from projections.base import Partition, Record
from streams.admin import Broker
from streams.archive.columns import digest
from streams.archive.log import Log, LogReader, find_logs
from streams.archive.manifest import Manifest, manifest_name
from streams.archive.reader import Archive
from streams.archive.store import Store
from streams.backup.carrying import partitions_of
from streams.backup.filling import Appender, is_filler
from streams.errors import UserError
from streams.events.catalogue import TopicSpec
from streams.settings import Endpoints

__all__ = ["TopicRestore"]

_TIME = "message.timestamp.type"
#: While it is being filled: the records bring their times, and old ones are not removed.
_FILLING = {_TIME: "CreateTime", "retention.ms": "-1"}


class TopicRestore:
    """A topic of the archive, and what the broker has of it."""

    def __init__(
        self,
        store: Store,
        endpoints: Endpoints,
        spec: TopicSpec,
        manifest: Manifest,
        log: Log | None,
    ) -> None:
        self.spec = dataclasses.replace(spec, partitions=partitions_of(spec, manifest))
        self.manifest = manifest
        self._store = store
        self._archive = Archive(store.location)
        self._endpoints = endpoints
        self._broker = Broker(endpoints)
        self._log = log
        #: Whether it has all records, and this id is in the archive's manifest.
        self.is_whole = False

    @property
    def partitions(self) -> list[Partition]:
        return [Partition(self.spec.name, number) for number in range(self.spec.partitions)]

    def bounds(self, source: Partition) -> tuple[int, int]:
        """Where its log is to begin and to end.

        It begins behind the last gap: before that a log cannot have its records at their offsets.
        """
        gaps = self.manifest.gaps_of(source.partition)
        start = max((gap.until for gap in gaps), default=0)
        return start, self.manifest.end(source.partition)

    @property
    def due(self) -> int:
        """How many records are to be appended, fillers too."""
        if self.is_whole:
            return 0
        return sum(self.bounds(source)[1] - self._found(source)[1] for source in self.partitions)

    async def examine(self, reader: LogReader) -> None:
        """Look at what the broker has.

        Raises UserError: it has a topic of this name, and with other records.
        """
        if self._log is None:
            return
        if self._log.topic_id == self.manifest.topic_ids[-1].topic_id:
            self._check_end()
            self.is_whole = True
        elif any(last for _, last in self._log.bounds.values()):
            await self._check_begun(reader)
        if len(self._log.bounds) < self.spec.partitions:
            raise UserError(
                f"topic {self.spec.name} has {len(self._log.bounds)} partitions, "
                f"{self.spec.partitions} are needed: delete it, and run it again"
            )

    async def restore(
        self, client: AIOKafkaProducer, reader: LogReader, advanced: Callable[[int], None]
    ) -> None:
        """Bring it back; `advanced` is given how many records were appended, each time.

        Raises UserError: broker or archive fail, or someone else writes to the topic.
        """
        if not self.is_whole:
            await asyncio.to_thread(self._open)
            for source in self.partitions:
                await self._fill(client, source, advanced)
            await self._check_filled(reader)
            self._identify()
        if (await asyncio.to_thread(self._time)) == _FILLING[_TIME]:
            await asyncio.to_thread(self._broker.alter, self.spec.name, self.spec.config())

    def _find(self) -> Log | None:
        return find_logs(self._endpoints, [self.spec.name]).get(self.spec.name)

    def _found(self, source: Partition) -> tuple[int, int]:
        bounds = {} if self._log is None else self._log.bounds
        return bounds.get(source.partition, (0, 0))

    def _time(self) -> str:
        return self._broker.settings(self.spec.name)[_TIME]

    def _check_end(self) -> None:
        for source in self.partitions:
            last, end = self._found(source)[1], self.manifest.end(source.partition)
            if last < end:
                raise UserError(
                    f"the log of {source} ends at offset {last}, the archive at {end}: the broker "
                    "lost records of a topic that it still has. Nothing was changed. Archive what "
                    "is left elsewhere if you want it, delete the topic, and run it again"
                )

    async def _check_begun(self, reader: LogReader) -> None:
        """Accept what a run that was stopped left."""
        is_ours = (await asyncio.to_thread(self._time)) == _FILLING[_TIME]
        for source in self.partitions if is_ours else ():
            is_ours = is_ours and await self._agrees(reader, source)
        if not is_ours:
            held = (
                sum(last - first for first, last in self._log.bounds.values()) if self._log else 0
            )
            raise UserError(
                f"topic {self.spec.name} is on the broker already, with {held:,} records that are "
                "not from this archive. Nothing was changed. If they are not wanted, delete the "
                "topic, and run it again"
            )

    async def _agrees(self, reader: LogReader, source: Partition) -> bool:
        """Whether the log ends, at or before the archive's end, with the record that is due."""
        (first, last), (start, end) = self._found(source), self.bounds(source)
        if first == last:
            return first in (0, start)
        if last > end:
            return False
        found = [one async for some in reader.read(source, last - 1, last) for one in some]
        if last <= start:
            return all(map(is_filler, found))
        kept = [one for some in self._archive.read(source, last - 1, last) for one in some]
        return list(map(_identity, found)) == list(map(_identity, kept))

    def _open(self) -> None:
        if self._log is None:
            self._broker.create([self.spec], _FILLING)
            self._broker.wait_for([self.spec.name])
        else:
            self._broker.alter(self.spec.name, _FILLING)
        self._log = self._find()

    async def _fill(
        self, client: AIOKafkaProducer, source: Partition, advanced: Callable[[int], None]
    ) -> None:
        (first, last), (start, end) = self._found(source), self.bounds(source)
        if last < start:
            await self._reach(client, source, last, start, advanced)
        if first < start:
            at = TopicPartition(*source, start)
            await asyncio.to_thread(self._broker.remove_before, at)
        last = max(last, start)
        appender, groups = Appender(client, source, last), self._archive.read(source, last, end)
        while (records := await asyncio.to_thread(next, groups, None)) is not None:
            await appender.append(records)
            advanced(len(records))
        await appender.finish()

    async def _reach(
        self,
        client: AIOKafkaProducer,
        source: Partition,
        last: int,
        start: int,
        advanced: Callable[[int], None],
    ) -> None:
        """Have the next record get the offset `start`."""
        segments = self.manifest.of(source.partition)
        time = next((one.first_time for one in segments if one.first >= start), 0)
        appender = Appender(client, source, last)
        while last < start:
            count = min(start - last, 100_000)
            await appender.fill(count, time)
            advanced(count)
            last += count
        await appender.finish()

    async def _check_filled(self, reader: LogReader) -> None:
        self._log = await asyncio.to_thread(self._find)
        for source in self.partitions:
            found, wanted = self._found(source), self.bounds(source)
            if found != wanted or not await self._agrees(reader, source):
                raise UserError(
                    f"the log of {source} has offsets {found[0]} to {found[1]}, and should have "
                    f"{wanted[0]} to {wanted[1]}, with the archive's records: someone else writes "
                    "to the topic. Stop all producers, delete the topic, and run it again"
                )

    def _identify(self) -> None:
        """From here on it is the topic that the archive goes on with."""
        assert self._log is not None
        self.manifest = self.manifest.with_id(self._log.topic_id)
        self._store.write(manifest_name(self.spec.name), self.manifest.dump())
        self.is_whole = True


def _identity(record: Record) -> tuple[Any, ...]:
    return record.offset, record.timestamp, digest(record)
