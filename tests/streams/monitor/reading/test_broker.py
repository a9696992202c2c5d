"""Topics, groups and bounds, asked of the real broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import TopicPartition as KafkaPartition

from projections.base import Partition
from streams.admin import Broker
from streams.errors import UserError
from streams.monitor.reading import broker, topics
from streams.monitor.reading.broker import BrokerReader, BrokerReading
from streams.monitor.reading.wire import Wire
from streams.topics import description_id
from tests.streams.monitor.reading.topics import delete_topic, endpoints, fill, make_topic


async def read(wire: Wire) -> BrokerReading:
    return await BrokerReader().read(wire)


async def test_bounds_are_read_of_what_is_there(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    await fill(brokers, topic, 30)
    places = [Partition(topic, 0), Partition(topic, 2), Partition("no-such-topic", 0)]
    leaders = (await read(wire)).leaders
    asked = {one: leaders.get(one, wire.nodes()[0]) for one in places}
    found = await BrokerReader().bounds(wire, asked)
    assert found == {Partition(topic, 0): (0, 10), Partition(topic, 2): (0, 10)}


async def test_topics_are_read_with_their_ids_and_how_long_they_keep_records(
    brokers: str, wire: Wire
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    found = await read(wire)
    described = await asyncio.to_thread(Broker(endpoints(brokers)).describe, [topic])
    assert found.ids[topic] == description_id(described[topic])
    assert found.retention_ms[topic] == 7 * 86_400_000
    assert [place for place in found.leaders if place.topic == topic] == [
        Partition(topic, number) for number in range(3)
    ]
    assert not [name for name in found.ids if name.startswith("__")]


async def test_a_broker_that_is_too_old_is_told(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics._RequestV12, "API_VERSION", 99)
    with pytest.raises(UserError, match=r"broker \d+ is too old to be watched: .* Kafka 3\.1"):
        await read(wire)


async def test_what_a_group_of_ours_committed_is_not_asked_for(
    brokers: str, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    group = f"group-{topic}"
    monkeypatch.setattr(broker, "OURS", {group: "prices"})
    async with AIOKafkaConsumer(
        bootstrap_servers=brokers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, 1)])
        await consumer.commit({TopicPartition(topic, 1): 7})
    found = await read(wire)
    assert group in found.groups
    assert group not in found.committed


async def test_starts_are_read_again_where_a_topic_begins_anew(brokers: str, wire: Wire) -> None:
    topic = await make_topic(brokers, "LogAppendTime")
    place = Partition(topic, 0)
    await fill(brokers, topic, 90)
    admin = Broker(endpoints(brokers))
    await asyncio.to_thread(admin.remove_before, KafkaPartition(topic, 0, 20))
    reader = BrokerReader()
    leaders = dict.fromkeys([place], wire.nodes()[0])
    assert await reader.bounds(wire, leaders) == {place: (20, 30)}
    await delete_topic(brokers, topic)
    await make_topic(brokers, "LogAppendTime", name=topic)
    await fill(brokers, topic, 30)
    assert await reader.bounds(wire, leaders) == {place: (0, 10)}
