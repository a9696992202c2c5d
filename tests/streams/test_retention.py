"""What the log keeps, beside what projections need of it: on the real broker and database."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import projections
from projections.base import Partition
from projections.checkpoint import Standing
from projections.errors import Refusal
from projections.prices import Prices
from streams import admin, cli
from streams.admin import Broker
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.retention import Check, Kept, Log, Offsets, check, missing, read_logs
from streams.settings import Endpoints
from streams.topics import MissingTopic, topic_ids
from tests.streams.tape import make_tables

HOUR_MS = 3_600_000
ONE = Partition("some.topic", 0)
TWO = Partition("some.topic", 1)


def kept(first: int, until: int, position: int | None, **log: Any) -> Kept:
    """A partition of a topic that keeps records for 48 hours; its first record is of time 0."""
    logged = replace(Log("id", Offsets(first, until), 48 * HOUR_MS, -1), **log)
    standing = None if position is None else Standing("id", position)
    oldest = None if position is not None and position >= until else 0
    return Kept(ONE, logged, standing, oldest)


def faults(one: Kept, now: int = 0) -> list[str]:
    return [fault.kind for fault in Check("prices", None, [one]).faults(now)]


offsets = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
    lambda pair: Offsets(min(pair), max(pair))
)


@given(st.lists(offsets, min_size=1))
def test_what_is_missing_is_what_nobody_has(ranges: list[Offsets]) -> None:
    at_hand = {offset for one in ranges for offset in range(*one)}
    end = max(one.until for one in ranges)
    found = missing("prices", {ONE: ranges})
    holes = found.ranges[ONE] if found else []
    assert {offset for hole in holes for offset in range(*hole)} == set(range(end)) - at_hand
    assert all(first < until for first, until in holes)
    assert all(one.until < two.first for one, two in itertools.pairwise(holes))


def test_what_is_missing_is_one_sentence() -> None:
    at_hand = {
        TWO: [Offsets(9, 9)],
        ONE: [Offsets(40, 50), Offsets(2, 3), Offsets(4, 20)],
        Partition("other", 3): [Offsets(0, 7)],
    }
    found = missing("prices", at_hand)
    assert found is not None
    assert found.records == 2 + 1 + 20 + 9
    assert str(found) == (
        "prices cannot be rebuilt in full: 32 records are no longer kept, some.topic[0] offsets 0"
        " to 1 and offset 3 and offsets 20 to 39, some.topic[1] offsets 0 to 8"
    )


def test_an_archive_makes_up_for_what_the_log_lost() -> None:
    log, archive = Offsets(40, 50), Offsets(0, 45)
    assert missing("prices", {ONE: [log]}) is not None
    assert missing("prices", {ONE: [log, archive]}) is None


def test_hours_are_counted_from_the_first_record_that_is_not_projected() -> None:
    behind = kept(0, 10, 4)
    assert behind.hours_left(HOUR_MS) == 47
    assert behind.hours_left(100 * HOUR_MS) == 0, "overdue, and deleted at any moment"
    assert kept(0, 10, 10).hours_left(0) is None, "there is nothing to lose"
    assert kept(0, 10, 4, retention_ms=-1).hours_left(0) is None
    assert kept(0, 10, None).hours_left(0) == 48, "never claimed: nothing is projected"


def test_a_checkpoint_is_at_fault_when_it_is_near_the_logs_start_and_when_it_is_below() -> None:
    assert faults(kept(0, 10, 4), now=23 * HOUR_MS) == []
    assert faults(kept(0, 10, 4), now=25 * HOUR_MS) == ["soon"]
    assert faults(kept(0, 10, 10), now=25 * HOUR_MS) == []
    assert faults(kept(5, 10, 5)) == []
    assert faults(kept(5, 10, 4)) == ["lost"]
    assert faults(kept(5, 5, 4)) == ["lost"]
    assert faults(kept(0, 10, 11)) == ["beyond"]
    assert faults(kept(0, 10, 4, topic_id="another")) == ["anew"]


class Topic:
    """A topic of the test's own, of two partitions."""

    def __init__(self, stack: StackInfo, dsn: str) -> None:
        self.name = f"retention-{secrets.token_hex(6)}"
        self.endpoints = Endpoints(stack.brokers, {}, dsn, True, True)
        self._client = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})

    def make(self, **config: int) -> None:
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        settings["message.timestamp.type"] = "LogAppendTime"
        self._client.create_topics([NewTopic(self.name, 2, config=settings)])[self.name].result()
        Broker(self.endpoints).wait_for([self.name])

    async def fill(self, partition: int, records: int) -> None:
        """Records, a batch each: only whole batches can be deleted by their age."""
        producer = AIOKafkaProducer(bootstrap_servers=self.endpoints.brokers)
        async with producer:
            for _ in range(records):
                await producer.send_and_wait(self.name, b"x" * 100, partition=partition)

    def delete_below(self, partition: int, offset: int) -> None:
        place = TopicPartition(self.name, partition, offset)
        (future,) = self._client.delete_records([place]).values()
        future.result()

    def stand(self, at: Mapping[int, int], topic_id: str | None = None) -> None:
        """Checkpoints of `prices`, as a worker would have written them."""
        found = topic_id or topic_ids(self.endpoints, [self.name])[self.name]
        with psycopg.connect(self.endpoints.dsn, autocommit=True) as connection:
            for partition, offset in at.items():
                connection.execute(
                    "insert into checkpoints values ('prices', 1, %s, %s, %s, %s, 1)",
                    [self.name, found, partition, offset],
                )

    async def look(self) -> Check:
        (found,) = await check(self.endpoints, {"prices": [self.name]})
        return found


