"""The tail of all groups' commits, on the real broker, which other tests use meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from structlog.testing import capture_logs

from streams.clients import running
from streams.embedded import kafka
from streams.embedded.home import Home
from streams.errors import UserError
from streams.monitor.reading.commits import TOPIC, CommitTail, Committed
from streams.settings import Endpoints
from tests.streams.monitor.reading.test_commits_format import KEY

_DEADLINE_S = 30.0
_AUTHORIZER = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


def at(brokers: str) -> Endpoints:
    return Endpoints(brokers, {}, "", embedded_broker=True, embedded_database=True)


def new_topic(brokers: str, name: str, partitions: int = 1) -> str:
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        future.result()
    return name


@pytest.fixture
def topic(brokers: str) -> str:
    return new_topic(brokers, f"watched.{secrets.token_hex(4)}", partitions=2)


@pytest.fixture
def group() -> str:
    return f"watched-{secrets.token_hex(4)}"


@asynccontextmanager
async def member(brokers: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of somebody else's."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, group_id=group, enable_auto_commit=False)
    async with running(consumer):
        yield consumer


async def commit(brokers: str, group: str, offsets: dict[tuple[str, int], int]) -> None:
    places = {TopicPartition(*place): offset for place, offset in offsets.items()}
    async with member(brokers, group) as consumer:
        consumer.assign(list(places))
        await consumer.commit(
            {place: OffsetAndMetadata(offset, "by ☃") for place, offset in places.items()}
        )


async def read_until(
    tail: CommitTail, group: str, enough: Callable[[list[Committed]], object]
) -> list[Committed]:
    found: list[Committed] = []
    async with asyncio.timeout(_DEADLINE_S):
        while not enough(found):
            await asyncio.sleep(0.05)
            found += [one for one in await tail.read() if one.group == group]
    return found


async def test_each_commit_of_a_foreign_group_is_seen_with_its_time(
    brokers: str, topic: str, group: str
) -> None:
    async with CommitTail.open(at(brokers)) as tail, member(brokers, group) as consumer:
        consumer.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
        begun = time.time_ns() // 1000
        for offset in (3, 3, 5, 4):
            await consumer.commit({TopicPartition(topic, 1): offset})
        ended = time.time_ns() // 1000
        found = await read_until(tail, group, lambda found: len(found) >= 4)
        waited = time.time_ns() // 1000 - ended
    assert [(*one[:3], one.offset) for one in found] == [
        (group, topic, 1, offset) for offset in (3, 3, 5, 4)
    ]
    times = [one.time for one in found]
    assert times == sorted(times)
    assert begun - 1000 <= times[0]
    assert times[-1] <= ended
    assert waited < 5_000_000, "a second or so; more where the machine is busy"


async def test_nothing_is_read_twice_and_reading_does_not_wait(
    brokers: str, topic: str, group: str
) -> None:
    async with CommitTail.open(at(brokers)) as tail:
        await commit(brokers, group, {(topic, 0): 1})
        await read_until(tail, group, len)
        begun = time.monotonic()
        for _ in range(20):
            assert not [one for one in await tail.read() if one.group == group]
        assert time.monotonic() - begun < 0.5


async def test_a_tail_sees_what_was_committed_before_its_start_as_far_back_as_is_wanted(
    brokers: str, topic: str, group: str
) -> None:
    await commit(brokers, group, {(topic, 0): 1})
    await asyncio.sleep(0.1)
    between = time.time()
    await asyncio.sleep(0.1)
    await commit(brokers, group, {(topic, 0): 2})
    async with (
        CommitTail.open(at(brokers)) as far,
        CommitTail.open(at(brokers), back_s=time.time() - between) as near,
        CommitTail.open(at(brokers), back_s=0) as none,
    ):
        await commit(brokers, group, {(topic, 0): 3})
        for tail, expected in ((far, [1, 2, 3]), (near, [2, 3]), (none, [3])):
            found = await read_until(tail, group, lambda found: found and found[-1].offset == 3)
            assert [one.offset for one in found] == expected


@pytest.mark.parametrize("name", ["x" * 249, "_", "a.b_c-D", "0"])
async def test_odd_names_are_decoded(brokers: str, group: str, name: str) -> None:
    odd = f"{group} ☃ \N{NULL}\n'\"{{}}"
    topic = new_topic(brokers, f"{secrets.token_hex(4)}{name}"[:249])
    async with CommitTail.open(at(brokers)) as tail:
        await commit(brokers, odd, {(topic, 0): 2**63 - 1})
        found = await read_until(tail, odd, len)
    assert [one[:4] for one in found] == [(odd, topic, 0, 2**63 - 1)]


async def test_a_group_of_the_new_protocol_is_seen_and_all_it_writes_is_known(
    brokers: str, topic: str, group: str
) -> None:
    def take_part() -> None:
        consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": group, "group.protocol": "consumer"}
        )
        consumer.subscribe([topic])
        deadline = time.monotonic() + _DEADLINE_S
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(0.1)
        consumer.commit(offsets=[Place(topic, 0, 4)], asynchronous=False)
        consumer.close()

    async with CommitTail.open(at(brokers)) as tail:
        await asyncio.to_thread(take_part)
        found = await read_until(tail, group, len)
        assert [one[:4] for one in found] == [(group, topic, 0, 4)]
        assert tail.undecodable == 0


async def test_offsets_that_are_deleted_are_told_with_their_group_and_with_their_topic(
    brokers: str, topic: str, group: str
) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    other = new_topic(brokers, f"{topic}.other")

    def delete_topic() -> None:
        for future in admin.delete_topics([other]).values():
            future.result()

    def delete_group() -> None:
        for future in admin.delete_consumer_groups([group]).values():
            future.result()

    async with CommitTail.open(at(brokers)) as tail:
        await commit(brokers, group, {(topic, 0): 1, (other, 0): 2})
        await read_until(tail, group, lambda found: len(found) == 2)
        begun = time.time_ns() // 1000
        await asyncio.to_thread(delete_topic)
        (first,) = await read_until(tail, group, len)
        await asyncio.to_thread(delete_group)
        (second,) = await read_until(tail, group, len)
    assert first[:4] == (group, other, 0, None)
    assert second[:4] == (group, topic, 0, None)
    assert begun - 1000 <= first.time <= second.time <= time.time_ns() // 1000


async def test_what_cannot_be_decoded_is_counted_and_logged_once(
    brokers: str, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker lets nobody write to the topic: so its records are damaged on their way."""
    async with CommitTail.open(at(brokers), back_s=0) as tail:
        fetch = tail._consumer.getmany

        async def damaged(**options: Any) -> Any:
            fetched = await fetch(**options)
            for records in fetched.values():
                for record in records:
                    if record.key and group.encode() in record.key:
                        object.__setattr__(record, "key", KEY[:-1])
            return fetched

        monkeypatch.setattr(tail._consumer, "getmany", damaged)
        with capture_logs() as logs:
            await commit(brokers, group, {(topic, 0): 1, (topic, 1): 2})
            async with asyncio.timeout(_DEADLINE_S):
                while tail.undecodable < 2:
                    await tail.read()
                    await asyncio.sleep(0.05)
        assert [one["log_level"] for one in logs] == ["warning"]
        assert "4 bytes wanted" in logs[0]["reason"]
        monkeypatch.undo()
        await commit(brokers, group, {(topic, 0): 3})
        assert [one.offset for one in await read_until(tail, group, len)] == [3]


