"""From the real broker into the archive: the same records, whatever happens on the way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from projections.base import Partition
from streams.admin import Broker
from streams.archive import segment
from streams.archive.manifest import manifest_name
from streams.archive.reader import Archive
from streams.archive.run import Run, run
from streams.archive.store import LocalFolder, open_store
from streams.archive.verify import Verified, verify
from streams.errors import UserError
from streams.topics import topic_ids
from tests.streams.archive.conftest import Sent, Topic, numbered
from tests.streams.archive.keeping import memory

ODD: list[Sent] = [
    (None, b"no key", []),
    (b"no value", None, [("a", b"1"), ("a", None), ("", b"")]),
    (b"", b"", [("a", b"1")]),
    (b"\xff\x00", b"\x00" * 1000, [("ce_id", b"\xff"), ("traceparent", b"x")]),
]


def whole(topic: Topic) -> Verified:
    """What `verify` finds; there must be no fault."""
    found = Verified()
    verify(open_store(topic.location), [topic.name], found)
    assert found.faults == []
    return found


@pytest.mark.parametrize("remote", [False, True])
async def test_the_archive_holds_what_a_consumer_reads(topic: Topic, remote: bool) -> None:
    if remote:
        topic.location = memory()
    await topic.send(1, *ODD, *numbered(0, 50))
    report = await topic.run()
    assert (report.due, report.records, len(report.segments), report.problems) == (64, 64, 2, [])
    for partition in (0, 1):
        assert topic.archived(partition) == await topic.consumed(partition)
    assert whole(topic).records == 64


async def test_a_run_goes_on_where_the_one_before_ended(topic: Topic) -> None:
    await topic.run()
    assert (await topic.run()).segments == []
    await topic.send(0, *numbered(10, 15))
    report = await topic.run()
    assert [(one.first, one.until) for _, one in report.segments] == [(10, 15)]
    assert topic.archived(0) == await topic.consumed(0)
    topic.remove_before(0, 15)
    assert len(topic.archived(0)) == 15


async def test_a_segment_is_closed_when_it_is_large(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topic.run()
    await topic.send(0, *numbered(10, 30_000))
    monkeypatch.setattr(segment, "SEGMENT_RECORDS", 5_000)
    report = await topic.run()
    assert len(report.segments) >= 3  # as many as there were fetches
    assert (report.segments[0][1].first, report.segments[-1][1].until) == (10, 30_000)
    assert topic.archived(0) == await topic.consumed(0)


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("torn", [False, True])
async def test_a_stop_at_any_write_leaves_an_archive_that_the_next_run_completes(
    topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    """Two partitions: four writes. Each is the last one, done or torn, in an archive of its own."""
    await topic.send(1, *numbered(0, 5))
    write = LocalFolder.write

    for last in range(4):
        topic.location, writes = str(tmp_path / f"stopped-{last}"), 0

        def stop(store: LocalFolder, name: str, data: bytes, last: int = last) -> None:
            nonlocal writes
            if writes == last:
                if torn:  # what was not moved into its place yet
                    partial = Path(store.place(name + ".partial"))
                    partial.parent.mkdir(parents=True, exist_ok=True)
                    partial.write_bytes(data[:7])
                else:
                    write(store, name, data)
                raise Stopped
            writes += 1
            write(store, name, data)

        with monkeypatch.context() as patch:
            patch.setattr(LocalFolder, "write", stop)
            with pytest.raises(Stopped):
                await topic.run()
        if last or not torn:  # without a manifest there is nothing to verify
            found = Verified()
            verify(open_store(topic.location), [topic.name], found)
            assert all("is missing: no such topic" in fault for fault in found.faults)
        assert (await topic.run()).problems == []
        for partition in (0, 1):
            assert topic.archived(partition) == await topic.consumed(partition)
        whole(topic)


async def test_what_a_kill_left_half_written_is_removed(topic: Topic) -> None:
    left = Path(topic.location) / topic.name / "0" / "00-10-abc.parquet.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    await topic.run()
    assert not left.exists()
    assert len(topic.archived(0)) == 10


async def test_two_runs_in_one_folder_do_not_work_at_once(topic: Topic) -> None:
    with (
        open_store(topic.location).exclusive(),
        pytest.raises(UserError, match="another `tape archive run` works in"),
    ):
        await topic.run()
    assert (await topic.run()).records == 10


async def test_a_manifest_that_another_run_has_changed_is_not_replaced(topic: Topic) -> None:
    """The other one runs to its end between this one's last record and its manifest."""
    topic.location = memory()

    def other(records: int) -> None:
        with ThreadPoolExecutor() as thread:
            thread.submit(asyncio.run, topic.run()).result()

    store = open_store(topic.location)
    with pytest.raises(UserError, match=rf"{topic.location}/.* was changed while this run worked"):
        await run(store, topic.endpoints, [topic.name], Run(), other)
    assert topic.archived(0) == await topic.consumed(0)
    assert (await topic.run()).segments == []


