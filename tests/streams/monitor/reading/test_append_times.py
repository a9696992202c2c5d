"""Append times, sizes and bounds, asked of the real broker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from projections.base import Partition
from streams.errors import UserError
from streams.monitor.reading.append_times import AppendTimes
from streams.monitor.reading.broker import BrokerReader
from streams.monitor.reading.log_dirs import read_log_dirs
from streams.monitor.reading.wire import Wire
from streams.settings import Endpoints


@pytest.fixture
async def wire(brokers: str) -> AsyncIterator[Wire]:
    async with Wire.open(endpoints(brokers)) as found:
        yield found


def endpoints(brokers: str) -> Endpoints:
    return Endpoints(brokers, {}, "", True, True)


async def make_topic(brokers: str, stamp: str, partitions: int = 3) -> str:
    name = f"times-{secrets.token_hex(4)}"
    config = {"message.timestamp.type": stamp}
    admin = AdminClient({"bootstrap.servers": brokers})
    future = admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name]
    await asyncio.to_thread(future.result)
    return name


async def fill(brokers: str, topic: str, count: int, *, size: int = 50, **options: object) -> None:
    """Batches of ten records or so in each partition."""
    async with AIOKafkaProducer(bootstrap_servers=brokers, **options) as producer:
        for number in range(count):
            await producer.send(
                topic, bytes(size), partition=number % 3, timestamp_ms=1000 + number
            )
            if number % 30 == 29:
                await producer.flush()


async def as_consumed(brokers: str, topic: str) -> dict[tuple[Partition, int], int]:
    """Every record's time, as a consumer gives it."""
    places = [TopicPartition(topic, number) for number in range(3)]
    found: dict[tuple[Partition, int], int] = {}
    async with AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest") as reader:
        reader.assign(places)
        ends: Mapping[TopicPartition, int] = await reader.end_offsets(places)
        while len(found) < sum(ends.values()):
            for place, records in (await reader.getmany(timeout_ms=500)).items():
                for record in records:
                    found[Partition(*place), record.offset] = record.timestamp
    return found


@pytest.mark.parametrize("stamp", ["LogAppendTime", "CreateTime"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
async def test_the_time_of_each_record_is_the_one_that_a_consumer_reads(
    brokers: str, wire: Wire, stamp: str, compression: str | None
) -> None:
    topic = await make_topic(brokers, stamp)
    await fill(brokers, topic, 120, compression_type=compression)
    expected = await as_consumed(brokers, topic)
    assert len(expected) == 120
    assert await AppendTimes(wire).read(expected.keys()) == expected


async def test_a_batch_that_is_larger_than_what_many_may_have_is_read_as_well(
    brokers: str, wire: Wire
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30, size=40_000, max_batch_size=900_000, max_request_size=2_000_000)
    expected = await as_consumed(brokers, topic)
    assert await AppendTimes(wire).read(expected.keys()) == expected


async def test_what_is_not_there_is_left_out(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    there, beyond = (Partition(topic, 0), 9), (Partition(topic, 0), 10)
    gone = (Partition(f"{topic}-gone", 0), 0)
    found = await AppendTimes(wire).read([there, beyond, gone])
    assert set(found) == {there}


async def test_a_record_that_came_meanwhile_is_found_the_next_time(
    brokers: str, wire: Wire
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    times, place = AppendTimes(wire), (Partition(topic, 0), 5)
    await fill(brokers, topic, 15)
    assert await times.read([place]) == {}
    await fill(brokers, topic, 15)
    assert set(await times.read([place])) == {place}


async def test_a_broker_out_of_reach_is_a_sentence() -> None:
    with pytest.raises(UserError, match="the broker 127.0.0.1:1 does not answer"):
        async with Wire.open(endpoints("127.0.0.1:1")):
            pass


async def test_the_brokers_tell_what_each_partition_takes_and_what_is_left(
    brokers: str, wire: Wire
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 300, size=1000)
    await wire.leaders([Partition(topic, 0)])
    found = await read_log_dirs(wire)
    sizes = [found.sizes[Partition(topic, number)] for number in range(3)]
    assert all(100_000 <= size < 150_000 for size in sizes)
    [folder] = found.folders
    assert 0 < folder.free <= folder.total


async def test_bounds_are_read_of_what_is_there(brokers: str) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    reader = BrokerReader(endpoints(brokers))
    asked = [Partition(topic, 0), Partition(topic, 2), Partition("no-such-topic", 0)]
    found = await asyncio.to_thread(reader.bounds, asked)
    assert found == {Partition(topic, 0): (0, 10), Partition(topic, 2): (0, 10)}


async def test_a_group_is_read_with_its_offsets_and_owners(brokers: str) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    group = f"group-{topic}"
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, group_id=group, enable_auto_commit=False, client_id="me"
    ) as consumer:
        await consumer.getmany(timeout_ms=5000)
        await consumer.commit({TopicPartition(topic, 1): 7})
        found = await asyncio.to_thread(BrokerReader(endpoints(brokers)).read)
    assert found.committed[group] == {Partition(topic, 1): 7}
    assert found.groups[group].members == 1
    assert found.groups[group].owners == {(topic, number): "me@127.0.0.1" for number in range(3)}
    assert found.retention_ms[topic] > 0
    assert Partition(topic, 2) in found.partitions
