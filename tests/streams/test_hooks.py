"""Each hook below the public surface of Faust and aiokafka, so that an upgrade fails loudly.

`streams/transport.py` relies on all of these. A failing test here means: read the new version's
code for that hook before changing the test.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import faust
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from confluent_kafka.admin import AdminClient, NewTopic
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from projections.base import Batch, Connection, EventProjection, Partition, Recorded
from projections.checkpoint import Checkpoint
from projections.errors import Refusal
from projections.migrations import migrate
from streams import fetching, transport
from streams.app import Rules, build_app
from streams.embedded.stack import StackInfo
from streams.events import PriceTrade, encode
from streams.ledger import Fetch, Ledger
from streams.settings import Endpoints
from tests.projections.registered import registered


def test_faust_and_aiokafka_are_pinned_to_the_versions_that_the_hooks_were_read_in() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"
    pins = requires("tickertape") or []
    assert "faust-streaming==0.15.3" in pins
    assert any(pin.startswith("aiokafka[") and pin.endswith("==0.14.0") for pin in pins)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (
            driver.AIOKafkaConsumerThread._fetch_records,
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.AIOKafkaConsumerThread._seek_wait, ["self", "consumer", "partitions"]),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
        (Fetcher.fetched_records, ["self", "partitions", "timeout", "max_records"]),
        (driver.AIOKafkaConsumerThread._ensure_consumer, ["self"]),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (faust_consumer.Consumer.getmany, ["self", "timeout"]),
        (faust_consumer.Consumer._wait_next_records, ["self", "timeout"]),
        (faust_consumer.Consumer.force_commit, ["self", "topics", "start_new_transaction"]),
        (faust_consumer.Consumer.on_partitions_revoked, ["self", "revoked"]),
        (faust_consumer.Consumer.on_buffer_full, ["self", "tp"]),
        (driver.Consumer.verify_event_path, ["self", "now", "tp"]),
        (driver.AIOKafkaConsumerThread._verify_aiokafka_event_path, ["self", "now", "tp"]),
        (faust_consumer.ThreadDelegateConsumer.seek_to_committed, ["self"]),
        (faust_consumer.ThreadDelegateConsumer.seek_wait, ["self", "partitions"]),
        (faust_consumer.ThreadDelegateConsumer.earliest_offsets, ["self", "partitions"]),
        (faust_consumer.ThreadDelegateConsumer.highwaters, ["self", "partitions"]),
        (faust_consumer.ThreadDelegateConsumer._commit, ["self", "offsets"]),
        (PartitionRecords._consumer_record, ["self", "tp", "record"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_what_is_overridden_or_called_has_the_signature_it_had(
    function: Callable[..., Any], wanted: list[str]
) -> None:
    assert parameters(function) == wanted


# A running app


class Ids(EventProjection):
    """Trade ids, without a key: what were projected twice would show."""

    version = 1
    tables = ("seen_ids",)
    folder: Path

    @classmethod
    def sql_path(cls) -> Path:
        path = cls.folder / "ids.sql"
        path.write_text("create table seen_ids (trade_id text not null)")
        return path

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        found = [fact.event.trade_id for fact in facts if isinstance(fact.event, PriceTrade)]
        await connection.execute("insert into seen_ids select unnest(%s::text[])", [found])


class Scene:
    """An app with its topic and database, and what it refused."""

    def __init__(self, projection: Ids, stack: StackInfo, dsn: str, folder: Path) -> None:
        self.topic = projection.topics[0]
        self.brokers = stack.brokers
        self.dsn = dsn
        self.refusals: list[Refusal] = []
        self.endpoints = Endpoints(stack.brokers, {}, dsn, True, True)
        self.app, _ = build_app(projection, self.endpoints, Rules(), folder, self.refusals.append)
        self.produced = 0

    @property
    def transport(self) -> transport.Transport:
        found = self.app.transport
        assert isinstance(found, transport.Transport)
        return found

    @property
    def ledger(self) -> Ledger:
        return self.transport.ledger

    @property
    def consumer(self) -> Any:
        return self.app.consumer

    @property
    def tps(self) -> list[TP]:
        return [TP(self.topic, number) for number in range(2)]

    async def produce(self, count: int) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.brokers) as producer:
            for number in range(self.produced, self.produced + count):
                record = encode(trade(number))
                sent = {"partition": number % 2, "headers": record.headers}
                await producer.send(self.topic, record.value, record.key, **sent)
        self.produced += count

    def seen(self) -> list[int]:
        with psycopg.connect(self.dsn) as connection:
            return sorted(int(name) for (name,) in connection.execute("select * from seen_ids"))

    async def all_seen(self) -> None:
        await until(lambda: len(self.seen()) >= self.produced)
        assert self.seen() == list(range(self.produced))


async def until(condition: Callable[[], bool]) -> None:
    """A generous limit: it ends a test that hangs, it measures nothing."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


