"""A connector keeps its connection up, over a real WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from streams.backoff import Backoff
from streams.connectors import runner
from streams.connectors.base import ConnectorError, UpgradeReply
from streams.connectors.coinbase import CoinbaseConnector, CoinbaseParser
from streams.connectors.missed import Recovery
from streams.errors import UserError
from streams.events import Event, PriceGap, PriceTrade, PriceUnparsed
from streams.heartbeat import Pulse

MATCH = (
    '{"type":"match","trade_id":%d,"side":"sell","size":"985","price":"0.00001305",'
    '"product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}'
)


class ListSink(list[Event]):
    async def send(self, event: Event, trace: str | None = None) -> None:
        self.append(event)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def venue(
    serving: Callable[[ServerConnection], Awaitable[None]], port: int = 0
) -> AsyncIterator[CoinbaseConnector]:
    async with serve(serving, "127.0.0.1", port) as server:
        chosen = next(iter(server.sockets)).getsockname()[1]
        yield CoinbaseConnector(url=f"ws://127.0.0.1:{chosen}")


@asynccontextmanager
async def running(
    connector: CoinbaseConnector, sink: ListSink, counts: Pulse
) -> AsyncIterator[None]:
    task = asyncio.create_task(runner.run(connector, sink, counts, Backoff(first=0.02)))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_it_subscribes_and_hands_on_events_with_receive_times() -> None:
    asked: list[str | bytes] = []

    async def serving(socket: ServerConnection) -> None:
        asked.append(await socket.recv())
        await socket.send(MATCH % 1)
        await socket.wait_closed()

    async def check() -> None:
        sink, counts = ListSink(), Pulse("producer/test", 0)
        async with venue(serving) as connector, running(connector, sink, counts):
            await until(lambda: sink)
            assert asked == connector.parser("c1", 0).outgoing()
            [trade] = sink
            assert isinstance(trade, PriceTrade)
            assert trade.received > 1_700_000_000_000_000
            assert (counts.frames, counts.events, counts.state) == (1, 1, "connected")

    asyncio.run(check())


def test_it_connects_anew_after_a_close_with_another_connection_id() -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send("garbage")

    async def check() -> None:
        sink, counts = ListSink(), Pulse("producer/test", 0)
        async with venue(serving) as connector, running(connector, sink, counts):
            await until(lambda: len(sink) >= 3)
        found = [event for event in sink if isinstance(event, PriceUnparsed)]
        assert [event.arrival for event in found] == [0] * len(sink)
        assert len({event.connection for event in found}) == len(sink)
        assert counts.reconnects >= 2
        assert counts.unparsed == len(sink)

    asyncio.run(check())


def test_trades_missed_while_away_are_a_gap() -> None:
    numbers = iter((10, 15, 16, 17))

    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(MATCH % next(numbers))

    async def check() -> None:
        sink, counts = ListSink(), Pulse("producer/test", 0)
        async with venue(serving) as connector, running(connector, sink, counts):
            await until(lambda: len(sink) >= 3)
        assert [event.name for event in sink[:3]] == ["price.trade", "price.gap", "price.trade"]
        assert counts.gaps == 1

    asyncio.run(check())


def test_a_refusal_is_loud_and_followed_by_another_attempt() -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"type":"error","message":"Failed","reason":"XYZ is no product"}')
        await socket.wait_closed()

    async def check() -> None:
        counts = Pulse("producer/test", 0)
        async with venue(serving) as connector, running(connector, ListSink(), counts):
            await until(lambda: counts.reconnects >= 2)
            assert counts.frames >= 2

    with capture_logs() as logs:
        asyncio.run(check())
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(errors) >= 2
    assert "XYZ is no product" in errors[0]["reason"]
    assert errors[0]["feed"] == "coinbase"


def test_silence_ends_a_connection() -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def check() -> None:
        counts = Pulse("producer/test", 0)
        async with venue(serving) as connector:
            connector.silence = 0.05
            async with running(connector, ListSink(), counts):
                await until(lambda: counts.reconnects >= 2)

    with capture_logs() as logs:
        asyncio.run(check())
    assert any("nothing received for 0.05 s" in entry.get("reason", "") for entry in logs)


def test_it_waits_for_a_venue_that_is_away() -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(MATCH % 1)
        await socket.wait_closed()

    async def check() -> None:
        async with venue(serving) as connector:
            pass
        sink, counts = ListSink(), Pulse("producer/test", 0)
        port = int(connector.url.rpartition(":")[2])
        async with running(connector, sink, counts):
            await until(lambda: counts.reconnects >= 2)
            async with venue(serving, port):
                await until(lambda: sink)

    asyncio.run(check())


def test_what_the_sink_raises_ends_the_run() -> None:
    class BrokenSink(ListSink):
        async def send(self, event: Event, trace: str | None = None) -> None:
            raise UserError(f"the broker refuses {event.name}")

    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(MATCH % 1)
        await socket.wait_closed()

    async def check() -> None:
        async with venue(serving) as connector:
            await runner.run(connector, BrokenSink(), Pulse("producer/test", 0))

    with pytest.raises(UserError, match="the broker refuses"):
        asyncio.run(check())


def test_a_stop_waits_for_what_the_end_tells_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_LAST_WORDS", 0.05)

    class LastWords(CoinbaseParser):
        def lost(self, now: int) -> list[Event]:
            return self.gap("SKL-BTC", (1, 2), now)

    class Connector(CoinbaseConnector):
        def price_parser(
            self, connection: str, opened: int, recovery: Recovery | None
        ) -> CoinbaseParser:
            return LastWords(self.venue, connection, self.trades, recovery)

    class FullSink(ListSink):
        async def send(self, event: Event, trace: str | None = None) -> None:
            self.append(event)
            if isinstance(event, PriceGap):
                await asyncio.Event().wait()

    async def serving(socket: ServerConnection) -> None:
        await socket.send(MATCH % 1)
        await socket.wait_closed()

    async def check() -> None:
        async with venue(serving) as connector:
            sink = FullSink()
            feed = runner.run(Connector(url=connector.url), sink, Pulse("producer/test", 0))
            task = asyncio.create_task(feed)
            await until(lambda: sink)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled()
            assert isinstance(sink[-1], PriceGap)

    asyncio.run(check())


def test_pauses_double_to_a_cap_with_jitter_and_start_over() -> None:
    backoff = Backoff(first=0.5, cap=30.0)
    for longest in (0.5, 1, 2, 4, 8, 16, 30, 30, 30):
        assert longest / 2 <= backoff.pause() <= longest
    backoff.reset()
    assert backoff.pause() <= 0.5
    assert len({Backoff().pause() for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("frame", "failures"), [(MATCH % 1, 1), ("garbage", 3), ('{"type":"subscriptions"}', 3)]
)
def test_only_a_frame_with_an_event_shortens_the_pauses(frame: str, failures: int) -> None:
    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(frame)

    async def check() -> None:
        counts, backoff = Pulse("producer/test", 0), Backoff(first=0.01)
        async with venue(serving) as connector:
            task = asyncio.create_task(runner.run(connector, ListSink(), counts, backoff))
            await until(lambda: counts.reconnects == 3)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert backoff.failures == failures

    asyncio.run(check())


def test_the_pulse_tells_what_ended_the_connection_and_that_it_is_back() -> None:
    numbers = iter(range(1, 100))

    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(MATCH % next(numbers))
        await socket.close(1013, "try again later")

    async def check() -> None:
        states = []
        pulse = Pulse("producer/test", 0)
        async with venue(serving) as connector, running(connector, ListSink(), pulse):
            async with asyncio.timeout(10):
                while "connected" not in states or pulse.reconnects < 2:
                    await pulse.turned.wait()
                    pulse.turned.clear()
                    states.append(pulse.state)
        assert "connecting" in states
        assert pulse.last_frame

    asyncio.run(check())


def test_a_key_that_is_refused_is_told_with_its_cause() -> None:
    def refuse(socket: ServerConnection, _: Request) -> Response:
        return socket.respond(401, '{"error":"unauthorized"}')

    class Explaining(CoinbaseConnector):
        def refusal(self, reply: UpgradeReply) -> ConnectorError:
            assert b"unauthorized" in reply.body
            assert "date" in reply.headers
            return ConnectorError(f"the key is not good: {reply.status}")

    async def check() -> None:
        async with serve(
            lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            connector = Explaining(url=f"ws://127.0.0.1:{port}")
            pulse = Pulse("producer/test", 0)
            async with running(connector, ListSink(), pulse):
                await until(lambda: pulse.reconnects)
            assert pulse.detail == "the key is not good: 401"

    asyncio.run(check())