@pytest.fixture
async def topic(stack: StackInfo, dsn: str) -> Topic:
    await make_tables(dsn)
    return Topic(stack, dsn)


def kinds(found: Check) -> list[str]:
    return [fault.kind for fault in found.faults(time.time_ns() // 1_000_000)]


async def test_a_log_that_is_whole_and_read_has_no_fault(topic: Topic) -> None:
    topic.make(retention_ms=48 * HOUR_MS)
    before = time.time_ns() // 1_000_000
    await topic.fill(0, 3)
    topic.stand({0: 1})
    found = await topic.look()
    now = time.time_ns() // 1_000_000
    first, second = found.partitions
    assert (first.above_start, first.unprojected) == (1, 2)
    assert first.oldest is not None
    assert before <= first.oldest <= now
    hours = first.hours_left(now)
    assert hours is not None
    assert hours == found.hours_left(now)
    assert 47 < hours <= 48
    assert (second.checkpoint, second.oldest, second.unprojected) == (None, None, 0)
    assert found.missing is None
    assert kinds(found) == []
    assert [fault.kind for fault in found.faults(now + 25 * HOUR_MS)] == ["soon"]


async def test_a_log_whose_start_has_moved_cannot_be_rebuilt_from(topic: Topic) -> None:
    topic.make(retention_ms=-1)
    await topic.fill(0, 5)
    await topic.fill(1, 2)
    topic.delete_below(0, 3)
    topic.delete_below(1, 2)
    topic.stand({0: 3, 1: 2})
    found = await topic.look()
    assert found.missing is not None
    first, second = (Partition(topic.name, number) for number in (0, 1))
    assert found.missing.ranges == {first: [Offsets(0, 3)], second: [Offsets(0, 2)]}
    assert kinds(found) == ["incomplete"]
    assert found.partitions[0].hours_left(0) is None, "kept for ever"


async def test_a_checkpoint_below_the_log_is_lost(topic: Topic) -> None:
    topic.make()
    await topic.fill(0, 5)
    topic.stand({0: 1, 1: 0})
    topic.delete_below(0, 4)
    found = await topic.look()
    assert kinds(found) == ["incomplete", "lost"]
    assert found.partitions[0].above_start == -3
    (_, lost) = found.faults(0)
    assert f"{topic.name}[0] is offset 1, but the log begins at 4: 3 records" in lost.text


@pytest.mark.chaos  # the embedded broker looks for old segments every five minutes only
async def test_what_retention_deletes_is_missed(topic: Topic) -> None:
    topic.make(retention_ms=1, segment_bytes=1_048_576, segment_ms=1)
    await topic.fill(0, 2)
    topic.stand({0: 0, 1: 0})
    deadline = time.monotonic() + 400
    while read_logs(topic.endpoints, [topic.name])[Partition(topic.name, 0)].offsets.first == 0:
        assert time.monotonic() < deadline, "the broker deletes nothing"
        await topic.fill(0, 1)
    assert kinds(await topic.look()) == ["incomplete", "lost"]


async def test_a_topic_made_anew_is_told(topic: Topic) -> None:
    topic.make()
    await topic.fill(0, 1)
    topic.stand({0: 1}, topic_id="00000000-0000-0000-0000-000000000001")
    found = await topic.look()
    assert kinds(found) == ["anew"]
    assert found.partitions[0].unprojected == 1


async def test_a_topic_that_is_missing_and_a_projection_without_tables_are_named(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "_TIMEOUT_S", 1.0)
    with pytest.raises(MissingTopic, match=topic.name):
        await topic.look()
    with pytest.raises(Refusal, match="nothing has no tables"):
        await check(topic.endpoints, {"nothing": [topic.name]})
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1"):
        await check(replace(topic.endpoints, brokers="127.0.0.1:1"), {"prices": [topic.name]})


def invoke(monkeypatch: pytest.MonkeyPatch, topic: Topic, *words: str) -> tuple[int, str]:
    """`tape topics check` with `prices` alone, on the topic."""
    own = type("Own", (Prices,), {"topics": (topic.name,)})
    monkeypatch.setattr(projections, "PROJECTIONS", {"prices": own})
    monkeypatch.setenv("TAPE_BROKERS", topic.endpoints.brokers)
    monkeypatch.setenv("TAPE_DSN", topic.endpoints.dsn)
    monkeypatch.setenv("COLUMNS", "100")
    result = CliRunner().invoke(cli.app, ["topics", "check", *words])
    return result.exit_code, result.output


def told(monkeypatch: pytest.MonkeyPatch, topic: Topic) -> tuple[int, Any]:
    """The exit status, and what programs are told of `prices`."""
    status, output = invoke(monkeypatch, topic, "--json")
    (found,) = json.loads(output)
    return status, found


async def test_the_command_says_whether_all_is_well(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.make()
    await topic.fill(0, 5)
    topic.stand({0: 4, 1: 0})
    status, output = await asyncio.to_thread(invoke, monkeypatch, topic)
    assert status == 0
    assert "prices can be rebuilt in full, and is read in time" in output
    status, found = await asyncio.to_thread(told, monkeypatch, topic)
    assert (status, found["can_be_rebuilt"], found["faults"]) == (0, True, [])
    assert found["partitions"][0]["above_log_start"] == 4

    topic.delete_below(0, 5)
    status, output = await asyncio.to_thread(invoke, monkeypatch, topic)
    assert status == 1
    assert f"LOST: prices: the checkpoint of {topic.name}[0] is offset 4" in output
    assert f"5 records are no longer kept, {topic.name}[0] offsets 0 to 4" in output
    status, found = await asyncio.to_thread(told, monkeypatch, topic)
    assert (status, found["records_missing"]) == (1, 5)
    assert [fault["kind"] for fault in found["faults"]] == ["incomplete", "lost"]
    assert found["partitions"][0]["missing"] == [[0, 5]]


async def test_the_command_warns_before_a_checkpoint_falls_off(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.make(retention_ms=HOUR_MS, retention_bytes=10**9)
    await topic.fill(0, 5)
    topic.stand({0: 4, 1: 0})
    status, output = await asyncio.to_thread(invoke, monkeypatch, topic)
    assert status == 1
    assert "may fall off the log in 1.0 hours, with 1 records not projected" in output
    assert f"{topic.name} is bounded by retention.bytes too" in output
