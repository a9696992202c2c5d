"""Heartbeats: of a pulse at an instant, sent while feeds work, and those of a worker."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from projections.migrations import migrate
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
from streams.events.codec import decode, encode
from streams.events.system_health import TOPIC, Heartbeat, State
from streams.heartbeat import Process, ProcessMeter, Pulse, Skew, beat, keep_beating
from streams.settings import Endpoints
from streams.topics import ensure_topics, topic_states
from tests.projections.registered import registered
from tests.streams.test_worker import Place, projections_of, started, wait_for

#: Ends a test that hangs, and measures nothing.
PATIENCE = 60.0
NOW = 1_790_000_000_000_000
SECOND = 1_000_000
LONG = 3600.0
PROCESS = Process("host/1/1", Decimal("12.5"), 1_000_000)


# The clock's skew


@given(
    st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(-(2**62), 2**62)), min_size=1),
    st.integers(0, 90 * SECOND),
)
def test_the_skew_is_the_least_of_the_last_sixty_seconds(
    frames: list[tuple[int, int]], later: int
) -> None:
    skew, received = Skew(), NOW
    seen = []
    for pause, ahead in frames:
        received += pause
        skew.add(received, received - ahead)
        seen.append((received // SECOND, ahead))
    second = (received + later) // SECOND
    recent = [ahead for at, ahead in seen if at > second - 60]
    assert skew.least(received + later) == min(recent, default=None)


def test_there_is_no_skew_before_the_first_frame() -> None:
    assert Skew().least(NOW) is None


@given(st.lists(st.integers(NOW, NOW + 200 * SECOND)), st.integers(NOW, NOW + 200 * SECOND))
def test_a_clock_that_jumps_keeps_the_skew_bounded(received: list[int], now: int) -> None:
    skew = Skew()
    for at in received:
        skew.add(at, at - 7)
    assert skew.least(now) in {7, None}
    assert len(skew._least) <= 60


# A heartbeat of a pulse


@given(
    frames=st.integers(0, 2**62),
    more=st.integers(0, 2**40),
    elapsed=st.integers(0, 100 * SECOND),
    detail=st.none() | st.text(st.characters(), max_size=3000),
)
def test_any_pulse_makes_a_heartbeat_that_reads_back_the_same(
    frames: int, more: int, elapsed: int, detail: str | None
) -> None:
    pulse = Pulse("producer/coinbase", NOW)
    pulse.turn("connecting", NOW, detail)
    pulse.took(NOW, frames=frames)
    first = beat(NOW, pulse, PROCESS, None)
    pulse.took(NOW + elapsed, frames=more, events=2 * more)
    second = beat(NOW + elapsed, pulse, PROCESS, first)
    record = encode(second)
    assert decode(record.value, record.headers) == second
    assert (second.frames, second.events) == (frames + more, 2 * more)
    seconds = Decimal(max(elapsed, SECOND)) / SECOND
    assert abs(second.frames_per_second * seconds - more) <= Decimal("0.005") * seconds
    assert second.frames_per_second.as_tuple().exponent == -2


def test_a_detail_is_cut_to_what_an_event_takes_and_what_is_no_character_replaced() -> None:
    pulse = Pulse("producer/coinbase", NOW)
    pulse.turn("crashed", NOW, "\ud800" + "x" * 5000)
    told = beat(NOW, pulse, PROCESS, None)
    assert told.detail == "?" + "x" * 1999
    assert encode(told)


def test_the_first_heartbeat_knows_no_rate() -> None:
    pulse = Pulse("producer/coinbase", NOW)
    pulse.took(NOW, frames=50)
    assert beat(NOW, pulse, PROCESS, None).frames_per_second == 0


def test_a_change_of_state_right_after_a_heartbeat_shows_no_rate_that_never_was() -> None:
    pulse = Pulse("producer/coinbase", NOW)
    first = beat(NOW, pulse, PROCESS, None)
    pulse.took(NOW + 10)
    assert beat(NOW + 10, pulse, PROCESS, first).frames_per_second == 1


def test_since_is_when_the_state_began_however_its_detail_changes() -> None:
    pulse = Pulse("producer/coinbase", NOW)
    pulse.turn("connecting", NOW + 1)
    pulse.turned.clear()
    pulse.turn("connecting", NOW + 2)
    assert not pulse.turned.is_set()
    pulse.turn("connecting", NOW + 3, "refused")
    assert pulse.turned.is_set()
    assert (pulse.since, pulse.detail) == (NOW + 1, "refused")
    pulse.turn("connected", NOW + 4)
    assert (pulse.since, pulse.detail) == (NOW + 4, None)


def test_a_crash_loop_is_told_until_the_next_state() -> None:
    pulse = Pulse("producer/coinbase", NOW)
    pulse.turn("crashed", NOW + 1, "refused")
    pulse.turned.clear()
    pulse.turn("crashed", NOW + 2, "refused", crash_loop=5)
    assert pulse.turned.is_set()
    told = beat(NOW + 3, pulse, PROCESS, None)
    assert (told.state, told.since, told.crash_loop) == ("crashed", NOW + 1, 5)
    pulse.turn("connecting", NOW + 4)
    assert beat(NOW + 5, pulse, PROCESS, None).crash_loop is None


def test_up_to_when_nothing_is_missing_is_told_and_the_first_time_at_once() -> None:
    pulse = Pulse("producer/kalshi-market", NOW, scope="kalshi-market.kalshi.KXBTCD")
    assert beat(NOW, pulse, PROCESS, None).complete_until is None
    for until, is_told_at_once in ((NOW - 5, True), (NOW - 3, False)):
        pulse.turned.clear()
        pulse.completed(until)
        assert pulse.turned.is_set() == is_told_at_once
        told = beat(NOW, pulse, PROCESS, None)
        assert (told.scope, told.complete_until) == ("kalshi-market.kalshi.KXBTCD", until)


def test_the_process_is_named_by_host_pid_and_start_and_measured() -> None:
    meter = ProcessMeter()
    read = meter.read()
    *_, pid, start = read.instance.split("/")
    assert int(pid) == os.getpid()
    assert int(start) == int(psutil.Process().create_time() * SECOND)
    assert read.memory_bytes > 1_000_000
    assert read.cpu_percent >= 0
    assert meter.read() is read, "within a second it is not read again"


# While feeds work


class Sink:
    """Takes heartbeats; refuses or holds them up where it is told to."""

    def __init__(self) -> None:
        self.taken: list[Heartbeat] = []
        self.refuses = 0
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, told: Heartbeat) -> None:
        await self.open.wait()
        if self.refuses:
            self.refuses -= 1
            raise ConnectionError("the broker refuses")
        self.taken.append(told)

    def states(self, service: str) -> list[State]:
        return [told.state for told in self.taken if told.service == service]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_heartbeats_come_at_intervals_and_a_change_of_state_is_told_at_once() -> None:
    sink, regular, eventful = Sink(), Pulse("a", NOW), Pulse("b", NOW)
    beating = [
        asyncio.create_task(keep_beating([regular], sink.send, every=0.01)),
        asyncio.create_task(keep_beating([eventful], sink.send, every=LONG)),
    ]
    await until(lambda: len(sink.states("a")) >= 5)
    assert sink.states("b") == ["starting"]
    eventful.turn("connected", NOW)
    await until(lambda: len(sink.states("b")) == 2)
    assert sink.states("b") == ["starting", "connected"]
    for task in beating:
        await stop(task)


async def test_a_send_that_fails_ends_nothing_and_the_rate_then_spans_the_loss() -> None:
    sink, pulse = Sink(), Pulse("a", NOW)
    beating = asyncio.create_task(keep_beating([pulse], sink.send, every=LONG))
    await until(lambda: len(sink.taken) == 1)
    sink.refuses = 1
    pulse.took(NOW, frames=300)
    pulse.turn("connecting", NOW)
    await until(lambda: not sink.refuses)
    pulse.turn("connected", NOW)
    await until(lambda: len(sink.taken) == 2)
    assert sink.states("a") == ["starting", "connected"]
    assert sink.taken[-1].frames_per_second > 0
    await stop(beating)


async def test_a_heartbeat_that_cannot_be_made_ends_nothing_either() -> None:
    sink, pulse = Sink(), Pulse("a", NOW)
    pulse.last_frame = -1
    beating = asyncio.create_task(keep_beating([pulse], sink.send, every=0.01))
    await asyncio.sleep(0.05)
    pulse.last_frame = NOW
    await until(lambda: sink.taken)
    await stop(beating)


async def test_the_last_heartbeat_of_each_pulse_says_stopped() -> None:
    sink, pulses = Sink(), [Pulse("a", NOW), Pulse("b", NOW)]
    beating = asyncio.create_task(keep_beating(pulses, sink.send, every=LONG))
    await until(lambda: len(sink.taken) == 2)
    await stop(beating)
    assert sink.states("a") == sink.states("b") == ["starting", "stopped"]


async def test_a_broker_that_takes_nothing_does_not_keep_a_feed_from_stopping() -> None:
    sink = Sink()
    sink.open.clear()
    beating = asyncio.create_task(keep_beating([Pulse("a", NOW)], sink.send, every=LONG))
    await asyncio.sleep(0.01)
    await stop(beating)
    assert sink.taken == []


# Of a worker


def place_on(stack: StackInfo, dsn: str) -> Place:
    unique = secrets.token_hex(4)
    own = Place(f"beats-{unique}", stack.brokers, dsn, (f"one_{unique}", f"two_{unique}"))
    client = AdminClient({"bootstrap.servers": own.brokers})
    client.create_topics([NewTopic(own.topic, 2)])[own.topic].result()
    asyncio.run(migrate(dsn, registered(*projections_of(list(own.names), own.topic, "sound"))))
    return own


async def heartbeats(brokers: str, service: str) -> list[Heartbeat]:
    """All of the service that are in the topic now."""
    found: list[Heartbeat] = []
    async with AIOKafkaConsumer(bootstrap_servers=brokers) as consumer:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            record = await consumer.getone()
            event = decode(record.value, record.headers)
            if isinstance(event, Heartbeat) and event.service == service:
                found.append(event)
    return found


def test_each_projection_of_a_worker_tells_what_it_has_committed(
    stack: StackInfo, dsn: str
) -> None:
    ensure_topics(Endpoints(stack.brokers, {}, dsn, True, True))
    place = place_on(stack, dsn)
    began = time.time_ns() // 1000

    def told(which: int) -> list[Heartbeat]:
        return asyncio.run(heartbeats(stack.brokers, f"worker/{place.names[which]}"))

    def has_told(which: int) -> bool:
        return any((one.state, one.frames) == ("connected", 40) for one in told(which))

    place.produce(0, 40)
    with started(place, "sound") as process:
        wait_for(lambda: has_told(0) and has_told(1))
        first, second = told(0)[-1], told(1)[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert first.instance == second.instance
    assert f"/{process.pid}/" in first.instance
    assert first.last_frame is not None
    assert began < first.last_frame <= first.time
    assert [told(which)[-1].state for which in (0, 1)] == ["stopped", "stopped"]


def test_a_broker_without_the_topic_costs_a_worker_its_heartbeats_only(own_home: Home) -> None:
    stack = embedded.start(own_home.path)
    place = place_on(stack, stack.dsn)
    place.produce(0, 40)
    with started(place, "sound") as process:
        wait_for(lambda: all(len(place.seen(which)) == 40 for which in (0, 1)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert topic_states(Endpoints(stack.brokers, {}, stack.dsn, True, True)) == []
