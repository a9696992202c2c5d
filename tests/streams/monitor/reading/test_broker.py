"""Topics, groups and bounds, asked of the real broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import TopicPartition as KafkaPartition

from projections.base import Partition
from streams.admin import Broker
from streams.monitor.reading import broker
from streams.monitor.reading.broker import BrokerReader
from tests.streams.monitor.reading.topics import delete_topic, endpoints, fill, make_topic


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


async def test_what_a_group_of_ours_committed_is_not_asked_for(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    group = f"group-{topic}"
    monkeypatch.setattr(broker, "OURS", {group: "prices"})
    async with AIOKafkaConsumer(
        bootstrap_servers=brokers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, 1)])
        await consumer.commit({TopicPartition(topic, 1): 7})
    found = await asyncio.to_thread(BrokerReader(endpoints(brokers)).read)
    assert group in found.groups
    assert group not in found.committed


async def test_starts_are_read_again_where_a_topic_begins_anew(brokers: str) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    place = Partition(topic, 0)
    await fill(brokers, topic, 90)
    admin = Broker(endpoints(brokers))
    await asyncio.to_thread(admin.remove_before, KafkaPartition(topic, 0, 20))
    reader = BrokerReader(endpoints(brokers))
    assert await asyncio.to_thread(reader.bounds, [place]) == {place: (20, 30)}
    await delete_topic(brokers, topic)
    await make_topic(brokers, "LogAppendTime", name=topic)
    await fill(brokers, topic, 30)
    assert await asyncio.to_thread(reader.bounds, [place]) == {place: (0, 10)}
