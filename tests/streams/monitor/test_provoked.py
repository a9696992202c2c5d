"""Each state provoked for real, and named with its cause. `-s` prints after how many seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Assigned
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from streams.admin import Broker
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.monitor.burrow import Status
from streams.monitor.model import Group, Picture, State
from streams.monitor.thresholds import Thresholds
from streams.simulated.access import read_settings, settings_file
from streams.topics import ensure_topics
from tests.soak.processes import Command
from tests.streams.monitor.site import Site, Watch, site
from tests.survival.misfortunes import kill_kafka, kill_postgres

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def place(module_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(module_home, tmp_path_factory.mktemp("commands")) as found:
        yield found


@pytest.fixture
async def watch(place: Site) -> AsyncIterator[Watch]:
    async with place.watched() as found:
        yield found


@pytest.fixture
def worker(place: Site) -> Iterator[Command]:
    found = place.worker()
    yield found
    if found.is_running:
        found.kill()


def prices(picture: Picture) -> Group:
    return next(one for one in picture.groups if one.projection == "prices")


def is_caught_up(picture: Picture) -> bool:
    found = prices(picture)
    return (
        found.state == State.OK
        and found.lag_s is not None
        and found.lag_s < 2
        and found.members > 0
    )


async def settled(watch: Watch) -> None:
    """Until the worker has projected something, and the end of the one before is over."""
    await asyncio.sleep(4)  # what moved before was moved by the worker of an earlier test
    await watch.until("a worker that has caught up", is_caught_up)
    await watch.well("prices: (nobody|stuck|.* behind)")


async def test_a_worker_that_is_stopped(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        worker.stop()
        await watch.named("prices: nobody owns .*records wait")
        worker.start()
        await watch.well("prices")


async def test_a_worker_that_is_killed(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        worker.kill()
        await watch.named("prices: (nobody owns|stuck)")


async def test_a_worker_that_is_frozen(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        worker.freeze()
        await watch.named("prices: (nobody owns|stuck)")
        worker.thaw()
        await watch.well("prices")


async def test_a_lock_in_the_database(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        with psycopg.connect(place.endpoints.dsn, application_name="a human") as connection:
            connection.execute("lock table price_seconds, latest_price in access exclusive mode")
            found = await watch.named("tickertape prices.* waits for a lock.*which a human")
            assert found.cause == "database"
        await watch.well("a human")


async def test_a_flood(place: Site, worker: Command) -> None:
    soon = Thresholds(lag_warn_s=0.5, lag_critical_s=2.0)
    async with place.watched(soon) as watch, place.ticking():
        await settled(watch)
        worker.freeze()  # a flood is more than a worker reads; this one reads none for a while
        await asyncio.sleep(2)
        worker.thaw()
        await watch.named("prices: .* behind")
        await watch.well("prices: .* behind")


async def test_a_database_that_is_away(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        kill_postgres(place.home)
        found = await watch.named("the database does not answer.*last values of")
        assert found.cause == "database"
        await asyncio.to_thread(embedded.start, place.home.path)
        await watch.well("database")
        await watch.until("a worker that has caught up", is_caught_up)


async def test_a_broker_that_is_away(place: Site, watch: Watch, worker: Command) -> None:
    async with place.ticking():
        await settled(watch)
        kill_kafka(place.home)
        found = await watch.named("the broker does not answer.*last values of")
        assert found.cause == "broker"
        await asyncio.to_thread(embedded.start, place.home.path)
        await watch.well("broker")
        await watch.until("a worker that has caught up", is_caught_up)


async def test_a_venue_that_is_silent(place: Site, watch: Watch, worker: Command) -> None:
    simulated = place.start("simulate", "--name", "silent")
    file = settings_file(place.home.path, "silent")
    while (settings := read_settings(file)) is None:
        await asyncio.sleep(0.1)
    producer = place.start("produce", "simulated", **settings)
    await watch.until("prices of the venue", lambda seen: bool(sources(seen, "simulated")))
    simulated.freeze()
    found = await watch.named("simulated: (connected, no frame for|connecting since)")
    assert found.cause == "feed/simulated"
    await watch.until(
        "its prices in the same incident",
        lambda seen: any(
            one.cause == found.cause
            and "prices: no lag" in one.symptoms
            and any("simulated:BTC-USD: newest event" in text for text in one.symptoms)
            for one in seen.incidents
        ),
    )
    simulated.thaw()
    await watch.well("simulated")
    producer.kill()
    await watch.named("simulated: gone, no heartbeat")
    simulated.end()


async def test_records_that_are_deleted_before_they_are_read(place: Site, watch: Watch) -> None:
    worker = place.worker()
    async with place.ticking():
        await settled(watch)
        worker.kill()
        await asyncio.sleep(1)
    broker = Broker(place.endpoints)
    for number in range(4):
        end = broker.bounds(TopicPartition("price.ticks", number))[1]
        broker.remove_before(TopicPartition("price.ticks", number, end))
    await watch.named("prices: .* records of price.ticks.* were deleted before they were read")


async def test_a_topic_that_is_made_anew(place: Site, watch: Watch) -> None:
    worker = place.start("worker", "account")
    await watch.until("its checkpoints", lambda seen: account(seen).members > 0)
    worker.kill()
    admin = AdminClient({"bootstrap.servers": place.endpoints.brokers})
    admin.delete_topics(["trade.events"])["trade.events"].result()
    await asyncio.sleep(1)
    ensure_topics(place.endpoints)
    await watch.named("account: trade.events was deleted and made anew")


async def test_a_group_that_goes_back_and_is_deleted(place: Site, watch: Watch) -> None:
    topic, group = "somebody.else", "somebody"
    admin = AdminClient({"bootstrap.servers": place.endpoints.brokers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result()
    async with AIOKafkaProducer(bootstrap_servers=place.endpoints.brokers) as producer:
        for number in range(100):
            await producer.send(topic, b"x", partition=number % 2)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=place.endpoints.brokers, group_id=group, enable_auto_commit=False
    )
    first = Assigned(topic, 0)
    async with consumer:
        for offset in (10, 40):
            await consumer.commit({first: offset})
            await watch.until(f"offset {offset}", partial(at_offset, offset))
        committing = asyncio.create_task(_commit_again(consumer, first, 20))
        seen = await watch.until("a group that went back", partial(at_offset, 20))
        [one] = [one for one in of(seen, group).partitions if one.partition == 0]
        assert (one.state, one.lag) == (State.REWOUND, 30)
        await watch.until("Burrow's status", lambda seen: rewinds(seen, group))
        committing.cancel()
        new = NewPartitions(topic, 3)
        admin.create_partitions([new])[topic].result()
        await watch.until("another partition", lambda seen: partitions_of(seen, topic) == 3)
    admin.delete_consumer_groups([group])[group].result()
    await watch.until("no group", lambda seen: all(one.name != group for one in seen.groups))
    admin.delete_topics([topic])[topic].result()
    await watch.until("no topic", lambda seen: partitions_of(seen, topic) == 0)


async def test_a_disk_that_fills(place: Site, watch: Watch, tmp_path: Path) -> None:
    seen = await watch.until("disks", lambda seen: bool(seen.disks))
    # The disk of the log; so fast that it is full in less than five minutes at this pace.
    disk = next(one for one in seen.disks if one.holds == "log")
    pace = disk.free // 200
    file = place.home.kafka_folder / "filling"
    writing = asyncio.create_task(asyncio.to_thread(_fill, file, pace))
    try:
        await watch.named("disk of the log .* full in")
    finally:
        file.with_suffix(".stop").touch()
        await writing
        file.unlink()
        file.with_suffix(".stop").unlink()


def _fill(file: Path, pace: int) -> None:
    """Take `pace` bytes a second until there is a file `.stop`."""
    with file.open("wb") as stream:
        size = 0
        while not file.with_suffix(".stop").exists():
            size += pace // 5
            os.posix_fallocate(stream.fileno(), 0, size)
            time.sleep(0.2)


def account(picture: Picture) -> Group:
    return next(one for one in picture.groups if one.projection == "account")


def of(picture: Picture, name: str) -> Group:
    return next(one for one in picture.groups if one.name == name)


async def _commit_again(consumer: AIOKafkaConsumer, place: Assigned, offset: int) -> None:
    while True:
        await consumer.commit({place: offset})
        await asyncio.sleep(0.5)


def at_offset(offset: int, picture: Picture) -> bool:
    return any(
        one.name == "somebody" and any(part.current == offset for part in one.partitions)
        for one in picture.groups
    )


def rewinds(picture: Picture, name: str) -> bool:
    return any(one.burrow == Status.REWIND for one in of(picture, name).partitions)


def partitions_of(picture: Picture, name: str) -> int:
    return next((one.partitions for one in picture.topics if one.name == name), 0)


def sources(picture: Picture, venue: str) -> list[str]:
    return [one.source for one in picture.freshness if one.source.startswith(f"{venue}:")]
