"""From the log into the archive: what is not archived yet, up to where the log ends now.

A segment is durable before the manifest names it, so that a kill at any moment leaves an archive
that is whole, and the next run goes on behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from projections.base import Partition
from streams.archive.columns import digest
from streams.archive.log import Log, LogReader, find_logs
from streams.archive.manifest import Gap, Manifest, Segment, TopicId, manifest_name
from streams.archive.reader import read_manifest
from streams.archive.segment import SegmentWriter, hole
from streams.archive.store import Store
from streams.errors import UserError
from streams.settings import Endpoints
from streams.topics import MissingTopic

__all__ = ["Run", "run"]

#: Called with how many records are archived by now.
Advanced = Callable[[int], None]


class NotContinued(UserError):
    """The log does not go on where the archive ends. Other partitions are archived nevertheless."""


@dataclass
class Run:
    """What a run has done so far.

    `due` are the records that there were to archive. `segments` and `gaps` are new ones.
    `problems` are sentences: what cannot be archived, why, and what to do.
    """

    due: int = 0
    records: int = 0
    segments: list[tuple[Partition, Segment]] = field(default_factory=list)
    gaps: list[tuple[Partition, Gap]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def run(
    store: Store,
    endpoints: Endpoints,
    topics: Collection[str],
    report: Run,
    advanced: Advanced = lambda _: None,
    *,
    accept_gaps: bool = False,
) -> None:
    """Archive these topics up to their end offsets at the start, telling it in `report`.

    With `accept_gaps`, records that were lost before they were archived are noted in the manifest
    as a gap, and what is behind them is archived; else they are a problem.

    Raises UserError: a topic is not there, broker or archive are out of reach, a manifest is
    damaged, a topic is compacted, or another run works in the same archive.
    """
    with store.exclusive():
        logs = await asyncio.to_thread(find_logs, endpoints, topics)
        if missing := sorted(set(topics) - set(logs)):
            raise MissingTopic(
                f"no topic {', '.join(missing)} on {endpoints.brokers}; "
                "`tape topics create` makes the topics of the catalogue"
            )
        works = [_Topic(store, log, report, advanced, accept_gaps) for log in logs.values()]
        report.due = sum(work.due() for work in works)
        async with LogReader.open(endpoints) as reader:
            for work in works:
                await work.run(reader)


class _Topic:
    """One topic's part of a run."""

    def __init__(
        self, store: Store, log: Log, report: Run, advanced: Advanced, accept_gaps: bool
    ) -> None:
        self._store = store
        self._log = log
        self._report = report
        self._advanced = advanced
        self._accept_gaps = accept_gaps
        #: As it is in the store, None where it is not there yet.
        self._stored = read_manifest(store, log.topic)
        self._manifest = self._stored or Manifest(
            topic=log.topic, topic_ids=(TopicId(topic_id=log.topic_id),)
        )

    def due(self) -> int:
        """How many records are to be archived, if nothing is in the way."""
        ends = ((self._manifest.end(one), bounds) for one, bounds in self._log.bounds.items())
        return sum(max(0, last - max(end, first)) for end, (first, last) in ends)

    async def run(self, reader: LogReader) -> None:
        """Archive every partition; what cannot be goes into the report."""
        try:
            await self._identify(reader)
        except NotContinued as problem:
            self._report.problems.append(str(problem))
            return
        for partition in sorted(self._log.bounds):
            try:
                await self._archive(reader, Partition(self._log.topic, partition))
            except NotContinued as problem:
                self._report.problems.append(str(problem))
        if self._stored is None:  # it has no records, and an id all the same
            self._commit(self._manifest)

    async def _identify(self, reader: LogReader) -> None:
        """Accept a topic that was made anew if its log holds what was archived, at its place."""
        if self._manifest.topic_ids[-1].topic_id == self._log.topic_id:
            return
        for partition in self._manifest.partitions:
            source, end = Partition(self._log.topic, partition), self._manifest.end(partition)
            first, last = self._log.bounds.get(partition, (0, 0))
            if not first <= end <= last or not await self._agrees(reader, source):
                raise NotContinued(
                    f"{self._log.topic} was made anew: the archive is of the topic "
                    f"{self._manifest.topic_ids[-1].topic_id}, the broker's is "
                    f"{self._log.topic_id}, and {source} does not go on there at offset {end}. "
                    f"Keep the old records: move {self._store.place(self._log.topic)} away, or "
                    "archive to another place (--to); then run it again"
                )
        self._commit(self._manifest.with_id(self._log.topic_id))

    async def _agrees(self, reader: LogReader, source: Partition) -> bool:
        """Whether the log holds the last archived record at its place, if it is there at all."""
        segment = self._manifest.last(source.partition)
        if segment is None or self._log.bounds[source.partition][0] >= segment.until:
            return True
        records = reader.read(source, segment.until - 1, segment.until)
        return [digest(one) async for batch in records for one in batch] == [segment.last_record]

    async def _archive(self, reader: LogReader, source: Partition) -> None:
        (first, last), end = (
            self._log.bounds[source.partition],
            self._manifest.end(source.partition),
        )
        if first > end:
            self._lost(source, end, first)
            end = first
        if last < end or (last > end and not await self._agrees(reader, source)):
            ends = f"the log ends at offset {last}, the archive at {end}"
            differs = f"the record at offset {end - 1} is another one than the archive's"
            raise NotContinued(
                f"{source}: {ends if last < end else differs}. The broker lost records, or was "
                "restored from a backup that is older than the archive. Nothing of it is archived: "
                "restore the log first, or archive to another place (--to)"
            )
        writer = SegmentWriter(source)
        reached = end
        async for records in reader.read(source, end, last):
            if records[0].offset != reached:
                raise hole(source, reached, records[0].offset)
            await asyncio.to_thread(writer.add, records)
            reached = records[-1].offset + 1
            self._report.records += len(records)
            self._advanced(self._report.records)
            if writer.is_full:
                await asyncio.to_thread(self._keep, source, writer)
                writer = SegmentWriter(source)
        if reached != last:
            raise hole(source, reached, last)
        await asyncio.to_thread(self._keep, source, writer)

    def _lost(self, source: Partition, end: int, first: int) -> None:
        gap = Gap(partition=source.partition, first=end, until=first)
        if not self._accept_gaps:
            raise NotContinued(
                f"{source}: {first - end:,} records, offsets {end} to {first - 1}, were removed "
                "from the log before they were archived. Restore the log if you can; with "
                "--accept-gap the archive notes that they are missing, and goes on behind them"
            )
        self._commit(self._manifest.with_gap(gap))
        self._report.gaps.append((source, gap))

    def _keep(self, source: Partition, writer: SegmentWriter) -> None:
        finished = writer.finish()
        if finished is not None:
            segment, data = finished
            self._store.write(segment.file, data)
            self._commit(self._manifest.with_segment(segment))
            self._report.segments.append((source, segment))

    def _commit(self, manifest: Manifest) -> None:
        """Make this the topic's manifest, unless someone else has changed it."""
        topic = self._log.topic
        if read_manifest(self._store, topic) != self._stored:
            raise UserError(
                f"{self._store.place(manifest_name(topic))} was changed while this run worked: is "
                "another `tape archive run` at it? What that one has archived stands; run it again"
            )
        self._store.write(manifest_name(topic), manifest.dump())
        self._stored = self._manifest = manifest
