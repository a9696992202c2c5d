"""Feeds under supervision: one that crashes starts again, alone; one of two instances works."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from streams import producer
from streams.backoff import Backoff
from streams.connectors.coinbase import CoinbaseConnector, CoinbaseParser
from streams.connectors.missed import Recovery
from streams.connectors.supervisor import supervise
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
from streams.events import EncodedEvent, Event, PriceTrade, Restart
from streams.heartbeat import Pulse
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.streams.tape import events_of, records_of
from tests.survival import misfortunes

MATCH = (
    '{"type":"match","trade_id":%d,"side":"sell","size":"985","price":"0.00001305",'
    '"product_id":"%s","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}'
)


@pytest.fixture
def endpoints(stack: StackInfo) -> Endpoints:
    found = Endpoints(stack.brokers, {}, "", True, True)
    ensure_topics(found)
    return found


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Venue:
    """Sends a trade to each client every few milliseconds, numbered from one."""

    symbol: str = field(default_factory=lambda: f"S{secrets.token_hex(5).upper()}-USD")
    clients: int = 0
    url: str = ""

    async def serve(self, socket: ServerConnection) -> None:
        self.clients += 1
        try:
            await socket.recv()
            for number in range(1, 100_000):
                await socket.send(MATCH % (number, self.symbol))
                await asyncio.sleep(0.01)
        finally:
            self.clients -= 1

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Venue]:
        async with serve(self.serve, "127.0.0.1", 0) as server:
            self.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            yield self

    def connector(self) -> CoinbaseConnector:
        return CoinbaseConnector(symbols=(self.symbol,), url=self.url, rest_url=None)


@asynccontextmanager
async def supervised(
    connector: CoinbaseConnector, endpoints: Endpoints
) -> AsyncIterator[tuple[Pulse, asyncio.Task[None]]]:
    counts = Pulse("producer/test", 0)
    task = asyncio.create_task(supervise(connector, endpoints, counts, Backoff(first=0.05)))
    try:
        yield counts, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class CrashingParser(CoinbaseParser):
    """Has a fault at its third frame."""

    def quick(self, frame: bytes, received: int, trace: str) -> list[EncodedEvent] | None:
        return None

    def parse(self, frame: bytes, received: int, request: object = None) -> list[Event]:
        if self.arrivals == 2:
            raise ZeroDivisionError("a fault of ours")
        return super().parse(frame, received)


class CrashingConnector(CoinbaseConnector):
    def price_parser(
        self, connection: str, opened: int, recovery: Recovery | None
    ) -> CoinbaseParser:
        parser = CrashingParser(self.venue, connection, self.trades, recovery)
        parser.say("{}")
        return parser


async def test_a_feed_that_crashes_starts_again_and_leaves_the_others_alone(
    endpoints: Endpoints,
) -> None:
    with capture_logs() as logs:
        async with Venue().listening() as good, Venue().listening() as bad:
            crashing = CrashingConnector(symbols=(bad.symbol,), url=bad.url, rest_url=None)
            async with (
                supervised(good.connector(), endpoints) as (working, task),
                supervised(crashing, endpoints) as (counts, _),
            ):
                await until(lambda: counts.frames >= 9)
                before = working.frames
                await until(lambda: working.frames > before + 50)
                assert not task.done()
                assert working.reconnects == 0
    crashes = [entry for entry in logs if entry["event"] == "feed crashed"]
    assert len(crashes) >= 2
    records = await records_of(endpoints.brokers, "price.ticks", f"coinbase:{bad.symbol}")
    assert len(records) >= 4


class BrokenConnector(CoinbaseConnector):
    """Crashes before it connects."""

    async def prepare(self, endpoints: Endpoints) -> int:
        raise ZeroDivisionError("a fault of ours")


async def test_each_start_of_a_crashed_feed_is_told_and_a_crash_loop_is_a_state_of_its_own(
    endpoints: Endpoints,
) -> None:
    told: list[Restart] = []

    async def tell(restart: Restart) -> None:
        told.append(restart)
        if len(told) == 2:
            raise ConnectionError("the broker refuses")
        if len(told) == 3:
            await asyncio.sleep(3600)

    symbol = f"S{secrets.token_hex(5).upper()}-USD"
    connector = BrokenConnector(symbols=(symbol,), url="ws://127.0.0.1:1", rest_url=None)
    pulse = Pulse("producer/coinbase", 0)
    backoff = Backoff(first=0.01, cap=0.3)
    with capture_logs() as logs:
        task = asyncio.create_task(supervise(connector, endpoints, pulse, backoff, tell))
        await until(lambda: pulse.crash_loop == 6)
        task.cancel()
        await asyncio.wait([task])
    assert [one.action for one in told[:6]] == ["restarted"] * 4 + ["crash_loop"] * 2
    assert [one.restarts for one in told[:6]] == [1, 2, 3, 4, 5, 6]
    assert [one.pause_ms for one in told[4:6]] == [300, 300]
    assert max(one.pause_ms for one in told[:4]) <= 80
    assert {(one.service, one.supervisor, one.reason) for one in told} == {
        ("producer/coinbase", "tape-produce", "ZeroDivisionError: a fault of ours")
    }
    reasons = [one["reason"] for one in logs if one["event"] == "restart not told"]
    assert [one.partition(":")[0] for one in reasons] == ["ConnectionError", "TimeoutError"]


async def test_a_second_instance_stands_by_and_takes_over_from_a_clean_stop(
    endpoints: Endpoints,
) -> None:
    async with (
        Venue().listening() as venue,
        supervised(venue.connector(), endpoints) as (first, task),
    ):
        await until(lambda: first.frames > 5)
        async with supervised(venue.connector(), endpoints) as (second, _):
            await asyncio.sleep(3)
            assert (venue.clients, second.frames) == (1, 0)
            task.cancel()
            await until(lambda: second.frames > 5)
            assert venue.clients == 1


class VouchingParser(CoinbaseParser):
    """Lacks nothing of what came before its last tick."""

    def tick(self, now: int) -> None:
        super().tick(now)
        self.complete_until = now


class VouchingConnector(CoinbaseConnector):
    def price_parser(
        self, connection: str, opened: int, recovery: Recovery | None
    ) -> CoinbaseParser:
        parser = VouchingParser(self.venue, connection, self.trades, recovery)
        parser.say("{}")
        return parser


async def test_the_log_is_vouched_for_only_once_it_holds_what_was_parsed(own_home: Home) -> None:
    info = await asyncio.to_thread(embedded.start, own_home.path, with_postgres=False)
    endpoints = Endpoints(info.brokers, {}, "", True, True)
    ensure_topics(endpoints)
    async with Venue().listening() as venue:
        connector = VouchingConnector(symbols=(venue.symbol,), url=venue.url, rest_url=None)
        async with supervised(connector, endpoints) as (pulse, _):
            await until(lambda: pulse.complete_until)
            misfortunes.kill_kafka(own_home)
            killed = time.time_ns() // 1000
            await until(lambda: (pulse.parsed_until or 0) > killed + 2_000_000)
            assert pulse.complete_until is not None
            assert pulse.complete_until <= killed
            await asyncio.to_thread(embedded.start, own_home.path, with_postgres=False)
            await until(lambda: (pulse.complete_until or 0) > killed + 2_000_000)
            events = await events_of(info.brokers, "price.ticks", f"coinbase:{venue.symbol}")
            known = max(one.received for one in events if isinstance(one, PriceTrade))
            assert known >= pulse.complete_until


async def test_a_stop_while_the_broker_is_away_ends_and_tells_what_is_not_acknowledged(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "STOP_TIMEOUT_S", 0.5)
    info = await asyncio.to_thread(embedded.start, own_home.path, with_postgres=False)
    endpoints = Endpoints(info.brokers, {}, "", True, True)
    ensure_topics(endpoints)
    with capture_logs() as logs:
        async with (
            Venue().listening() as venue,
            supervised(venue.connector(), endpoints) as (counts, task),
        ):
            await until(lambda: counts.frames > 5)
            misfortunes.kill_kafka(own_home)
            before = counts.frames
            await until(lambda: counts.frames > before + 5)
            task.cancel()
            await asyncio.wait([task], timeout=30)
            assert task.cancelled()
    told = [entry["reason"] for entry in logs if entry["event"] == "feed stopped"]
    assert any("not acknowledged" in reason for reason in told), logs
