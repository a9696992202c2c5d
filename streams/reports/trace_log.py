"""The records of a trace, found in Kafka: backwards from the end, by their headers alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import tolerant
from streams.clients import running
from streams.errors import UserError
from streams.events.codec import TRACE_HEADER, Headers
from streams.settings import Endpoints
from streams.topics import topic_ids
from streams.tracing import EventId, Place, Target, TraceId

__all__ = ["LoggedRecord", "Traced", "find_records"]

#: So many records behind each one are read too: see `commits`.
FOLLOWERS = 200
#: The log is searched in slices of time, each so many times longer than the one before.
_FIRST_SLICE_S = 60.0
_LONGER = 4
#: Records of one frame are appended within this time, seconds: a producer that waits for a broker
#: may take as long.
_ONE_FRAME_S = 60.0
#: The broker may hold a fetch so long, and with it every other question to it. Milliseconds.
_HELD_MS = 20
_WAIT_MS = 500
#: A broker that gives nothing for so many waits is given up.
_WAITS = 30
_BATCH = 5_000


@dataclass(frozen=True)
class LoggedRecord:
    """A record and where it stands; `appended` in milliseconds since 1970 UTC.

    `by_broker` is False where the producer gave that time.
    """

    place: Place
    appended: int
    by_broker: bool
    key: bytes | None
    value: bytes | None
    headers: Headers

    def attribute(self, name: str) -> str | None:
        """A header's value as text; None where there is none."""
        value = dict(self.headers).get(name)
        return None if value is None else value.decode(errors="replace")


@dataclass(frozen=True)
class Traced:
    """What was found: the records by append time and place, and behind each the next ones of its
    partition. `topic_ids` are the broker's, as UUID text."""

    records: Sequence[LoggedRecord]
    followers: Mapping[Place, Sequence[LoggedRecord]]
    topic_ids: Mapping[str, str]


async def find_records(
    endpoints: Endpoints, target: Target, topics: Sequence[str], seconds: float
) -> Traced:
    """The records of a target, among those that were appended in the last `seconds`.

    A place is looked up whatever its age, in its own topic.

    Raises:
        UserError: nothing was found (says where), a topic or a partition is not there, or the
            broker is out of reach.
    """
    names = (target.topic,) if isinstance(target, Place) else topics
    ids = await asyncio.to_thread(topic_ids, endpoints, names)
    tolerant.install()
    consumer = AIOKafkaConsumer(
        *names,
        bootstrap_servers=endpoints.brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        fetch_max_wait_ms=_HELD_MS,
        **endpoints.kafka,
    )
    try:
        async with running(consumer):
            reader = _Reader(consumer, endpoints)
            if isinstance(target, Place):
                found = [await _look_up(reader, target)]
            else:
                found = await _search(reader, target, names, seconds)
            followers = {record.place: await reader.behind(record.place) for record in found}
    except KafkaError as error:
        raise UserError(
            f"the topics {', '.join(names)} on {endpoints.brokers} cannot be read: {error!r}; "
            "`tape doctor` tries the connection"
        ) from error
    return Traced(found, followers, ids)


async def _look_up(reader: _Reader, place: Place) -> LoggedRecord:
    partition = TopicPartition(place.topic, place.partition)
    if partition not in reader.partitions:
        raise UserError(f"{place}: the topic has the partitions 0 to {len(reader.partitions) - 1}")
    starts, ends = await reader.bounds()
    start, end = starts[partition], ends[partition]
    if not start <= place.offset < end:
        holds = f"holds the offsets {start} to {end - 1}" if start < end else "is empty"
        raise UserError(f"{place} is not in the log: the partition {holds}")
    found = await reader.read({partition: place.offset}, {partition: place.offset + 1})
    if not found:
        raise UserError(f"{place}: the log has no record at this offset")
    return found[0]


