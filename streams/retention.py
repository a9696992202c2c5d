"""What the log still keeps, beside what each projection needs of it.

A projection can be rebuilt in full only from offset 0 on, and a worker that is behind must read its
records before the broker deletes them. The broker deletes whole segments, once the newest record of
one is older than `retention.ms`: so the hours given here are a lower bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Assigned
from aiokafka.errors import KafkaError

from projections import checkpoint
from projections.base import Partition
from projections.checkpoint import Standing
from projections.database import connect
from streams import tolerant
from streams.admin import Broker
from streams.archive.joining import with_archive
from streams.clients import running
from streams.errors import UserError
from streams.settings import Endpoints
from streams.topics import partition_bounds, topic_ids

__all__ = ["SOON_H", "Check", "Fault", "Kept", "Log", "Missing", "Offsets"]
__all__ += ["check", "missing", "read_logs"]

#: A checkpoint that may fall off the log within so many hours is a fault.
SOON_H = 24.0
_HOUR_MS = 3_600_000
#: Faults that are none where a projection needs no more than what its log keeps.
_PASSED_OVER = frozenset({"anew", "lost"})
#: How long the broker may take to give one record, in seconds.
_RECORD_TIMEOUT_S = 10.0


class Offsets(NamedTuple):
    """Offsets of one partition, from `first` up to but not including `until`."""

    first: int
    until: int

    def __str__(self) -> str:
        last = self.until - 1
        return f"offset {last}" if last == self.first else f"offsets {self.first} to {last}"


@dataclass(frozen=True, slots=True)
class Missing:
    """What a projection's history lacks: for each partition concerned, ranges in order."""

    projection: str
    ranges: Mapping[Partition, Sequence[Offsets]]

    @property
    def records(self) -> int:
        """How many records that is."""
        return sum(one.until - one.first for some in self.ranges.values() for one in some)

    def __str__(self) -> str:
        where = ", ".join(
            f"{source} {' and '.join(map(str, some))}" for source, some in self.ranges.items()
        )
        verb = "record is" if self.records == 1 else "records are"
        return (
            f"{self.projection} cannot be rebuilt in full: {self.records:,} {verb} no longer"
            f" kept, {where}"
        )


def missing(projection: str, at_hand: Mapping[Partition, Iterable[Offsets]]) -> Missing | None:
    """What lacks of a projection's history; None where all of it is at hand.

    `at_hand` has what there is of each partition of its topics: the log's own offsets (an empty
    log's too, for what was before them is missing), and those that an archive gives. They may
    overlap, in any order. A history begins at offset 0 and ends with the last one at hand.
    """
    found = {source: list(_holes(at_hand[source])) for source in sorted(at_hand)}
    ranges = {source: holes for source, holes in found.items() if holes}
    return Missing(projection, ranges) if ranges else None


def _holes(ranges: Iterable[Offsets]) -> Iterator[Offsets]:
    some = list(ranges)
    end = max((one.until for one in some), default=0)
    reached = 0
    for first, until in [*sorted(one for one in some if one.first < one.until), Offsets(end, end)]:
        if first > reached:
            yield Offsets(reached, first)
        reached = max(reached, until)


@dataclass(frozen=True, slots=True)
class Log:
    """One partition on the broker.

    `retention_ms` and `retention_bytes` are -1 where nothing is deleted by age or by size.
    """

    topic_id: str
    offsets: Offsets
    retention_ms: int
    retention_bytes: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, in one word and in one sentence.

    `incomplete`: no full rebuild is possible. `lost`: records were deleted before they were
    projected. `soon`: they may be within `SOON_H`. `anew`: the topic was made anew. `beyond`: the
    log ends before the checkpoint.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Kept:
    """One partition, and where the projection's current generation stands in it.

    `checkpoint` is None where it was never claimed: a worker would begin at the log's start.
    `oldest` is the append time of the first record that is not projected, in milliseconds since
    1970 UTC; None where there is no such record.
    """

    source: Partition
    log: Log
    checkpoint: Standing | None
    oldest: int | None

    @property
    def is_of_another_topic(self) -> bool:
        """Whether the checkpoint's offset means another topic of that name."""
        return self.checkpoint is not None and self.checkpoint.topic_id != self.log.topic_id

    @property
    def above_start(self) -> int | None:
        """How far the checkpoint is above the log's first offset; below zero, records are lost."""
        if self.checkpoint is None or self.is_of_another_topic:
            return None
        return self.checkpoint.next_offset - self.log.offsets.first

    @property
    def unprojected(self) -> int:
        """How many records of the log are not projected."""
        return max(0, self.log.offsets.until - position(self.log, self.checkpoint))

    def hours_left(self, now: int) -> float | None:
        """Until the first unprojected record may be deleted, at the earliest.

        `now` in milliseconds since 1970 UTC. None where there is no such record, or it is kept for
        ever.
        """
        if self.oldest is None or self.log.retention_ms < 0:
            return None
        return max(0.0, (self.oldest + self.log.retention_ms - now) / _HOUR_MS)


@dataclass(frozen=True, slots=True)
class Check:
    """One projection: whether it can be rebuilt, and how long its workers have.

    One that keeps some days only `passes_over` what its log kept no longer.
    """

    projection: str
    missing: Missing | None
    partitions: Sequence[Kept]
    passes_over: bool = False

    def hours_left(self, now: int) -> float | None:
        """The least of its partitions."""
        hours = (one.hours_left(now) for one in self.partitions)
        return min((one for one in hours if one is not None), default=None)

    def faults(self, now: int) -> list[Fault]:
        """All that is wrong at `now`, milliseconds since 1970 UTC."""
        found = [Fault("incomplete", str(self.missing))] if self.missing else []
        for one in self.partitions:
            fault = _fault(self.projection, one, now)
            if fault is None or (self.passes_over and fault.kind in _PASSED_OVER):
                continue
            found.append(fault)
        return found


