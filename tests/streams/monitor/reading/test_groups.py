"""Consumer groups of both protocols, asked of the real broker, which other tests use meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from projections.base import Partition
from streams.monitor.reading.group_requests import ListRequest
from streams.monitor.reading.groups import read_committed, read_groups
from streams.monitor.reading.wire import Wire
from tests.streams.monitor.reading.topics import fill, make_topic


@contextmanager
def newer_consumer(brokers: str, topic: str) -> Iterator[Consumer]:
    """A member of a group of the protocol of KIP-848, which owns the topic."""
    settings = {"group.protocol": "consumer", "client.id": "me", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"group-{topic}"} | settings)
    try:
        consumer.subscribe([topic])
        while len(consumer.assignment()) < 3:
            consumer.poll(0.1)
        yield consumer
    finally:
        consumer.close()


async def test_a_group_is_read_with_its_offsets_and_owners(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    group = f"group-{topic}"
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, group_id=group, enable_auto_commit=False, client_id="me"
    ) as consumer:
        await consumer.getmany(timeout_ms=5000)
        await consumer.commit({TopicPartition(topic, 1): 7})
        groups = await read_groups(wire)
    found = groups[group]
    assert (found.state, found.members) == ("stable", 1)
    assert found.owners == {Partition(topic, number): "me@127.0.0.1" for number in range(3)}
    assert await read_committed(wire, groups, [group]) == {group: {Partition(topic, 1): 7}}
    assert (await read_groups(wire))[group].state == "empty"


async def test_so_is_one_of_the_newer_protocol(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    group = f"group-{topic}"
    with newer_consumer(brokers, topic) as consumer:
        await asyncio.to_thread(consumer.commit, offsets=[Place(topic, 1, 7)], asynchronous=False)
        groups = await read_groups(wire)
    found = groups[group]
    assert (found.state, found.members) == ("stable", 1)
    assert found.owners == {Partition(topic, number): "me@127.0.0.1" for number in range(3)}
    assert await read_committed(wire, groups, [group]) == {group: {Partition(topic, 1): 7}}


async def test_a_group_that_committed_nothing_has_no_offsets(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    group = f"group-{topic}"
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, group_id=group, enable_auto_commit=False
    ):
        groups = await read_groups(wire)
    assert await read_committed(wire, groups, [group]) == {}


async def test_a_group_that_was_deleted_is_there_no_more(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    group = f"group-{topic}"
    async with AIOKafkaConsumer(bootstrap_servers=brokers, group_id=group) as consumer:
        consumer.assign([TopicPartition(topic, 1)])
        await consumer.commit({TopicPartition(topic, 1): 7})
    before = await read_groups(wire)
    assert before[group].state == "empty"
    admin = AdminClient({"bootstrap.servers": brokers})
    await asyncio.to_thread(admin.delete_consumer_groups([group])[group].result)
    assert group not in await read_groups(wire)
    assert await read_committed(wire, before, [group]) == {}


async def test_a_broker_that_tells_no_types_of_groups_is_understood(
    brokers: str, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ListRequest, "_CLASSES", ListRequest._CLASSES[:1])
    topic = await make_topic(brokers, "LogAppendTime")
    group = f"group-{topic}"
    async with AIOKafkaConsumer(topic, bootstrap_servers=brokers, group_id=group) as consumer:
        await consumer.getmany(timeout_ms=2000)
        found = (await read_groups(wire))[group]
    assert (found.state, found.members, len(found.owners)) == ("stable", 1, 3)