async def _search(
    reader: _Reader, target: TraceId | EventId, topics: Sequence[str], seconds: float
) -> list[LoggedRecord]:
    now, is_wanted = time.time(), _test_of(target)
    _, uppers = await reader.bounds()
    span, found = min(_FIRST_SLICE_S, seconds), list[LoggedRecord]()
    while True:
        lowers = await reader.offsets_at(now - span, uppers)
        found += await reader.read(lowers, uppers, is_wanted)
        oldest = min((one.appended / 1000 for one in found), default=0.0)
        if span >= seconds or (found and oldest - (now - span) >= _ONE_FRAME_S):
            break
        uppers, span = lowers, min(span * _LONGER, seconds)
    if not found:
        since = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now - span))} UTC"
        raise UserError(
            f"no record of {target} among the {reader.records:,} records of {', '.join(topics)} "
            f"that were appended since {since}; --since looks further back"
        )
    return sorted(found, key=lambda one: (one.appended, one.place))


def _test_of(target: TraceId | EventId) -> Callable[[Headers], bool]:
    """Whether the headers are of a record of the target: asked of each record, so it is quick."""
    if isinstance(target, EventId):
        ce_id = "ce_id", target.ce_id.encode(errors="replace")
        return lambda headers: ce_id in headers
    trace_id = target.trace_id.encode()
    return lambda headers: any(
        name == TRACE_HEADER and value is not None and value[3:35] == trace_id
        for name, value in headers
    )


@dataclass
class _Reader:
    """A consumer of all partitions of some topics, without a group, moved to and fro."""

    consumer: AIOKafkaConsumer
    endpoints: Endpoints
    #: How many records were read.
    records: int = 0
    partitions: frozenset[TopicPartition] = field(init=False)

    def __post_init__(self) -> None:
        self.partitions = self.consumer.assignment()
        self.consumer.pause(*self.partitions)

    async def bounds(self) -> tuple[dict[Any, int], dict[Any, int]]:
        """First offsets and end offsets now."""
        partitions = list(self.partitions)
        starts = await self.consumer.beginning_offsets(partitions)
        return starts, await self.consumer.end_offsets(partitions)

    async def offsets_at(self, at: float, uppers: Mapping[Any, int]) -> dict[Any, int]:
        """The first offset of each partition appended at this time or later; at most `uppers`."""
        asked = dict.fromkeys(uppers, int(max(at, 0.0) * 1000))
        found = await self.consumer.offsets_for_times(asked)
        return {
            partition: min(upper, found[partition].offset) if found[partition] else upper
            for partition, upper in uppers.items()
        }

    async def behind(self, place: Place) -> list[LoggedRecord]:
        """The next records of its partition, in order."""
        partition = TopicPartition(place.topic, place.partition)
        ends = await self.consumer.end_offsets([partition])
        last = min(place.offset + 1 + FOLLOWERS, ends[partition])
        return await self.read({partition: place.offset + 1}, {partition: last})

    async def read(
        self,
        lowers: Mapping[Any, int],
        uppers: Mapping[Any, int],
        is_wanted: Callable[[Headers], bool] = lambda _: True,
    ) -> list[LoggedRecord]:
        """The wanted records from `lowers` up to but not including `uppers`."""
        due = {partition for partition, lower in lowers.items() if lower < uppers[partition]}
        for partition in due:
            self.consumer.seek(partition, lowers[partition])
            self.consumer.resume(partition)
        found: list[LoggedRecord] = []
        waits = 0
        while due:
            got = await self.consumer.getmany(*due, timeout_ms=_WAIT_MS, max_records=_BATCH)
            waits = 0 if got else waits + 1
            if waits > _WAITS:
                raise UserError(
                    f"{self.endpoints.brokers} gives no records of "
                    f"{', '.join(sorted({partition.topic for partition in due}))}; "
                    "`tape doctor` tries the connection"
                )
            for partition, records in got.items():
                inside = [one for one in records if one.offset < uppers[partition]]
                self.records += len(inside)
                found += [_logged(one) for one in inside if is_wanted(one.headers)]
            read = {one for one in due if await self.consumer.position(one) >= uppers[one]}
            self.consumer.pause(*read)
            due -= read
        return found


def _logged(record: Any) -> LoggedRecord:
    place = Place(record.topic, record.partition, record.offset)
    by_broker = record.timestamp_type == 1
    return LoggedRecord(
        place, record.timestamp, by_broker, record.key, record.value, record.headers
    )