async def test_a_topic_made_anew_is_refused(topic: Topic) -> None:
    await topic.run()
    before = topic.archived(0)
    topic.make_anew()
    for count in (0, 10, 20):  # shorter than the archive, as long, longer
        await topic.send(0, *numbered(0, count, text="other"))
        (problem,) = (await topic.run()).problems
        assert f"{topic.name} was made anew" in problem
        assert f"move {topic.location}/{topic.name} away" in problem
    assert topic.archived(0) == before


async def test_a_topic_made_anew_with_the_same_records_is_continued(topic: Topic) -> None:
    """As a restore from a backup makes it."""
    await topic.run()
    partition = Partition(topic.name, 0)
    ((old, _),) = Archive(topic.location).topic_ids(partition)
    topic.make_anew()
    await topic.send(0, *numbered(0, 12))
    report = await topic.run()
    assert (report.problems, report.records) == ([], 2)
    first, second = Archive(topic.location).topic_ids(partition)
    assert first == (old, 0)
    assert second[0] != old
    assert second[1] == 10
    assert [row[2:] for row in topic.archived(0)] == [row[2:] for row in await topic.consumed(0)]


async def test_records_that_were_lost_before_they_were_archived_are_never_passed_over(
    topic: Topic,
) -> None:
    await topic.run()
    await topic.send(0, *numbered(10, 30))
    await topic.send(1, *numbered(0, 5))
    topic.remove_before(0, 20)
    for _ in range(2):
        (problem,) = (await topic.run()).problems
        assert problem.startswith(f"{topic.name}[0]: 10 records, offsets 10 to 19, were removed")
        assert "--accept-gap" in problem
    assert len(topic.archived(0)) == 10
    assert len(topic.archived(1)) == 5

    report = await topic.run(accept_gaps=True)
    assert report.problems == []
    assert [(str(source), gap.first, gap.until) for source, gap in report.gaps] == [
        (f"{topic.name}[0]", 10, 20)
    ]
    assert [row[0] for row in topic.archived(0, 5)] == [*range(5, 10), *range(20, 30)]
    assert (await topic.run()).problems == []
    whole(topic)


async def test_an_archive_that_begins_too_late_says_so(topic: Topic) -> None:
    topic.remove_before(0, 10)
    (problem,) = (await topic.run()).problems
    assert "10 records, offsets 0 to 9, were removed" in problem


def as_if_the_same(topic: Topic) -> None:
    """Have the archive think that the topic, which was made anew, never was."""
    path = Path(topic.location) / manifest_name(topic.name)
    partition = Partition(topic.name, 0)
    ((old, _),) = Archive(topic.location).topic_ids(partition)
    new = topic_ids(topic.endpoints, [topic.name])[topic.name]
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("count", "told"),
    [(4, "the log ends at offset 4, the archive at 10"), (12, "the record at offset 9 is another")],
)
async def test_a_log_that_has_lost_what_the_archive_has_is_refused(
    topic: Topic, count: int, told: str
) -> None:
    await topic.run()
    before = topic.archived(0)
    topic.make_anew()
    await topic.send(0, *numbered(0, count, text="other"))
    as_if_the_same(topic)
    (problem,) = (await topic.run()).problems
    assert told in problem
    assert topic.archived(0) == before


@pytest.mark.parametrize("transactions", [1, 2])
async def test_a_topic_with_transactions_is_refused(topic: Topic, transactions: int) -> None:
    """Their markers take offsets, at the log's end too, and look like lost records."""
    config = {"bootstrap.servers": topic.endpoints.brokers, "log_level": 0}
    producer = Producer({**config, "transactional.id": topic.name})
    producer.init_transactions(30)
    for _ in range(transactions):
        producer.begin_transaction()
        producer.produce(topic.name, b"a", partition=0)
        producer.commit_transaction(30)
    while Broker(topic.endpoints).bounds(TopicPartition(topic.name, 0))[1] < 10 + 2 * transactions:
        pass  # the last marker is written a moment later
    with pytest.raises(UserError, match=rf"{topic.name}\[0\] has no record at offset 11"):
        await topic.run()
    assert topic.archived(0) == []


async def test_a_topic_that_is_not_there_is_named(topic: Topic) -> None:
    topic.name = "no-such-topic"
    with pytest.raises(UserError, match=r"no topic no-such-topic on .*tape topics create"):
        await topic.run()