def trade(number: int) -> PriceTrade:
    return PriceTrade(
        venue="coinbase",
        symbol="BTC-USD",
        trade_id=str(number),
        price=Decimal(1),
        size=Decimal(1),
        side="buy",
        time=1_700_000_000_000_000,
        sequence=None,
        received=1_700_000_000_000_000,
    )


@pytest.fixture
async def scene(stack: StackInfo, dsn: str, tmp_path: Path) -> Scene:
    """An app that was built, not started."""
    unique = secrets.token_hex(4)
    own = {"name": f"ids_{unique}", "topics": (f"hooks-{unique}",), "folder": tmp_path}
    projection: Any = type("OwnIds", (Ids,), own)()
    client = AdminClient({"bootstrap.servers": stack.brokers})
    for created in client.create_topics([NewTopic(f"hooks-{unique}", 2)]).values():
        created.result()
    await migrate(dsn, registered(projection))
    return Scene(projection, stack, dsn, tmp_path)


@pytest.fixture
async def running(scene: Scene) -> AsyncIterator[Scene]:
    """The same, running, with its partitions claimed."""
    await scene.produce(20)
    await scene.app.start()
    try:
        await scene.all_seen()
        yield scene
    finally:
        await scene.app.stop()
    assert scene.refusals == []


async def test_the_transport_is_the_one_that_the_app_uses(running: Scene) -> None:
    assert isinstance(running.consumer, transport.Consumer)
    assert isinstance(running.consumer._thread, transport.ConsumerThread)
    assert set(running.consumer.assignment()) == set(running.tps)


async def test_positions_come_from_the_checkpoints_not_from_committed_offsets(
    running: Scene,
) -> None:
    """What seek_to_committed returns is what Faust goes on with, and where the fetcher stands."""
    assert running.consumer._thread.seeks >= 1
    assert {source.partition for source in running.ledger.projector.claims} == {0, 1}
    before = running.ledger.rebalances
    running.consumer._committed_offset.clear()
    await running.consumer.perform_seek()
    assert running.ledger.rebalances == before + 1
    positions = {tp: await running.consumer.position(tp) for tp in running.tps}
    assert positions == dict.fromkeys(running.tps, 10)
    assert {tp: running.consumer._committed_offset[tp] for tp in running.tps} == positions
    await running.produce(20)
    await running.all_seen()


async def test_the_broker_may_not_hold_a_fetch_as_long_as_faust_would_let_it(
    running: Scene,
) -> None:
    consumer = running.consumer._consumer_thread._ensure_consumer()
    assert consumer._fetcher._fetch_max_wait_ms == 100


async def test_a_rejoin_in_place_rebalances_and_goes_on(running: Scene) -> None:
    coordinator = running.consumer._thread._ensure_consumer()._coordinator
    generation = coordinator.generation
    epochs = {source: claim.epoch for source, claim in running.ledger.projector.claims.items()}
    running.ledger.forget()
    running.consumer._thread.rejoin()
    await until(lambda: running.ledger.holds_partitions)
    assert coordinator.generation > generation
    claims = running.ledger.projector.claims
    assert claims.keys() == epochs.keys()
    assert all(claim.epoch > epochs[source] for source, claim in claims.items())
    await running.produce(20)
    await running.all_seen()