def _fault(projection: str, one: Kept, now: int) -> Fault | None:
    where, log = f"{projection}: the checkpoint of {one.source}", one.log.offsets
    if one.is_of_another_topic:
        return Fault("anew", f"{where} is of a topic that was deleted and made anew")
    above = one.above_start
    if one.checkpoint is not None and above is not None and above < 0:
        return Fault(
            "lost",
            f"{where} is offset {one.checkpoint.next_offset}, but the log begins at {log.first}:"
            f" {-above:,} records were deleted before they were projected, and workers refuse to"
            f" go on; restore the log, or rebuild with `tape rebuild {projection}`",
        )
    if one.checkpoint is not None and one.checkpoint.next_offset > log.until:
        return Fault(
            "beyond",
            f"{where} is offset {one.checkpoint.next_offset}, but the log ends at {log.until}:"
            " is this the right broker, and the right database?",
        )
    hours = one.hours_left(now)
    if hours is not None and hours < SOON_H:
        return Fault(
            "soon",
            f"{where} may fall off the log in {hours:.1f} hours, with {one.unprojected:,} records"
            f" not projected: start workers, or raise retention.ms of {one.source.topic}",
        )
    return None


def position(log: Log, checkpoint: Standing | None) -> int:
    """The offset that is read next from the log: the checkpoint's, where that means anything."""
    if checkpoint is None or checkpoint.topic_id != log.topic_id:
        return log.offsets.first
    return max(checkpoint.next_offset, log.offsets.first)


def read_logs(endpoints: Endpoints, topics: Collection[str]) -> dict[Partition, Log]:
    """Each partition of these topics, as the broker has it now. Blocks.

    Raises UserError: the broker is out of reach, or lacks a topic.
    """
    broker = Broker(endpoints)
    ids = topic_ids(endpoints, topics)
    settings = {name: broker.settings(name) for name in ids}
    return {
        Partition(name, partition): Log(
            ids[name],
            Offsets(*bounds),
            int(settings[name]["retention.ms"]),
            int(settings[name]["retention.bytes"]),
        )
        for (name, partition), bounds in partition_bounds(endpoints, topics).items()
    }


async def check(
    endpoints: Endpoints,
    projections: Mapping[str, Collection[str]],
    passing_over: Collection[str] = (),
) -> list[Check]:
    """Look at each projection, given with its topics; some are `passing_over` what is not kept.

    Raises UserError for the broker, psycopg's errors for the database, and Refusal where a
    projection has no tables.
    """
    topics = sorted({topic for some in projections.values() for topic in some})
    standings: dict[str, Mapping[Partition, Standing]] = {}
    async with await connect(endpoints.dsn, "retention", {}) as connection:
        for name in projections:
            standings[name] = await checkpoint.standing(connection, name)
    # Afterwards: a log that moves on meanwhile would else end before a checkpoint.
    logs = await asyncio.to_thread(read_logs, endpoints, topics)
    places = {
        (name, source): position(log, standings[name].get(source))
        for name, some in projections.items()
        for source, log in logs.items()
        if source.topic in some
    }
    wanted = {(source, at) for (_, source), at in places.items() if at < logs[source].offsets.until}
    times = await _append_times(endpoints, sorted(wanted))
    at_hand = await asyncio.to_thread(_with_archive, endpoints, logs)
    return [
        Check(
            name,
            None
            if name in passing_over
            else missing(name, {source: [at_hand[source]] for source in _of(some, logs)}),
            [
                Kept(
                    source,
                    logs[source],
                    standings[name].get(source),
                    times.get((source, places[name, source])),
                )
                for source in _of(some, logs)
            ],
            passes_over=name in passing_over,
        )
        for name, some in projections.items()
    ]


def _with_archive(endpoints: Endpoints, logs: Mapping[Partition, Log]) -> dict[Partition, Offsets]:
    """What a rebuild has of each partition. Raises UserError: the archive is damaged."""
    ids = {source.topic: log.topic_id for source, log in logs.items()}
    held = {source: log.offsets for source, log in logs.items()}
    joined = with_archive(endpoints.archive, ids, held)
    return {source: Offsets(*bounds) for source, bounds in joined.items()}


def _of(topics: Collection[str], logs: Mapping[Partition, Log]) -> list[Partition]:
    return sorted(source for source in logs if source.topic in topics)


async def _append_times(
    endpoints: Endpoints, places: Sequence[tuple[Partition, int]]
) -> dict[tuple[Partition, int], int]:
    """The append times of the records at these offsets, in milliseconds since 1970 UTC.

    Of a record that was deleted since, that of the first which is left.
    """
    if not places:
        return {}
    tolerant.install()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=endpoints.brokers, auto_offset_reset="earliest", **endpoints.kafka
    )
    found = {}
    try:
        async with running(consumer):
            for source, offset in places:
                # One at a time: the broker gives one batch of it, however large, and no more.
                consumer.assign([Assigned(*source)])
                consumer.seek(Assigned(*source), offset)
                async with asyncio.timeout(_RECORD_TIMEOUT_S):
                    found[source, offset] = (await consumer.getone()).timestamp
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            f"the broker {endpoints.brokers} gives no records: {error!r}; "
            "`tape doctor` tries the connection"
        ) from error
    return found
