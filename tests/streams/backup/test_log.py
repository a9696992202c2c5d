"""A topic that the broker has lost, brought back from the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from projections.base import Partition
from streams import tolerant
from streams.admin import Broker
from streams.archive.reader import read_manifest
from streams.archive.store import LocalFolder, open_store
from streams.backup.filling import Appender
from streams.backup.log import Restored, restore_log
from streams.errors import UserError
from streams.events.catalogue import TopicSpec
from streams.log import LogReader
from streams.topics import topic_ids
from tests.streams.archive.conftest import PARTITIONS, Topic, numbered, topic
from tests.streams.archive.test_run import ODD

pytestmark = pytest.mark.chaos

__all__ = ["topic"]

DAY_MS = 86_400_000


@dataclass
class Lost:
    """A topic that was archived, and is deleted by `lose`."""

    topic: Topic

    @property
    def spec(self) -> TopicSpec:
        return TopicSpec(self.topic.name, "key", "A test's own.", 365 * DAY_MS, PARTITIONS)

    @property
    def settings(self) -> dict[str, str]:
        return Broker(self.topic.endpoints).settings(self.topic.name)

    def lose(self) -> None:
        self.topic.admin.delete_topics([self.topic.name])[self.topic.name].result(30)
        while Broker(self.topic.endpoints).describe([self.topic.name]):
            pass

    async def restore(self) -> Restored:
        report = Restored()
        store = open_store(self.topic.location)
        await restore_log(store, self.topic.endpoints, [self.spec], report)
        return report

    async def offsets_at(self, time_ms: int) -> dict[Partition, int]:
        sources = {Partition(self.topic.name, one) for one in range(PARTITIONS)}
        async with LogReader.open(self.topic.endpoints) as reader:
            return await reader.offsets_at(sources, time_ms)

    async def records(self) -> list[list[tuple[Any, ...]]]:
        return [await self.topic.consumed(one) for one in range(PARTITIONS)]


@pytest.fixture
def lost(topic: Topic) -> Lost:
    tolerant.install()
    return Lost(topic)


async def send_unreadable_name(topic: Topic, partition: int) -> None:
    """A record with a header name that is not UTF-8."""
    producer = AIOKafkaProducer(bootstrap_servers=topic.endpoints.brokers)
    async with producer:
        batch = tolerant.batch_of(1, b"key", b"value", [("\udcff\udcfe", b"x"), ("a", None)])
        await (await producer.send_batch(batch, topic.name, partition=partition))


async def test_records_get_their_offsets_and_times_back(lost: Lost) -> None:
    await lost.topic.send(1, *ODD)
    await send_unreadable_name(lost.topic, 1)
    await lost.topic.send(1, *numbered(0, 3_000, text="long enough for several batches " * 20))
    await lost.topic.run()
    late = [some[-1][1] for some in await lost.records()]
    found = [await lost.offsets_at(time) for time in late]
    wanted, former = await lost.records(), topic_ids(lost.topic.endpoints, [lost.topic.name])
    lost.lose()
    report = await lost.restore()
    assert await lost.records() == wanted
    assert [await lost.offsets_at(time) for time in late] == found
    assert (report.due, report.appended, report.topics[0].records) == (3_015, 3_015, 3_015)
    assert report.topics[0].former_id == former[lost.topic.name]
    settings = lost.settings
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["retention.ms"] == str(365 * DAY_MS)


async def test_log_and_archive_go_on_behind_it(lost: Lost) -> None:
    await lost.topic.run()
    lost.lose()
    restored = await lost.restore()
    await lost.topic.send(0, *numbered(10, 20))
    report = await lost.topic.run()
    assert (report.problems, report.records) == ([], 10)
    assert lost.topic.archived(0) == await lost.topic.consumed(0)
    manifest = read_manifest(open_store(lost.topic.location), lost.topic.name)
    assert manifest is not None
    first, second = manifest.topic_ids
    assert (second.topic_id, second.since) == (restored.topics[0].topic_id, {0: 10})
    assert restored.moves[0].untils == {0: 10, 1: 0}
    assert restored.moves[0].topic_id == first.topic_id


async def test_an_archive_that_begins_late_or_has_a_hole_keeps_the_offsets_too(lost: Lost) -> None:
    lost.topic.remove_before(0, 4)
    await lost.topic.run(accept_gaps=True)
    await lost.topic.send(1, *numbered(0, 30))
    await lost.topic.run()
    await lost.topic.send(1, *numbered(30, 60))
    lost.topic.remove_before(1, 50)
    await lost.topic.run(accept_gaps=True)
    wanted = await lost.records()
    assert [some[0][0] for some in wanted] == [4, 50]
    lost.lose()
    report = await lost.restore()
    assert await lost.records() == wanted
    assert (report.appended, report.topics[0].records) == (70, 16)


async def test_what_the_broker_still_has_is_left_as_it_is(lost: Lost) -> None:
    await lost.topic.run()
    await lost.topic.send(0, *numbered(10, 12))
    wanted = await lost.records()
    report = await lost.restore()
    assert (report.due, report.topics, report.moves) == (0, [], [])
    assert await lost.records() == wanted


async def test_a_topic_with_other_records_is_refused(lost: Lost) -> None:
    await lost.topic.run()
    lost.topic.make_anew()
    await lost.topic.send(1, *numbered(0, 3))
    wanted, settings = await lost.records(), lost.settings
    with pytest.raises(UserError, match=r"on the broker already, with 3 records.*Nothing was"):
        await lost.restore()
    assert (await lost.records(), lost.settings) == (wanted, settings)


async def test_a_topic_without_records_is_filled(lost: Lost) -> None:
    await lost.topic.run()
    wanted = await lost.records()
    lost.topic.make_anew()
    await lost.restore()
    assert await lost.records() == wanted


async def test_a_log_that_lost_its_end_is_refused(lost: Lost, tmp_path: Path) -> None:
    await lost.topic.run()
    lost.lose()
    await lost.restore()
    await lost.topic.send(0, *numbered(10, 12))
    await lost.topic.run()
    manifest = read_manifest(open_store(lost.topic.location), lost.topic.name)
    assert manifest is not None
    lost.topic.make_anew()
    ids = topic_ids(lost.topic.endpoints, [lost.topic.name])
    claimed = manifest.with_id(ids[lost.topic.name])
    open_store(lost.topic.location).write(f"{lost.topic.name}/manifest.json", claimed.dump())
    with pytest.raises(UserError, match="ends at offset 0, the archive at 12"):
        await lost.restore()


async def test_who_writes_to_the_topic_meanwhile_is_noticed(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost.topic.send(1, *numbered(0, 5))
    await lost.topic.run()
    lost.lose()
    finish = Appender.finish

    async def disturbed(appender: Appender) -> None:
        if appender._source.partition == 1:
            await lost.topic.send(1, *numbered(0, 1, text="foreign"))
        await finish(appender)

    monkeypatch.setattr(Appender, "finish", disturbed)
    with pytest.raises(UserError, match="had offset 0 got 1: someone else writes"):
        await lost.restore()


async def test_damage_is_told_and_mended_it_goes_on(lost: Lost) -> None:
    await lost.topic.send(1, *numbered(0, 5))
    await lost.topic.run()
    wanted = await lost.records()
    lost.lose()
    (file,) = (Path(lost.topic.location) / lost.topic.name / "1").iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(UserError, match=r"has .* bytes instead of"):
        await lost.restore()
    assert lost.settings["message.timestamp.type"] == "CreateTime"
    file.write_bytes(data)
    await lost.restore()
    assert await lost.records() == wanted


async def test_without_an_archive_it_says_so(lost: Lost) -> None:
    with pytest.raises(UserError, match="there is no archive in"):
        await lost.restore()
    assert not Path(lost.topic.location).exists()


class Stopped(Exception):
    """Stands for a kill."""


def stopping_at(number: int, do: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, but the call of this number is the last one, and is not done."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Stopped
        return do(*arguments, **named)

    return call


#: In the order in which a run comes by them; each run goes on behind the one before.
STOPS: list[tuple[Any, str, int]] = [
    (Appender, "_send", 1),
    (Appender, "_send", 2),
    (Broker, "remove_before", 1),
    (Appender, "_send", 3),
    (Appender, "_send", 3),
    (LocalFolder, "write", 1),
    (Broker, "alter", 2),
]


async def test_a_stop_at_any_point_is_gone_on_with(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "more than a batch " * 1_000
    await lost.topic.send(1, *numbered(0, 60, text=large))
    lost.topic.remove_before(1, 20)
    await lost.topic.run(accept_gaps=True)
    wanted = await lost.records()
    lost.lose()
    for owner, name, number in STOPS:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stopping_at(number, getattr(owner, name)))
            with pytest.raises(Stopped):
                await lost.restore()
    assert lost.settings["message.timestamp.type"] == "CreateTime"
    await lost.restore()
    assert await lost.records() == wanted
    assert lost.settings["message.timestamp.type"] == "LogAppendTime"
    assert (await lost.restore()).topics == []


async def test_half_a_topic_is_not_taken_for_another(lost: Lost) -> None:
    """It is told by its records: a topic that only has the same settings is refused."""
    await lost.topic.run()
    lost.topic.make_anew()
    await lost.topic.send(0, *numbered(0, 3, text="other"))
    settings = {"message.timestamp.type": "CreateTime"}
    await asyncio.to_thread(Broker(lost.topic.endpoints).alter, lost.topic.name, settings)
    with pytest.raises(UserError, match="3 records that are not from this archive"):
        await lost.restore()