async def test_checkpoints_are_copied_to_kafka_and_acknowledgements_disarmed(
    running: Scene,
) -> None:
    await running.consumer.force_commit()
    assert not running.consumer._acked
    assert not running.consumer._acked_index
    group = running.app.conf.id
    reader = AIOKafkaConsumer(bootstrap_servers=running.brokers, group_id=group)
    await reader.start()
    try:
        copies = [await reader.committed(aiokafka.TopicPartition(*tp)) for tp in running.tps]
    finally:
        await reader.stop()
    assert copies == [10, 10]
    assert await running.consumer.force_commit() is False, "nothing changed since"


async def test_a_copy_that_fails_costs_nothing(
    running: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(offsets: Any) -> bool:
        raise aiokafka.errors.KafkaError("away")

    with monkeypatch.context() as patch:
        patch.setattr(running.consumer._thread._ensure_consumer(), "commit", fail)
        running.consumer._committed_offset.clear()
        assert await running.consumer.force_commit() is False
    await running.produce(20)
    await running.all_seen()


async def test_only_what_the_checkpoints_say_is_committed_whatever_faust_acknowledged(
    running: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[Any] = []

    async def note(offsets: Any) -> bool:
        committed.append(dict(offsets))
        return True

    tp = running.tps[0]
    with monkeypatch.context() as patch:
        patch.setattr(running.consumer, "_commit", note)
        running.consumer._acked[tp].extend(range(1000))
        running.consumer._acked_index[tp].update(range(1000))
        running.consumer._committed_offset.clear()
        await running.consumer.force_commit()
    assert committed == [dict.fromkeys(running.tps, 10)]


async def test_a_worker_that_works_is_not_called_stuck(
    running: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust looks for messages of each partition and for its own commits: there are none."""
    alarms: list[Any] = []
    thread = running.consumer._thread
    state = thread._ensure_consumer()._fetcher._subscriptions.subscription.assignment.state_value(
        aiokafka.TopicPartition(*running.tps[0])
    )
    monkeypatch.setattr(state, "highwater", state.position + 5)
    monkeypatch.setattr(thread.log, "error", lambda *said, **_: alarms.append(said))
    monkeypatch.setattr(thread, "time_started", thread.time_started - 3600)
    running.consumer.verify_event_path(time.monotonic(), running.tps[0])
    assert not alarms


# Records as the C parser made them


async def test_records_are_left_bare_and_hold_all_that_a_projection_needs(scene: Scene) -> None:
    await scene.produce(2)
    consumer = AIOKafkaConsumer(
        scene.topic, bootstrap_servers=scene.brokers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        fetcher = consumer._fetcher
        await until(lambda: len(fetcher._records) == 2)
        for result in fetcher._records.values():
            assert type(result) is FetchResult
            assert isinstance(result._partition_records, PartitionRecords)
        fetching._prepare(consumer)
        fetched = await consumer.getmany(timeout_ms=10_000)
    finally:
        await consumer.stop()
    for tp, (record,) in fetched.items():
        wanted = encode(trade(tp.partition))
        assert not isinstance(record, aiokafka.ConsumerRecord)
        assert (record.offset, record.key, record.value) == (0, wanted.key, wanted.value)
        assert list(record.headers) == wanted.headers
        assert isinstance(record.headers[0], tuple)
        assert record.timestamp > 1_700_000_000_000


# Tags


class Records(list[Any]):
    """A fetched batch of which only the offsets matter."""


def numbered(*offsets: int) -> Records:
    return Records(SimpleNamespace(offset=offset, timestamp=0) for offset in offsets)


async def test_a_fetch_is_tagged_with_the_seeks_done_when_it_returned(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What returns after a seek was fetched from its place, however early it was begun."""
    base = driver.AIOKafkaConsumerThread
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fetch(self: Any, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        begun.set()
        await go_on.wait()
        return {TP("t", 0): numbered(1)}

    async def seek(self: Any, consumer: Any, partitions: Any) -> None:
        pass

    monkeypatch.setattr(base, "_fetch_records", fetch)
    monkeypatch.setattr(base, "_seek_wait", seek)
    thread = transport.ConsumerThread.__new__(transport.ConsumerThread)
    thread.progress = fetching.Progress()
    async with (
        asyncio.timeout(30),
        AIOKafkaConsumer(bootstrap_servers=scene.brokers) as consumer,
    ):
        task = asyncio.create_task(thread._fetch_records(consumer, set(), 1.0, 10))
        await begun.wait()
        await thread._seek_wait(consumer, {})
        go_on.set()
        fetched: Fetch = await task
    assert fetched.seek == thread.seeks == 1
    assert [record.offset for batch in fetched.batches for record in batch.records] == [1]


async def yielded(
    consumer: Any, fetched: Fetch | dict[TP, Any], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[TP, Any]]:
    async def next_records(timeout: float) -> Any:
        return fetched, set()

    with monkeypatch.context() as patch:
        patch.setattr(consumer, "_wait_next_records", next_records)
        return [found async for found in consumer.getmany(1.0)]


@pytest.fixture
def quiet_consumer(scene: Scene) -> Any:
    """A consumer of the app that is not started, whose thread did three seeks."""
    consumer: Any = scene.app.consumer
    consumer._thread = SimpleNamespace(seeks=3)
    consumer.flow_active = True
    return consumer


ONE, TWO = Partition("t", 0), Partition("t", 1)


async def test_a_fetch_becomes_one_message_at_the_last_offset_of_its_first_partition(
    quiet_consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp = TP(*ONE)
    quiet_consumer._read_offset[tp] = 99
    fetch = Fetch(3, [Batch(ONE, numbered(4, 5, 6)), Batch(TWO, numbered(9))])
    ((found, message),) = await yielded(quiet_consumer, fetch, monkeypatch)
    assert (found, message.offset, message.value) == (tp, 6, fetch)
    assert quiet_consumer._read_offset[tp] is None, "Faust's read filter is disarmed"


async def test_records_fetched_before_a_seek_never_count(
    quiet_consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Fetch(2, [Batch(ONE, numbered(4))])
    assert await yielded(quiet_consumer, fetch, monkeypatch) == []


async def test_a_fetch_of_nothing_is_no_message(
    quiet_consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await yielded(quiet_consumer, {}, monkeypatch) == []


async def test_while_the_flow_is_inactive_records_wait_and_a_seek_then_drops_them(
    quiet_consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returning instead would lose records that were fetched after a seek."""
    quiet_consumer.stop_flow()
    stale, fresh = (Fetch(seek, [Batch(ONE, numbered(4))]) for seek in (3, 4))
    tasks = [
        asyncio.create_task(yielded(quiet_consumer, fetch, monkeypatch)) for fetch in (stale, fresh)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    quiet_consumer._thread.seeks = 4
    quiet_consumer.resume_flow()
    of_stale, of_fresh = await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert of_stale == []
    assert [message.value for _, message in of_fresh] == [fresh]


async def test_a_full_queue_pauses_no_partition(quiet_consumer: Any) -> None:
    quiet_consumer._active_partitions = {TP("t", 0)}
    quiet_consumer.on_buffer_full(TP("t", 0))
    assert quiet_consumer._active_partitions == {TP("t", 0)}
    assert not quiet_consumer._buffered_partitions


async def test_an_exception_in_a_claim_that_no_wait_mends_is_refused(
    scene: Scene, quiet_consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(assigned: Any) -> Any:
        raise Refusal("a person must decide")

    monkeypatch.setattr(quiet_consumer, "assignment", lambda: {TP("t", 0)})
    monkeypatch.setattr(quiet_consumer, "_claim", refuse)
    scene.ledger.projector.claims = {Partition("t", 0): Checkpoint(1, 1)}
    assert await quiet_consumer.seek_to_committed() == {}
    assert [str(refusal) for refusal in scene.refusals] == ["a person must decide"]
    assert not scene.ledger.projector.claims
    assert isinstance(scene.app, faust.App)
