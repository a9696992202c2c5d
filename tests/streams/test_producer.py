"""The producer against the real broker, killed ones too."""

import asyncio
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber
from aiokafka.structs import ConsumerRecord
from confluent_kafka.admin import AdminClient

from streams import admin, delivery, producer, topics
from streams.embedded import stack as embedded
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import EncodedEvent, PriceTrade, catalogue, encode
from streams.events.catalogue import MAX_MESSAGE_BYTES, TOPICS
from streams.producer import DeliveryError, Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics, record_counts
from streams.tracing import Place


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the only topic of the catalogue, and of trades, that no other test has."""
    own = replace(TOPICS[0], name=f"producer-{secrets.token_hex(6)}")
    for module in (topics, producer):
        monkeypatch.setattr(module, "TOPICS", (own,))
    monkeypatch.setattr(PriceTrade, "topic", own.name)
    return own.name


@pytest.fixture
def endpoints(stack: StackInfo, topic: str) -> Endpoints:
    """The shared broker, with the topic made."""
    found = Endpoints(stack.brokers, {}, stack.dsn, True, True)
    ensure_topics(found)
    return found


@pytest.fixture
def small(stack: StackInfo, topic: str, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    """The shared broker, with the topic made so that it takes no batch over 20,000 bytes."""
    monkeypatch.setattr(catalogue, "MAX_MESSAGE_BYTES", 20_000)
    found = Endpoints(stack.brokers, {}, stack.dsn, True, True)
    ensure_topics(found)
    return found


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("broker") / "home"
    yield home
    embedded.stop(home)


@pytest.fixture
def own(own_home: Path, topic: str) -> tuple[Endpoints, StackInfo]:
    """A broker that may be killed, with the topic made."""
    info = embedded.start(own_home, with_postgres=False)
    found = Endpoints(info.brokers, {}, "", True, True)
    ensure_topics(found)
    return found, info


def trade(number: int, keys: int = 8) -> PriceTrade:
    return PriceTrade(
        venue="coinbase",
        symbol=f"K{number % keys}-USD",
        trade_id=str(number),
        price=Decimal("65000.10"),
        size=Decimal("0.5"),
        side="buy",
        time=1_700_000_000_000_000 + number,
        sequence=number,
        received=1_700_000_000_000_000 + number,
    )


def trades(numbers: Iterable[int]) -> Iterator[EncodedEvent]:
    return (encode(trade(number)) for number in numbers)


async def log_of(endpoints: Endpoints, topic: str) -> list[ConsumerRecord]:
    """All records, in the order of their partitions' offsets."""
    records: list[ConsumerRecord] = []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=endpoints.brokers, auto_offset_reset="earliest", check_crcs=True
    )
    async with consumer:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        left = {tp for tp, end in (await consumer.end_offsets(partitions)).items() if end}
        ends = await consumer.end_offsets(partitions)
        while left:
            for found in (await consumer.getmany(*left, timeout_ms=200)).values():
                records += found
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    return records


