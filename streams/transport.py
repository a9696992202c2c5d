"""Faust's transport for record batches, positioned by checkpoints in PostgreSQL.

A plain Faust agent takes one record at a time and keeps its position in Kafka. This transport
yields one message for each fetch, of all partitions, and seeks to the checkpoints instead of to
committed offsets. Everything else stays Faust's: agents, supervision, rebalancing, signals.

It hooks into Faust 0.15.3 and aiokafka 0.14.0 below their public surface, which is why both are
pinned, and why tests/streams/test_hooks.py proves each hook.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, cast

import aiokafka
import faust
import psycopg
import structlog
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.errors import Refusal
from streams.errors import UserError
from streams.fetching import FETCH_MAX_WAIT_MS, Progress, oldest_first
from streams.ledger import Fetch, Ledger
from streams.settings import Endpoints
from streams.topics import topic_ids

log = structlog.get_logger(__name__)

#: What a claim waits out: the database, the broker, or a topic being away.
INFRASTRUCTURE = (psycopg.Error, aiokafka.errors.KafkaError, OSError, TimeoutError, UserError)
_BACKOFF = (0.1, 0.2, 0.5, 1.0)
#: Copying checkpoints to Kafka is a courtesy to lag tools and may take this long (seconds).
_COPY_TIMEOUT = 5.0
#: How often (seconds) the fetcher looks whether the agent has caught up.
_ROOM_POLL = 0.002
#: The broker has this long (seconds) to say where the logs begin and end.
_BOUNDS_TIMEOUT = 5.0
#: A revocation waits this long (seconds) for the unit that is under way.
_DRAIN_TIMEOUT = 5.0


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches, and tags what it fetched with the seek that it follows.

    Fetch and seek run in this thread's loop, so the tag cannot be wrong.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress = Progress()

    @property
    def seeks(self) -> int:
        """How many seeks this thread has done."""
        return self.progress.seeks

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # Faust's own is 1,500
        return consumer

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        fetched = await oldest_first(
            super()._fetch_records,
            consumer,
            active_partitions,
            timeout,
            max_records,
            self.progress,
        )
        batches = [Batch(Partition(*tp), got) for tp, got in fetched.items()]
        return Fetch(self.seeks, batches) if batches else {}

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self.progress.sought()
        await super()._seek_wait(consumer, partitions)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Copy offsets to the group. Never fails the worker, as Faust's own would.

        The deadline must be here: a call that is given up elsewhere goes on in this thread, and
        takes one of the two places that fetches need as well.
        """
        positions = {
            TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()
        }
        try:
            async with asyncio.timeout(_COPY_TIMEOUT):
                await self._ensure_consumer().commit(positions)
        except Exception as error:
            log.info("offsets not copied to Kafka", error=f"{type(error).__name__}: {error}")
            return False
        return True

    async def bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        """The first offset of each partition's log, and the one behind its last."""
        consumer = self._ensure_consumer()
        async with asyncio.timeout(_BOUNDS_TIMEOUT):
            first = await consumer.beginning_offsets([TopicPartition(*tp) for tp in tps])
            last = await consumer.end_offsets([TopicPartition(*tp) for tp in tps])
        return {tp: (first[TopicPartition(*tp)], last[TopicPartition(*tp)]) for tp in tps}

    def rejoin(self) -> None:
        """Ask the group for a rebalance, without leaving it; callable from any thread."""
        coordinator = self._ensure_consumer()._coordinator
        self.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)


