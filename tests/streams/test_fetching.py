"""Which records a fetch takes, with a real consumer of the real broker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.embedded.stack import StackInfo
from streams.fetching import Fetched, Progress, oldest_first

PARTITIONS = 3


@pytest.fixture
def topic(stack: StackInfo) -> str:
    """A topic of three partitions whose records keep the times that they are given.

    Without end, for by those times they are so old that the broker would delete them meanwhile.
    """
    name = f"fetching-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": stack.brokers})
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1, config={"retention.ms": "-1"})])
    made[name].result(30)
    return name


async def append(stack: StackInfo, topic: str, records: Sequence[tuple[int, int]]) -> None:
    """Appends (partition, time) in order."""
    async with AIOKafkaProducer(bootstrap_servers=stack.brokers, acks="all") as producer:
        for partition, time in records:
            await producer.send(
                topic, b"x", partition=partition, timestamp_ms=1_700_000_000_000 + time
            )
        await producer.flush()


async def faust(
    consumer: AIOKafkaConsumer,
    partitions: Collection[TopicPartition],
    timeout: float = 0.0,
    max_records: int | None = None,
) -> Fetched:
    """What Faust's consumer thread does."""
    fetched: Fetched = await consumer._fetcher.fetched_records(partitions, timeout, max_records)
    return fetched


@asynccontextmanager
async def reading(stack: StackInfo, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that has got something of every partition that has something."""
    async with AIOKafkaConsumer(
        bootstrap_servers=stack.brokers, auto_offset_reset="earliest", fetch_max_wait_ms=100
    ) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        yield consumer


async def has_fetched(consumer: AIOKafkaConsumer, count: int) -> None:
    async with asyncio.timeout(30):
        while len(consumer._fetcher._records) < count:
            await asyncio.sleep(0.01)


def times(fetched: Fetched) -> list[int]:
    return sorted(
        record.timestamp - 1_700_000_000_000 for got in fetched.values() for record in got
    )


async def drained(consumer: AIOKafkaConsumer, most: int, count: int) -> list[int]:
    """The times of the records, fetch by fetch, until so many came."""
    progress = Progress()
    found: list[int] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            got = await oldest_first(faust, consumer, consumer.assignment(), 1.0, most, progress)
            found += times(got)
    return found


async def test_the_oldest_records_come_first_wherever_they_are(
    stack: StackInfo, topic: str
) -> None:
    """Partition 0 has the first half of all times, 1 every second of the rest, 2 the others."""
    records = [(0, time) for time in range(3000)]
    records += [(1 + time % 2, time) for time in range(3000, 6000)]
    await append(stack, topic, records)
    async with reading(stack, topic) as consumer:
        await has_fetched(consumer, PARTITIONS)
        order = await drained(consumer, 1000, 6000)
    assert sorted(order) == list(range(6000))
    late = order[3200:]  # what is left once the first half and a slice of the others have come
    assert min(late) >= 3000


async def test_a_partition_that_is_behind_is_waited_for(stack: StackInfo, topic: str) -> None:
    """aiokafka asks for more of a partition once it is empty; the others must not run ahead."""
    big = 300_000  # bytes a record: a fetch holds three
    async with AIOKafkaProducer(
        bootstrap_servers=stack.brokers, acks="all", max_request_size=1_000_000
    ) as producer:
        for time in range(40):
            await producer.send(
                topic, b"x" * big, partition=0, timestamp_ms=1_700_000_000_000 + time
            )
        for time in range(1000, 1200):
            await producer.send(topic, b"x", partition=1, timestamp_ms=1_700_000_000_000 + time)
        await producer.flush()
    async with reading(stack, topic) as consumer:
        await has_fetched(consumer, 2)
        order = await drained(consumer, 1000, 240)
    assert sorted(order) == [*range(40), *range(1000, 1200)]
    assert order.index(39) <= 40 + 100


async def test_a_partition_that_was_emptied_is_fetched_while_another_still_holds_records(
    stack: StackInfo, topic: str
) -> None:
    """aiokafka would wait a tenth of a second for the other to be emptied too."""
    await append(stack, topic, [(number % 2, number) for number in range(400)])
    async with reading(stack, topic) as consumer:
        await has_fetched(consumer, 2)
        await oldest_first(faust, consumer, consumer.assignment(), 1.0, 100, Progress())
        assert [one._backoff for one in consumer._fetcher._records.values()] == [0, 0]


async def test_a_partition_without_records_holds_nobody_up(stack: StackInfo, topic: str) -> None:
    await append(stack, topic, [(1, time) for time in range(500)])
    async with reading(stack, topic) as consumer:
        assert await drained(consumer, 1000, 500) == list(range(500))


async def test_an_error_is_raised_only_where_nothing_was_taken(
    stack: StackInfo, topic: str
) -> None:
    await append(stack, topic, [(time % 2, time) for time in range(400)])
    failures = 0

    async def fails_for_one(
        consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], **rest: Any
    ) -> Fetched:
        nonlocal failures
        if failures < 2 and TopicPartition(topic, 1) in partitions:
            failures += 1
            raise OSError("damaged")
        return await faust(consumer, partitions, **rest)

    progress = Progress()
    async with reading(stack, topic) as consumer:
        await has_fetched(consumer, 2)
        found: list[int] = []
        raised = 0
        async with asyncio.timeout(30):
            while len(found) < 400:
                try:
                    got = await oldest_first(
                        fails_for_one, consumer, consumer.assignment(), 1.0, 1000, progress
                    )
                except OSError:
                    raised += 1
                else:
                    found += times(got)
    assert sorted(found) == list(range(400))
    assert failures == 2
    assert raised >= 1


async def test_what_was_taken_before_a_seek_is_dropped(stack: StackInfo, topic: str) -> None:
    await append(stack, topic, [(0, time) for time in range(500)])
    progress = Progress()
    calls = 0

    async with reading(stack, topic) as consumer:
        await has_fetched(consumer, 1)

        async def seeks_in_between(
            consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], **rest: Any
        ) -> Fetched:
            nonlocal calls
            calls += 1
            if calls == 2:
                progress.sought()
                consumer.seek(TopicPartition(topic, 0), 250)
                await has_fetched(consumer, 1)
            return await faust(consumer, partitions, **rest)

        async with asyncio.timeout(30):
            got: Fetched = {}
            while not got:
                got = await oldest_first(
                    seeks_in_between, consumer, consumer.assignment(), 1.0, 1000, progress
                )
    assert times(got) == list(range(250, 250 + len(times(got))))
