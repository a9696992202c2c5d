"""What stands behind the producer: a queue per partition, and the client that can be replaced.

aiokafka resends a batch by itself with the same sequence number, which the broker recognises.
Where it gives up (a batch older than its timeout while the partition has no leader; a producer id
that the broker forgot), the batch's sequence number is used up, and every later batch of this
producer id would be refused: so the client is replaced by one with a new id, and the same records
go out again. Only then may a record be in the log twice, with the same `ce_id`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.clients import until_closed
from streams.errors import UserError
from streams.events.codec import EncodedEvent
from streams.settings import Endpoints
from streams.tracing import Place

__all__ = ["BATCH_BYTES", "RECORD_ERRORS", "TOPIC_ERRORS", "DeliveryError", "Lane", "Link"]
__all__ += ["Statistics", "cost", "partition_of"]

log = structlog.get_logger(__name__)

#: The largest batch, in bytes before compression; one larger record is a batch of its own.
BATCH_BYTES = 256 * 1024
#: What a queued record costs beside its key and value, in bytes: headers and Python objects.
_RECORD_OVERHEAD = 900
_REQUEST_TIMEOUT_MS = 10_000
_RETRY_BACKOFF_S = 0.2
#: How long a client may take to send what it holds once the producer has given up waiting.
_CLOSE_TIMEOUT_S = 1.0

#: Nothing can be written to the topic: all that waits for this partition fails.
TOPIC_ERRORS = (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    TopicAuthorizationFailedError,
)
#: Some record of the batch cannot be written.
RECORD_ERRORS = (MessageSizeTooLargeError, RecordListTooLargeError)

_partitioner = DefaultPartitioner()


class DeliveryError(UserError):
    """An event is not in the log and will not be: names topic, key and reason."""

    def __init__(self, topic: str, key: bytes, reason: str) -> None:
        self.topic, self.key, self.reason = topic, key, reason
        shown = key.decode(errors="replace")
        super().__init__(f"event with key {shown!r} was not delivered to topic {topic}: {reason}")


@dataclass
class Statistics:
    """Counts of records since the start; `bytes` counts the values acknowledged."""

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    bytes: int = 0

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.acknowledged - self.failed


def cost(record: EncodedEvent) -> int:
    """About how many bytes of memory a queued record takes."""
    return len(record.key) + len(record.value) + _RECORD_OVERHEAD


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: tuple[int, ...]) -> int:
    """Where aiokafka's own `send` would put the key: murmur2, as the Java client."""
    # Remembered, because aiokafka's murmur2 is pure Python and costs more than encoding the event.
    return int(_partitioner(key, partitions, partitions))


@dataclass(eq=False)
class Lane:
    """The records of one partition that are not acknowledged, oldest first."""

    topic: str
    partition: int
    queue: deque[EncodedEvent] = field(default_factory=deque)
    bytes: int = 0
    appended: int = 0
    settled: int = 0
    #: Who waits to hear where a record stands, by the record's number in this lane.
    listeners: dict[int, asyncio.Future[Place]] = field(default_factory=dict)
    #: At most so many records in the next batch, while an offender is looked for.
    limit: int | None = None
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def append(
        self, record: EncodedEvent, size: int, listener: asyncio.Future[Place] | None
    ) -> None:
        if listener is not None:
            self.listeners[self.appended] = listener
        self.queue.append(record)
        self.bytes += size
        self.appended += 1
        self.waiting.set()

    def fill(self, batch: BatchBuilder) -> int:
        """Puts the oldest records into a batch; returns how many it took."""
        count = 0
        for record in islice(self.queue, self.limit):
            taken = batch.append(
                timestamp=None, key=record.key, value=record.value, headers=record.headers
            )
            if taken is None:
                break
            count += 1
        batch.close()
        return count

    def settle(self, count: int) -> list[EncodedEvent]:
        """Takes the oldest `count` records off."""
        records = [self.queue.popleft() for _ in range(count)]
        self.bytes -= sum(map(cost, records))
        self.settled += count
        if not self.queue:
            self.waiting.clear()
        return records

    def tell(self, count: int, base: int) -> None:
        """Say to who waits for one of the oldest `count` records where it stands, from `base`."""
        if base < 0:  # a repeat that the broker recognised, but no longer knows the place of
            self.refuse(count, "the log has it already, but the broker does not say where")
        for number, listener in self._heard(count):
            offset = base + number - self.settled
            listener.set_result(Place(self.topic, self.partition, offset))

    def refuse(self, count: int, reason: str) -> int:
        """Say to who waits for one of the oldest `count` records why it failed; how many wait."""
        heard = self._heard(count)
        for number, listener in heard:
            key = self.queue[number - self.settled].key
            listener.set_exception(DeliveryError(self.topic, key, reason))
        return len(heard)

    def _heard(self, count: int) -> list[tuple[int, asyncio.Future[Place]]]:
        if not self.listeners:
            return []
        numbers = range(self.settled, self.settled + count)
        found = [(at, self.listeners.pop(at)) for at in numbers if at in self.listeners]
        return [(at, listener) for at, listener in found if not listener.done()]


class Link:
    """The aiokafka producer in use, and its replacement when it can go on no more."""

    client: AIOKafkaProducer

    def __init__(self, endpoints: Endpoints) -> None:
        self.replacements = 0
        self._endpoints = endpoints
        self._replacing = asyncio.Lock()
        self._retired: dict[asyncio.Task[None], AIOKafkaProducer] = {}

    async def connect(self) -> None:
        """Raises KafkaError when no broker answers."""
        client = AIOKafkaProducer(
            bootstrap_servers=self._endpoints.brokers,
            enable_idempotence=True,
            acks="all",
            # aiokafka's lz4 is that of the highest level: seven times the time, for more bytes.
            compression_type="zstd",
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            retry_backoff_ms=int(_RETRY_BACKOFF_S * 1000),
            **self._endpoints.kafka,
        )
        try:
            await client.start()
        except BaseException:
            await until_closed(client.stop())
            raise
        self.client = client

    async def replace(self, stale: AIOKafkaProducer) -> None:
        """Returns when another client than `stale` is in use, however long that takes."""
        async with self._replacing:
            if self.client is not stale:
                return
            while True:
                await asyncio.sleep(_RETRY_BACKOFF_S)
                try:
                    await self.connect()
                    break
                except KafkaError as error:
                    log.warning("broker out of reach", brokers=self._endpoints.brokers, error=error)
            self.replacements += 1
            # Other partitions' batches may still be on their way through the old one.
            self._retire(stale)

    async def close(self) -> None:
        """Disconnects; what the clients still hold is given up after a second."""
        self._retire(self.client)
        _, waiting = await asyncio.wait(self._retired, timeout=_CLOSE_TIMEOUT_S)
        abandoned = [self._retired[task] for task in waiting]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for client in abandoned:
            await until_closed(_abandon(client))

    def _retire(self, client: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_leave(client))
        self._retired[task] = client
        task.add_done_callback(self._retired.pop)


async def _leave(client: AIOKafkaProducer) -> None:
    await client.flush()
    await client.stop()


async def _abandon(client: AIOKafkaProducer) -> None:
    """Ends a client that holds batches for a broker that is away; its `stop` would wait for it."""
    client._closed = True
    await client._sender.close()
    await client.client.close()
