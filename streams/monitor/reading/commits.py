"""What all consumer groups commit, read from the topic where the brokers keep it.

To ask the brokers for the offsets of each group tells where the groups are, but not when they
committed last; `__consumer_offsets` has every commit with its time. The format is that of Kafka's
OffsetCommitKey.json and OffsetCommitValue.json (group-coordinator, 4.3.1).
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from confluent_kafka import KafkaError as Code
from confluent_kafka import KafkaException

from streams import tolerant
from streams.admin import Broker
from streams.clients import running
from streams.errors import UserError
from streams.settings import Endpoints

__all__ = ["TOPIC", "CommitTail", "Committed", "Undecodable", "decode"]

log = structlog.get_logger(__name__)

TOPIC = "__consumer_offsets"

#: Seconds before its start from which a tail reads: the window of a group that commits every
#: 90 seconds or more often is whole at once.
_BACK_S = 900.0
#: How often (seconds) it is looked whether the topic or partitions of it came to be.
_LOOK_S = 1.0
#: The broker gathers records for a fetch for so long (milliseconds), unless there are so many
#: bytes: else each single commit on a cluster would cost an answer.
_GATHER_MS = 500
_GATHER_BYTES = 256 * 1024
#: So many records are read at once, and so many times in one go; other tasks run in between.
_AT_ONCE = 5_000
_TIMES = 10

#: The newest key of a commit; those behind it are of groups' members and assignments.
_LAST_KEY = 1
#: The first value with compact strings and tagged fields (KIP-482), and the last.
_COMPACT = 4
_LAST_VALUE = 4
#: The first value with a leader epoch before the metadata.
_WITH_EPOCH = 3
#: The only value with an expiry time behind the commit's.
_WITH_EXPIRY = 1

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


class Undecodable(ValueError):
    """A record of the topic that is not in the known format; says what is wrong with it."""


class Committed(NamedTuple):
    """A group's commit in one partition.

    `offset` is the next to be read, None where the group's offset was deleted: by an operator, or
    because it expired. `time` is the broker's, in microseconds since 1970 UTC.
    """

    group: str
    topic: str
    partition: int
    offset: int | None
    time: int


def decode(key: bytes | None, value: bytes | None, appended_ms: int) -> Committed | None:
    """The commit in a record; None where it tells something else of a group.

    `appended_ms` is the record's own time, in milliseconds since 1970 UTC: that of a deletion.
    Raises Undecodable.
    """
    if key is None:
        raise Undecodable("no key")
    reader = _Reader(key)
    version = reader.int16()
    if version > _LAST_KEY:
        return None
    if version < 0:
        raise Undecodable(f"key of version {version}")
    group, topic, partition = reader.text(), reader.text(), reader.int32()
    reader.end()
    offset, time_ms = (None, appended_ms) if value is None else _offset_and_time(value)
    return Committed(group, topic, partition, offset, time_ms * 1000)


def _offset_and_time(value: bytes) -> tuple[int, int]:
    reader = _Reader(value)
    version = reader.int16()
    if not 0 <= version <= _LAST_VALUE:
        raise Undecodable(f"value of version {version}")
    offset = reader.int64()
    if offset < 0:
        raise Undecodable(f"offset {offset}")
    if version >= _WITH_EPOCH:
        reader.int32()
    if version >= _COMPACT:
        reader.skip(reader.varint() - 1)
    else:
        reader.skip(reader.int16())
    time_ms = reader.int64()
    if version == _WITH_EXPIRY:
        reader.int64()
    if version >= _COMPACT:
        for _ in range(reader.varint()):  # the topic's id, in a field of its own
            reader.varint()
            reader.skip(reader.varint())
    reader.end()
    return offset, time_ms


class _Reader:
    """Takes the fields of Kafka's wire format from bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def int16(self) -> int:
        return self._number(_INT16)

    def int32(self) -> int:
        return self._number(_INT32)

    def int64(self) -> int:
        return self._number(_INT64)

    def varint(self) -> int:
        """An unsigned one, of 32 bits."""
        found = 0
        for shift in range(0, 35, 7):
            byte = self._taken(1)[0]
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
        raise Undecodable("a length without an end")

    def text(self) -> str:
        try:
            return self._taken(self.int16()).decode()
        except UnicodeDecodeError as error:
            raise Undecodable(f"a name that is not UTF-8: {error}") from None

    def skip(self, length: int) -> None:
        self._taken(length)

    def end(self) -> None:
        """Nothing may follow: a field that is not known might change what the others mean."""
        if self._at != len(self._data):
            raise Undecodable(f"{len(self._data) - self._at} bytes too many")

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._taken(form.size))[0]
        return number

    def _taken(self, length: int) -> bytes:
        until = self._at + length
        if length < 0 or until > len(self._data):
            raise Undecodable(f"{length} bytes wanted at {self._at} of {len(self._data)}")
        taken = self._data[self._at : until]
        self._at = until
        return taken


