"""Append times and sizes, asked of the real broker."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from projections.base import Partition
from streams.errors import UserError
from streams.monitor.reading.append_times import AppendTimes
from streams.monitor.reading.log_dirs import read_log_dirs
from streams.monitor.reading.wire import Wire
from tests.streams.monitor.reading.topics import endpoints, fill, make_topic


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