async def test_a_damaged_batch_ends_no_reading(
    brokers: str, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(**_: Any) -> Any:
        raise CorruptRecordException("Invalid CRC")

    async with CommitTail.open(at(brokers), back_s=0) as tail:
        await commit(brokers, group, {(topic, 0): 0})
        await read_until(tail, group, len)
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(tail._consumer, "getmany", broken)
            assert await tail.read() == []
            assert await tail.read() == []
        assert (tail.undecodable, len(logs)) == (2, 1)
        await commit(brokers, group, {(topic, 0): 1})
        assert await read_until(tail, group, len)


async def test_a_broker_out_of_reach_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1: .*`tape doctor`"):
        async with CommitTail.open(at("127.0.0.1:1")):
            pass


@pytest.mark.chaos
async def test_commits_are_followed_from_the_first_on_and_over_a_restart_of_the_broker(
    own_home: Home,
) -> None:
    """On a broker that no group has used: there the topic is not yet."""
    await asyncio.to_thread(kafka.start, own_home)
    brokers = own_home.brokers
    topic = await asyncio.to_thread(new_topic, brokers, "watched")
    async with CommitTail.open(at(brokers)) as tail:
        assert tail.partitions == []
        assert await tail.read() == []
        assert (
            TOPIC not in AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=5).topics
        )
        await commit(brokers, "early", {(topic, 0): 1})
        assert [one.offset for one in await read_until(tail, "early", len)] == [1]
        assert tail.partitions == list(range(8))
        await asyncio.to_thread(kafka.stop, own_home)
        assert await tail.read() == []
        await asyncio.to_thread(kafka.start, own_home)
        await commit(brokers, "late", {(topic, 0): 2})
        assert [one.offset for one in await read_until(tail, "late", len)] == [2]
        assert tail.undecodable == 0


@pytest.mark.chaos
async def test_a_broker_that_refuses_is_a_sentence_that_names_the_rights(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_PROPERTIES", kafka._PROPERTIES + _AUTHORIZER)
    await asyncio.to_thread(kafka.start, own_home)
    brokers = own_home.brokers
    admin = AdminClient({"bootstrap.servers": brokers})
    topic = await asyncio.to_thread(new_topic, brokers, "watched")
    await commit(brokers, "someone", {(topic, 0): 1})

    def deny(operation: AclOperation) -> None:
        denied = AclBinding(
            ResourceType.TOPIC,
            TOPIC,
            ResourcePatternType.LITERAL,
            "User:ANONYMOUS",
            "*",
            operation,
            AclPermissionType.DENY,
        )
        for future in admin.create_acls([denied]).values():
            future.result()

    sentence = rf"{brokers} does not let .* DESCRIBE and READ on the topic {TOPIC}"
    async with CommitTail.open(at(brokers)) as tail:
        await read_until(tail, "someone", len)
        await asyncio.to_thread(deny, AclOperation.READ)
        with pytest.raises(UserError, match=sentence):
            await read_until(tail, "someone", lambda _: False)
    await asyncio.to_thread(deny, AclOperation.DESCRIBE)
    with pytest.raises(UserError, match=sentence):
        async with CommitTail.open(at(brokers)):
            pass