class CommitTail:
    """Reads the commits of all groups as they come. It is in no group and commits nothing.

    A commit inside a transaction is seen as soon as it is written, and though the transaction be
    aborted: to wait for the end of one would hold up what all other groups commit.
    """

    def __init__(self, consumer: AIOKafkaConsumer, endpoints: Endpoints, since_ms: int) -> None:
        self._consumer = consumer
        self._endpoints = endpoints
        self._since_ms = since_ms
        #: The next offset of each partition that is followed.
        self._next: dict[TopicPartition, int] = {}
        self._undecodable = 0
        self._is_away = False

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints, back_s: float = _BACK_S) -> AsyncIterator[CommitTail]:
        """Connect, and follow what was committed since `back_s` seconds ago.

        The brokers make the topic when the first group comes: then it is followed from there on.

        Raises UserError: the broker is out of reach, or does not let its user read the topic.
        """
        tolerant.install()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=endpoints.brokers,
            enable_auto_commit=False,
            # Where the log lost its end in a crash of the broker, it goes on at the new one.
            auto_offset_reset="latest",
            fetch_max_wait_ms=_GATHER_MS,
            fetch_min_bytes=_GATHER_BYTES,
            **endpoints.kafka,
        )
        tail = cls(consumer, endpoints, int((time.time() - back_s) * 1000))
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(running(consumer))
                await tail._look()
            except KafkaError as error:
                raise _explained(endpoints, error) from error
            looking = asyncio.create_task(tail._keep_looking())
            try:
                yield tail
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)

    @property
    def partitions(self) -> Collection[int]:
        """The partitions of the topic that are followed; none before there is the topic."""
        return sorted(place.partition for place in self._next)

    @property
    def undecodable(self) -> int:
        """How many records were skipped because they could not be decoded."""
        return self._undecodable

    async def read(self) -> list[Committed]:
        """What came since, in the order of each group's commits; it waits for nothing.

        At most 50,000 records are read at once: right after the start there may be more.

        Raises UserError: the broker does not let its user read the topic.
        """
        found: list[Committed] = []
        for _ in range(_TIMES):
            fetched = await self._fetched()
            if not fetched:
                break
            for place, records in fetched.items():
                self._next[place] = records[-1].offset + 1
                self._take(place, records, found)
            await asyncio.sleep(0)
        return found

    async def _fetched(self) -> dict[TopicPartition, list[Any]]:
        if not self._next:
            return {}  # the consumer would wait until it is assigned something
        try:
            fetched: dict[TopicPartition, list[Any]] = await self._consumer.getmany(
                max_records=_AT_ONCE
            )
        except TopicAuthorizationFailedError as error:
            raise _explained(self._endpoints, error) from error
        except KafkaError as error:  # a damaged batch
            self._skip("a batch", error)
            return {}
        return fetched

    def _take(self, place: TopicPartition, records: list[Any], found: list[Committed]) -> None:
        for record in records:
            try:
                committed = decode(record.key, record.value, record.timestamp)
            except Undecodable as error:
                self._skip(f"{place.partition}@{record.offset}", error)
            else:
                if committed is not None:
                    found.append(committed)

    def _skip(self, where: str, error: Exception) -> None:
        if not self._undecodable:
            log.warning("commits cannot be decoded", topic=TOPIC, where=where, reason=str(error))
        self._undecodable += 1

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except (KafkaError, UserError) as error:
                if not self._is_away:
                    log.warning("cannot look for commits", topic=TOPIC, reason=str(error))
                self._is_away = True
            else:
                self._is_away = False

    async def _look(self) -> None:
        """Follow the partitions that are not followed yet. Raises KafkaError, UserError."""
        places = [TopicPartition(TOPIC, one) for one in await self._partitions()]
        new = [place for place in places if place not in self._next]
        if not new:
            return
        # The ends before the times: what is appended in between is found by its time.
        ends = await self._consumer.end_offsets(new)
        found = await self._consumer.offsets_for_times(dict.fromkeys(new, self._since_ms))
        for place in new:
            at = found.get(place)
            self._next[place] = ends[place] if at is None else at.offset
        self._consumer.assign(list(self._next))
        for place, offset in self._next.items():
            self._consumer.seek(place, offset)

    async def _partitions(self) -> Collection[int]:
        if self._next:  # kept up by the consumer
            return self._consumer.partitions_for_topic(TOPIC) or ()
        try:
            found = await asyncio.to_thread(Broker(self._endpoints).describe, [TOPIC])
        except UserError as error:
            raise _explained(self._endpoints, error) from error
        return [one.id for topic in found.values() for one in topic.partitions]


def _explained(endpoints: Endpoints, error: Exception) -> UserError:
    cause = error.__cause__
    is_refused = isinstance(error, TopicAuthorizationFailedError) or (
        isinstance(cause, KafkaException)
        and cause.args[0].code() == Code.TOPIC_AUTHORIZATION_FAILED
    )
    if is_refused:
        return UserError(
            f"the broker {endpoints.brokers} does not let its user read what groups commit; give"
            f" the user the rights DESCRIBE and READ on the topic {TOPIC}"
        )
    if isinstance(error, UserError):
        return error
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"the broker {endpoints.brokers}: {reason}; `tape doctor` tries the connection"
    )
