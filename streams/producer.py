"""Events to Kafka: in order per key, never lost in silence, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import structlog
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from streams.delivery import (
    BATCH_BYTES,
    RECORD_ERRORS,
    TOPIC_ERRORS,
    DeliveryError,
    Lane,
    Link,
    Statistics,
    cost,
    partition_of,
)
from streams.errors import UserError
from streams.events.base import Event
from streams.events.catalogue import MAX_MESSAGE_BYTES, TOPICS
from streams.events.codec import EncodedEvent, encode
from streams.live import Live
from streams.settings import Endpoints
from streams.topics import MissingTopic, topic_ids
from streams.tracing import Place

__all__ = ["DeliveryError", "Producer", "Statistics"]

log = structlog.get_logger(__name__)

#: Backpressure begins when records of this much memory are not acknowledged, in bytes.
MAX_UNACKNOWLEDGED_BYTES = 32 * 1024 * 1024
#: How long a batch that is not full waits for more records, in seconds.
LINGER_S = 0.005
#: How long `stop` waits for acknowledgements, in seconds: within a worker's ten for SIGTERM.
STOP_TIMEOUT_S = 8.0
_START_TIMEOUT_S = 15.0


class Producer:
    """An async context manager; any number of tasks of one event loop may send.

    A batch that fails for a reason of the infrastructure is sent again until it succeeds, before
    anything after it: one batch per partition is on its way. A delivery that cannot succeed is
    raised once, as DeliveryError: by the `deliver` that waits for it, else by the next `send`,
    `send_records`, `flush` or `stop`: the first where several failed, while `statistics.failed`
    counts all. None can be made in a process that replays (`streams.live`).
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._live = Live()  # nothing is written where the log is read again
        self.statistics = Statistics()
        self._endpoints = endpoints
        self._link = Link(endpoints)
        self._partitions: dict[str, tuple[int, ...]] = {}
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._buffered = 0
        self._progress = asyncio.Condition()
        self._failure: DeliveryError | None = None

    async def start(self) -> None:
        """Connects. Raises UserError: the broker is out of reach, or lacks a catalogue topic."""
        await asyncio.to_thread(topic_ids, self._endpoints, [topic.name for topic in TOPICS])
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._link.connect()
        except (KafkaError, TimeoutError) as error:
            raise UserError(
                f"no producer on the broker {self._endpoints.brokers}: {error!r}; "
                "`tape doctor` tries the connection"
            ) from error

    async def send(self, event: Event, trace: str | None = None) -> None:
        """Takes an event and returns once it is buffered; waits while the buffer is full.

        `trace` is the traceparent of the frame that it came by.

        Raises DeliveryError for an earlier failure (this event is then not taken), or at once when
        this event is too large for any topic or its topic is missing.
        """
        await self.send_record(encode(event, trace))

    async def deliver(self, event: Event, trace: str | None = None) -> Place:
        """Sends an event and returns where it stands, once the log has it, however long it takes.

        Raises DeliveryError when it is not in the log and will not be, and as `send`.
        """
        listener: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        await self._send(encode(event, trace), listener)
        return await listener

    async def send_record(self, record: EncodedEvent) -> None:
        """The same as `send` for a record that is encoded already, such as a dead letter's copy."""
        await self._send(record)

    async def _send(
        self, record: EncodedEvent, listener: asyncio.Future[Place] | None = None
    ) -> None:
        while not self._take(record, listener):
            if record.topic not in self._partitions:
                await self._learn(record)
            else:
                async with self._progress:
                    await self._progress.wait_for(lambda: self._failure or not self._is_full())

    async def send_records(self, records: Iterable[EncodedEvent]) -> None:
        """Many records, in order per key: imports, replays, backfills. Raises as `send`."""
        for number, record in enumerate(records):
            if not self._take(record):
                await self.send_record(record)
            if number % 200 == 199:  # nothing above waits while there is room
                await asyncio.sleep(0)

    async def flush(self) -> None:
        """Waits until all that was sent before is acknowledged, however long the broker is away.

        Raises DeliveryError for what failed.
        """
        targets = [(lane, lane.appended) for lane in self._lanes.values()]
        async with self._progress:
            await self._progress.wait_for(
                lambda: all(lane.settled >= target for lane, target in targets)
            )
        self._raise_failure()

    async def stop(self) -> None:
        """Flushes for a limited time and disconnects; that it is cancelled does not shorten it.

        Raises DeliveryError for what failed, and for what is not acknowledged by then, which may
        be in the log or not. Call `flush` before where that matters more than the time.
        """
        flushing = asyncio.create_task(asyncio.wait_for(self.flush(), STOP_TIMEOUT_S))
        try:
            try:
                await asyncio.shield(flushing)
            except asyncio.CancelledError:
                await flushing
                raise
        except TimeoutError:
            lane = next((lane for lane in self._lanes.values() if lane.queue), None)
            if lane is None:  # the last one was acknowledged meanwhile
                return self._raise_failure()
            count = self.statistics.unacknowledged
            reason = (
                f"the producer stops while the broker {self._endpoints.brokers} does not answer; "
                f"{count} events are not acknowledged"
            )
            raise DeliveryError(lane.topic, lane.queue[0].key, reason) from None
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for lane in self._lanes.values():
                lane.refuse(len(lane.queue), "the producer stopped before it was acknowledged")
            await self._link.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _is_full(self) -> bool:
        return self._buffered >= MAX_UNACKNOWLEDGED_BYTES

    def _take(self, record: EncodedEvent, listener: asyncio.Future[Place] | None = None) -> bool:
        """Buffers a record; False when it has to wait, for room or the topic's partitions."""
        self._raise_failure()
        partitions = self._partitions.get(record.topic)
        if partitions is None or self._is_full():
            return False
        size = cost(record)
        if size > MAX_MESSAGE_BYTES:
            reason = f"it has {size} bytes, more than {MAX_MESSAGE_BYTES}"
            raise DeliveryError(record.topic, record.key, reason)
        lane = self._lane(record.topic, partition_of(record.key, partitions))
        lane.append(record, size, listener)
        self._buffered += size
        self.statistics.sent += 1
        return True

    async def _learn(self, record: EncodedEvent) -> None:
        try:
            found = await self._link.client.partitions_for(record.topic)
        except UnknownTopicOrPartitionError:
            missing = await self._missing(record.topic)
            if missing is not None:
                raise DeliveryError(record.topic, record.key, str(missing)) from None
        else:
            self._partitions[record.topic] = tuple(sorted(found))

    async def _missing(self, topic: str) -> MissingTopic | None:
        """Whether a topic is gone; aiokafka says so too while the broker is only away."""
        try:
            await asyncio.to_thread(topic_ids, self._endpoints, [topic])
        except MissingTopic as missing:
            return missing
        except UserError:
            pass
        return None

    def _lane(self, topic: str, partition: int) -> Lane:
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = Lane(topic, partition)
            self._tasks.append(asyncio.create_task(self._deliver(lane)))
        return lane

    async def _deliver(self, lane: Lane) -> None:
        while True:
            await lane.waiting.wait()
            if lane.bytes < BATCH_BYTES:
                await asyncio.sleep(LINGER_S)
            await self._deliver_batch(lane)

    async def _deliver_batch(self, lane: Lane) -> None:
        client = self._link.client
        batch = client.create_batch()
        count = lane.fill(batch)
        try:
            sent = await client.send_batch(batch, lane.topic, partition=lane.partition)
            base = (await sent).offset
        except TOPIC_ERRORS as error:
            await self._fail(lane, len(lane.queue), error)
        except RECORD_ERRORS as error:
            if count == 1:
                await self._fail(lane, 1, error)
            else:  # halved until the offender stands alone
                lane.limit = count // 2
        except UnknownTopicOrPartitionError:
            missing = await self._missing(lane.topic)
            if missing is not None:
                await self._fail(lane, len(lane.queue), missing)
        except Exception as error:  # whatever else happens, nothing is dropped
            where = f"{lane.topic} [{lane.partition}]"
            log.warning("delivery is tried again", partition=where, records=count, error=error)
        else:
            lane.limit = None
            lane.tell(count, base)
            records = await self._settle(lane, count)
            self.statistics.acknowledged += count
            self.statistics.bytes += sum(len(record.value) for record in records)
            return
        await self._link.replace(client)

    async def _fail(self, lane: Lane, count: int, reason: Exception) -> None:
        failure = DeliveryError(lane.topic, lane.queue[0].key, str(reason))
        log.error("delivery failed", records=count, error=failure)
        self.statistics.failed += count
        if lane.refuse(count, str(reason)) < count:
            self._failure = self._failure or failure
        await self._settle(lane, count)

    async def _settle(self, lane: Lane, count: int) -> list[EncodedEvent]:
        before = lane.bytes
        records = lane.settle(count)
        self._buffered -= before - lane.bytes
        async with self._progress:
            self._progress.notify_all()
        return records