class Consumer(driver.Consumer):
    """A Faust consumer whose position is the projection's checkpoints."""

    @property
    def ledger(self) -> Ledger:
        return cast(Transport, self.transport).ledger

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: `getmany` holds the fetcher up, by records.

        Faust would stop fetching the partition, and with none left sleep for a second.
        """

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Alarms about fetching only.

        Faust's others go by messages of every partition and by commits of its own, which there
        are none of: after five minutes they would call a worker stuck that is not.
        """
        self._consumer_thread._verify_aiokafka_event_path(now, tp)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message for what was fetched at once; its value is a Fetch."""
        fetched, _ = await self._wait_next_records(timeout)
        while not self.ledger.has_room and not self.should_stop:
            await asyncio.sleep(_ROOM_POLL)
        # Waiting, never returning: leaving here would lose records fetched after a seek.
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))
        if self.should_stop or not fetched:
            return
        fetch = cast(Fetch, fetched)
        if fetch.seek != self._consumer_thread.seeks:
            return
        message = self._message(fetch)
        self._read_offset[message.tp] = None  # disarms Faust's read filter and its gap list
        self.ledger.put(fetch)
        yield message.tp, message

    def _message(self, fetch: Fetch) -> Any:
        """Faust wants to see one record's place; it goes by the last one of the first partition."""
        source, records = fetch.batches[0].source, fetch.batches[0].records
        tp = TP(*source)
        return driver.ConsumerMessage(
            tp.topic,
            tp.partition,
            records[-1].offset,
            records[-1].timestamp / 1000.0,
            1,
            [],
            None,
            cast(Any, fetch),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    @property
    def _consumer_thread(self) -> ConsumerThread:
        return cast(ConsumerThread, self._thread)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Claim the assigned partitions and seek to their checkpoints.

        The one coherent place for it: what this returns is what Faust goes on with. It gives up
        well before Faust's own deadline, because a seek that outlasts that leaves a worker that
        holds its partitions and consumes nothing.
        """
        self.ledger.forget()
        assigned = sorted(self.assignment())
        if not assigned:
            return {}
        rebalances = self.ledger.rebalances
        deadline = self.loop.time() + 0.8 * self.app.conf.broker_request_timeout
        offsets: dict[TP, int] = {}
        for attempt in range(1_000_000):
            try:
                offsets = await self._claim(assigned)
                break
            except Refusal as refusal:
                return self._refuse(refusal)
            except INFRASTRUCTURE as error:
                if self.loop.time() > deadline:
                    return self._refuse(Refusal(f"partitions cannot be claimed: {error}"))
                log.warning("claim failed, trying again", error=str(error))
                await asyncio.sleep(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
        await self.seek_wait(offsets)
        if self.ledger.rebalances == rebalances:
            self.ledger.accept_after(self._consumer_thread.seeks)
        return offsets

    def _refuse(self, refusal: Refusal) -> Mapping[TP, int]:
        cast(Transport, self.transport).refuse(refusal)
        return {}

    async def _claim(self, assigned: Iterable[TP]) -> dict[TP, int]:
        transport = cast(Transport, self.transport)
        tps = list(assigned)
        thread = self._consumer_thread
        bounds: dict[TP, tuple[int, int]] = await thread.call_thread(thread.bounds, tps)
        names = sorted({tp.topic for tp in tps})
        ids = await asyncio.to_thread(topic_ids, transport.endpoints, names)
        claims = await self.ledger.projector.claim(
            {Partition(*tp): LogStart(ids[tp.topic], bounds[tp][0]) for tp in tps}
        )
        for tp in tps:
            position = claims[Partition(*tp)].next_offset
            first, last = bounds[tp]
            if not first <= position <= last:
                name = self.ledger.projector.projection.name
                raise Refusal(
                    f"{name}: the checkpoint of {Partition(*tp)} is offset {position}, but the log"
                    f" holds {first} to {last}; records were lost (retention, or a broker"
                    f" restored from a backup). Rebuild with `tape rebuild {name}`, or restore the"
                    " log"
                )
        return {tp: claims[Partition(*tp)].next_offset for tp in tps}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drain first, fence second: a finished unit is not thrown away."""
        await self._drain()
        await self.force_commit()
        self.ledger.forget()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Let the unit that is under way finish; nothing new is admitted after it."""
        await self._drain()
        await super().on_stop()
        self.ledger.forget()
        await self.ledger.projector.close()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_TIMEOUT), self.ledger.busy:
                pass
        except TimeoutError:
            log.warning("a unit of work outlasts its partitions; it will be refused")

    async def force_commit(
        self, topics: Any | None = None, start_new_transaction: bool = True
    ) -> bool:
        """Copy the checkpoints to Kafka, for lag tools. A failure costs nothing but the copy."""
        self._acked.clear()
        self._acked_index.clear()
        changed = {}
        for source, claim in self.ledger.projector.claims.items():
            tp = TP(source.topic, source.partition)
            if self._committed_offset[tp] != claim.next_offset and claim.next_offset > 0:
                changed[tp] = claim.next_offset
        if not changed or not await self._commit(changed):
            return False
        self._committed_offset.update(changed)
        return True


class Transport(driver.Transport):
    """Set as `app.transport` before the app starts. `refuse` ends the process."""

    Consumer = Consumer

    def __init__(
        self,
        app: faust.App,
        ledger: Ledger,
        endpoints: Endpoints,
        refuse: Callable[[Refusal], None],
    ) -> None:
        super().__init__(app.conf.broker, app)
        self.ledger = ledger
        self.endpoints = endpoints
        self.refuse = refuse