def ids_by_key(records: list[ConsumerRecord]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for record in records:
        found[record.key].append(dict(record.headers)["ce_id"])
    return found


def sent_by_key(count: int) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for number in range(count):
        event = trade(number)
        found[event.key().encode()].append(event.event_id().encode())
    return found


def without_repeats(found: dict[bytes, list[bytes]]) -> dict[bytes, list[bytes]]:
    return {key: list(dict.fromkeys(ids)) for key, ids in found.items()}


async def test_events_arrive_as_encoded(endpoints: Endpoints, topic: str) -> None:
    async with Producer(endpoints) as sending:
        await sending.send(trade(1))
        await sending.send_records([encode(trade(2))])
    assert sending.statistics.unacknowledged == 0, "leaving flushes"
    found = {record.key: record for record in await log_of(endpoints, topic)}
    for event in (trade(1), trade(2)):
        wanted = encode(event)
        record = found[wanted.key]
        assert (record.value, list(record.headers)) == (wanted.value, wanted.headers)


async def test_what_is_delivered_stands_where_it_is_said(
    endpoints: Endpoints, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH_BYTES", 4096)
    monkeypatch.setattr(producer, "BATCH_BYTES", 4096)
    async with Producer(endpoints) as sending:
        await sending.send_records(trades(range(500)))
        places = await asyncio.gather(*(sending.deliver(trade(n)) for n in range(500, 900)))
        last = await sending.deliver(trade(900))
    found = {
        Place(record.topic, record.partition, record.offset): dict(record.headers)["ce_id"]
        for record in await log_of(endpoints, topic)
    }
    wanted = [trade(number).event_id().encode() for number in range(500, 901)]
    assert [found[place] for place in [*places, last]] == wanted


async def test_a_delivery_that_fails_is_told_to_who_waits_for_it_and_to_nobody_else(
    small: Endpoints,
) -> None:
    fits, not_so = trade(1), trade(1).model_copy(update={"trade_id": os.urandom(30_000).hex()})
    async with Producer(small) as sending:
        results = await asyncio.gather(
            sending.deliver(fits),
            sending.deliver(not_so),
            sending.deliver(fits),
            return_exceptions=True,
        )
        assert sending.statistics.failed == 1
        await sending.flush()
    first, failed, second = results
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert second.offset == first.offset + 1
    assert isinstance(failed, DeliveryError)


async def test_order_per_key_over_many_batches(
    endpoints: Endpoints, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH_BYTES", 4096)
    monkeypatch.setattr(producer, "BATCH_BYTES", 4096)
    async with Producer(endpoints) as sending:
        await sending.send_records(trades(range(2000)))
        for number in range(2000, 3000):
            await sending.send(trade(number))
        await sending.flush()
        assert sending.statistics.acknowledged == sending.statistics.sent == 3000
        values = (len(encode(trade(number)).value) for number in range(3000))
        assert sending.statistics.bytes == sum(values)
    assert ids_by_key(await log_of(endpoints, topic)) == sent_by_key(3000)


async def test_keys_go_where_aiokafka_sends_them(endpoints: Endpoints, topic: str) -> None:
    keys = [f"coinbase:K{number}-USD".encode() for number in range(50)]
    async with Producer(endpoints) as sending:
        for key in keys:
            await sending.send_record(EncodedEvent(topic, key, b"ours", []))
    async with AIOKafkaProducer(bootstrap_servers=endpoints.brokers) as plain:
        for key in keys:
            await plain.send_and_wait(topic, b"aiokafka's", key=key)
    where = defaultdict(set)
    for record in await log_of(endpoints, topic):
        where[record.key].add(record.partition)
    assert set(where) == set(keys)
    assert all(len(partitions) == 1 for partitions in where.values())


Wrapped = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def wrap_send_batch(sending: Producer, wrapped: Wrapped) -> None:
    client = sending._link.client
    original = client.send_batch
    client.send_batch = lambda *args, **kwargs: wrapped(original, args, kwargs)


async def test_a_full_buffer_makes_senders_wait(
    endpoints: Endpoints, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 50 * 1024
    monkeypatch.setattr(producer, "MAX_UNACKNOWLEDGED_BYTES", limit)
    gate, stuck = asyncio.Event(), asyncio.Event()

    async def held(original: Any, args: Any, kwargs: Any) -> Any:
        stuck.set()
        await gate.wait()
        return await original(*args, **kwargs)

    async with Producer(endpoints) as sending:
        wrap_send_batch(sending, held)
        tasks = [asyncio.create_task(sending.send(trade(number))) for number in range(500)]
        flood = asyncio.create_task(sending.send_records(trades(range(500, 1000))))
        await stuck.wait()
        await asyncio.sleep(0.1)
        assert not flood.done()
        assert 0 < sending.statistics.unacknowledged < limit / 900
        gate.set()
        await asyncio.gather(flood, *tasks)
        await sending.flush()
    assert sum(map(len, ids_by_key(await log_of(endpoints, topic)).values())) == 1000


@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber, KafkaConnectionError, RuntimeError])
async def test_a_batch_that_aiokafka_gives_up_is_sent_again(
    endpoints: Endpoints, topic: str, error: type[Exception], delivered: bool
) -> None:
    failures = iter([True, False])

    async def failing(original: Any, args: Any, kwargs: Any) -> Any:
        if next(failures, False):
            if delivered:
                await (await original(*args, **kwargs))
            raise error
        return await original(*args, **kwargs)

    async with Producer(endpoints) as sending:
        await sending.send_records(trades(range(100)))
        await sending.flush()
        wrap_send_batch(sending, failing)
        await sending.send_records(trades(range(100, 3000)))
        await sending.flush()
        assert sending._link.replacements == 1
        assert (sending.statistics.acknowledged, sending.statistics.failed) == (3000, 0)
    found = ids_by_key(await log_of(endpoints, topic))
    assert without_repeats(found) == sent_by_key(3000)
    repeats = sum(map(len, found.values())) - 3000
    assert (repeats > 0) == delivered


async def test_a_record_that_the_broker_refuses_is_told_and_the_others_land(
    small: Endpoints, topic: str
) -> None:
    large = EncodedEvent(topic, b"coinbase:K1-USD", os.urandom(30_000), [("ce_id", b"large")])
    async with Producer(small) as sending:
        await sending.send_records(trades(range(20)))
        await sending.send_record(large)
        for number in range(20, 40):
            await sending.send(trade(number))
        with pytest.raises(DeliveryError, match=f"coinbase:K1-USD.*{topic}.*") as raised:
            await sending.flush()
        assert (raised.value.topic, raised.value.key) == (topic, large.key)
        assert (sending.statistics.acknowledged, sending.statistics.failed) == (40, 1)
        await sending.flush()  # told once
    assert ids_by_key(await log_of(small, topic)) == sent_by_key(40)


async def test_a_failure_is_told_to_the_next_sender(small: Endpoints, topic: str) -> None:
    async with Producer(small) as sending:
        await sending.send_record(EncodedEvent(topic, b"k", os.urandom(30_000), []))
        while not sending.statistics.failed:
            await asyncio.sleep(0.01)
        with pytest.raises(DeliveryError):
            await sending.send(trade(1))
        assert sending.statistics.sent == 1, "the event that was told of it was not taken"
        await sending.send(trade(1))
    assert len(await log_of(small, topic)) == 1


async def test_a_record_larger_than_any_topic_takes_is_refused_at_once(
    endpoints: Endpoints, topic: str
) -> None:
    async with Producer(endpoints) as sending:
        with pytest.raises(DeliveryError, match=str(MAX_MESSAGE_BYTES)):
            await sending.send_record(EncodedEvent(topic, b"k", b"x" * MAX_MESSAGE_BYTES, []))
        assert sending.statistics.sent == 0


async def test_a_value_of_10_mb_is_delivered(endpoints: Endpoints, topic: str) -> None:
    value = os.urandom(10_000_000)
    async with Producer(endpoints) as sending:
        await sending.send_record(EncodedEvent(topic, b"k", value, []))
        await sending.flush()
    assert record_counts(endpoints, [topic]) == {topic: 1}


async def test_a_missing_topic_is_told_at_the_start(endpoints: Endpoints, topic: str) -> None:
    await asyncio.to_thread(delete, endpoints, topic)
    with pytest.raises(UserError, match=f"{topic}.*tape topics create"):
        await Producer(endpoints).start()


async def test_an_unknown_topic_is_told_by_send(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_REQUEST_TIMEOUT_MS", 1000)
    async with Producer(endpoints) as sending:
        with pytest.raises(DeliveryError, match=r"no-such-topic.*tape topics create"):
            await sending.send_record(EncodedEvent("no-such-topic", b"k", b"v", []))


async def test_a_topic_deleted_under_way_is_told(
    endpoints: Endpoints, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_REQUEST_TIMEOUT_MS", 1000)
    async with Producer(endpoints) as sending:
        await sending.send_records(trades(range(10)))
        await sending.flush()
        await asyncio.to_thread(delete, endpoints, topic)
        await sending.send_records(trades(range(10, 20)))
        with pytest.raises(DeliveryError, match=f"{topic}.*tape topics create"):
            await sending.flush()
        assert (sending.statistics.acknowledged, sending.statistics.failed) == (10, 10)


def delete(endpoints: Endpoints, topic: str) -> None:
    client = AdminClient({"bootstrap.servers": endpoints.brokers})
    client.delete_topics([topic])[topic].result()
    while admin.Broker(endpoints).describe([topic]):  # the controller answers first
        pass


async def test_a_broker_out_of_reach_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_TIMEOUT_S", 0.5)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1"):
        await Producer(Endpoints("127.0.0.1:1", {}, "", True, True)).start()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_nothing_is_lost_while_the_broker_is_away(
    own: tuple[Endpoints, StackInfo],
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    """Killed or frozen under load for longer than aiokafka's patience with a batch."""
    monkeypatch.setattr(delivery, "_REQUEST_TIMEOUT_MS", 1000)
    monkeypatch.setattr(producer, "MAX_UNACKNOWLEDGED_BYTES", 4 * 1024 * 1024)
    endpoints, info = own
    assert info.kafka_pid is not None
    count = 0
    going = True

    async def load(sending: Producer) -> None:
        nonlocal count
        while going:
            await sending.send(trade(count))
            count += 1
            if count % 50 == 0:
                await asyncio.sleep(0.005)

    async with Producer(endpoints) as sending:
        loading = asyncio.create_task(load(sending))
        while sending.statistics.acknowledged < 2000:
            await asyncio.sleep(0.01)
        os.kill(info.kafka_pid, how)
        await asyncio.sleep(3)
        away = sending.statistics.acknowledged
        assert sending.statistics.unacknowledged <= 4 * 1024 * 1024 / 900
        if how is signal.SIGSTOP:
            os.kill(info.kafka_pid, signal.SIGCONT)
        await asyncio.to_thread(embedded.start, info.home.path, with_postgres=False)
        while sending.statistics.acknowledged < away + 10_000:
            await asyncio.sleep(0.01)
        going = False
        await loading
        await sending.flush()
        assert sending.statistics.acknowledged == count
    found = ids_by_key(await log_of(endpoints, topic))
    assert without_repeats(found) == sent_by_key(count)
    repeats = sum(map(len, found.values())) - count
    # A frozen broker may take a batch both from the client that gave up and from its successor.
    assert repeats == 0 or sending._link.replacements > 0


async def test_stopping_while_the_broker_is_away_tells_what_is_not_acknowledged(
    own: tuple[Endpoints, StackInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "STOP_TIMEOUT_S", 0.5)
    endpoints, info = own
    assert info.kafka_pid is not None
    tasks = asyncio.all_tasks()
    sending = Producer(endpoints)
    await sending.start()
    await sending.send_records(trades(range(10)))
    await sending.flush()
    os.kill(info.kafka_pid, signal.SIGKILL)
    await sending.send_records(trades(range(10, 30)))
    with pytest.raises(DeliveryError, match="20 events are not acknowledged"):
        await sending.stop()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_a_stop_that_is_cancelled_delivers_what_was_taken(
    own: tuple[Endpoints, StackInfo], topic: str
) -> None:
    endpoints, info = own
    assert info.kafka_pid is not None
    sending = Producer(endpoints)
    await sending.start()
    await sending.send_records(trades(range(10)))
    await sending.flush()
    os.kill(info.kafka_pid, signal.SIGSTOP)
    try:
        await sending.send_records(trades(range(10, 3000)))
        stopping = asyncio.create_task(sending.stop())
        await asyncio.sleep(0.2)
        stopping.cancel()
        await asyncio.sleep(0.2)
        assert not stopping.done()
    finally:
        os.kill(info.kafka_pid, signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ids_by_key(await log_of(endpoints, topic)) == sent_by_key(3000)
