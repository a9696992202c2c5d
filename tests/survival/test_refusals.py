"""What a worker refuses: it ends with status 75 and says why, and nothing was written."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from projections.base import Partition
from tests.survival.scene import BOTH, PARTITIONS, Scene, WorkerProcess, wait_for

pytestmark = pytest.mark.long

REFUSED = 75


def refusal(worker: WorkerProcess) -> str:
    """What the worker said as it refused; the log holds its stderr too."""
    assert worker.wait_for_end() == REFUSED, worker.output
    assert "Traceback" not in worker.output
    return next(line for line in worker.output.splitlines() if "tape: " in line)


def project_some(scene: Scene) -> None:
    """A load of some seconds, projected, and the worker gone again."""
    load = scene.load(per_second=500)
    worker = scene.worker()
    scene.wait_for_progress()
    load.finish()
    scene.wait_until_drained()
    assert worker.terminate()[0] == 0


def make_anew(scene: Scene) -> None:
    """Deletes the scene's topics and makes them again."""
    client = AdminClient({"bootstrap.servers": scene.home.brokers, "log_level": 0})
    deleted = client.delete_topics([scene.topic, f"{scene.topic}.dlq"], operation_timeout=30)
    for done in deleted.values():
        done.result(timeout=60)
    time.sleep(1)  # the broker takes a moment after it said that it is done
    scene.create_topics()


def delete_before(scene: Scene, partition: int, offset: int) -> None:
    """Takes a partition's first records away, as retention does."""
    client = AdminClient({"bootstrap.servers": scene.home.brokers, "log_level": 0})
    request = client.delete_records([TopicPartition(scene.topic, partition, offset)])
    for done in request.values():
        done.result(timeout=60)


def test_topic_made_anew(scene: Scene) -> None:
    """A running worker must not take its records for the old one's; a new one says what is up."""
    load = scene.load(per_second=200)
    worker = scene.worker("prices")
    scene.wait_for_progress("prices")
    load.finish()
    scene.wait_until_drained("prices")
    before = scene.checkpoints("prices")
    rows = scene.query("select count(*) from price_history")
    make_anew(scene)
    load = scene.load(per_second=500)
    time.sleep(8)
    load.finish()
    assert scene.checkpoints("prices") == before, worker.output
    assert scene.query("select count(*) from price_history") == rows
    if worker.lives:
        worker.kill()
    said = refusal(scene.worker("prices"))
    assert scene.topic in said
    assert "made anew" in said
    assert "rebuild" in said


def test_checkpoint_beyond_the_log(scene: Scene) -> None:
    project_some(scene)
    scene.query(
        "update checkpoints set next_offset = next_offset + 1000000 where projection = 'prices'"
        " and partition = 2 returning 1"
    )
    before = scene.checkpoints("prices")
    said = refusal(scene.worker("prices"))
    assert f"{scene.topic}[2]" in said
    assert str(before[Partition(scene.topic, 2)]) in said
    assert scene.checkpoints("prices") == before


def test_checkpoint_before_the_log(scene: Scene) -> None:
    """Retention, or an operator, took records that were not projected yet."""
    project_some(scene)
    load = scene.load(per_second=500)
    before = scene.checkpoints("prices")
    wait_for(
        "more records in each partition",
        lambda: all(end > before[partition] + 10 for partition, end in scene.ends().items()),
    )
    load.finish()
    cut = before[Partition(scene.topic, 1)] + 5
    delete_before(scene, 1, cut)
    said = refusal(scene.worker("prices"))
    assert f"{scene.topic}[1]" in said
    assert str(cut) in said
    assert scene.checkpoints("prices") == before


def test_generation_of_another_version(scene: Scene) -> None:
    project_some(scene)
    scene.query("update generations set version = 999 where projection = 'prices' returning 1")
    said = refusal(scene.worker("prices"))
    assert "rebuild" in said
    assert "999" in said


def test_database_without_tables(scene: Scene) -> None:
    scene.query("delete from generations where projection = 'prices' returning 1")
    said = refusal(scene.worker("prices"))
    assert "tape db migrate" in said


async def write_bad(scene: Scene, partition: int, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=scene.home.brokers, acks="all") as producer:
        for number in range(count):
            await producer.send(scene.topic, b"bad %d" % number, partition=partition)
        await producer.flush()


def test_a_hundred_dead_letters_in_a_row(scene: Scene) -> None:
    """Ninety-nine pass; the hundredth stops the projection, and its checkpoint stays before it."""
    project_some(scene)
    asyncio.run(write_bad(scene, partition=3, count=99))
    worker = scene.worker()
    scene.wait_until_drained()
    before = scene.checkpoints("prices")
    asyncio.run(write_bad(scene, partition=3, count=1))
    said = refusal(worker)
    assert "in a row" in said
    assert f"{scene.topic}[3]" in said
    assert scene.checkpoints("prices") == before
    again = scene.worker("prices")
    assert "in a row" in refusal(again), "a restart must not forget the ninety-nine"
    assert scene.checkpoints("prices") == before
    other = scene.worker("tally")
    scene.wait_until_drained("tally")
    other.kill()
    scene.verify("tally")


def test_two_projections_of_one_process(scene: Scene) -> None:
    """A rejoin of the one does not disturb the other."""
    load = scene.load(per_second=800)
    worker = scene.worker()
    scene.wait_for_progress()
    tally = scene.epochs("tally")
    for _ in range(3):
        bump_epochs(scene)
        seconds = scene.wait_for_progress(*BOTH)
        print(f"refused to progress: {seconds:.2f} s")
    assert scene.epochs("tally") == tally
    assert len(tally) == PARTITIONS
    scene.finish(load)
    assert worker.lives, worker.output


def bump_epochs(scene: Scene) -> None:
    """As if another worker had claimed: the next unit of `prices` is refused, and it rejoins."""
    before = scene.epochs("prices")
    scene.query("update checkpoints set epoch = epoch + 1 where projection = 'prices' returning 1")
    wait_for(
        "prices claimed again",
        lambda: all(now > before[at] + 1 for at, now in scene.epochs("prices").items()),
    )
