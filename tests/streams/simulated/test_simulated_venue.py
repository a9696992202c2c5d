"""The real connector, over a real WebSocket, sees each fault of the simulated venue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from streams.backoff import Backoff
from streams.connectors.coinbase import SimulatedConnector
from streams.connectors.runner import run
from streams.events import Event, PriceGap, PriceQuote, PriceTrade, PriceUnparsed
from streams.heartbeat import Pulse
from streams.simulated import Faults, SimulatedVenue
from streams.simulated.faults import Fault


class ListSink(list[Event]):
    async def send(self, event: Event, trace: str | None = None) -> None:
        self.append(event)

    def trades(self, symbol: str) -> list[int]:
        found = [event for event in self if isinstance(event, PriceTrade)]
        return [int(trade.trade_id) for trade in found if trade.symbol == symbol]

    def gaps(self, symbol: str) -> list[range]:
        found = [event for event in self if isinstance(event, PriceGap)]
        return [range(gap.expected, gap.got) for gap in found if gap.symbol == symbol]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(venue: SimulatedVenue) -> AsyncIterator[tuple[ListSink, Pulse]]:
    connector = SimulatedConnector(url=venue.url)
    sink, counts = ListSink(), Pulse("producer/test", 0)
    task = asyncio.create_task(run(connector, sink, counts, Backoff(first=0.02)))
    try:
        yield sink, counts
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def watched(
    faults: Faults,
    enough: Callable[[ListSink, Pulse], object],
    *,
    order: Fault | None = None,
    count: int = 1,
) -> tuple[ListSink, Pulse]:
    """What the connector made of a venue with these faults, until it was enough.

    `order` inflicts a fault on `count` trades, once there have been some of each symbol.
    """

    async def watch() -> tuple[ListSink, Pulse]:
        venue = SimulatedVenue(trades_per_second=500, seed=3, first_number=1000, faults=faults)
        async with venue, connected(venue) as (sink, counts):
            await until(lambda: sink.trades("BTC-USD") and sink.trades("ETH-USD"))
            if order:
                faults.order(order, "match", count)
            await until(partial(enough, sink, counts))
            return sink, counts

    return asyncio.run(watch())


def after(trades: int) -> Callable[[ListSink, Pulse], bool]:
    return lambda sink, _counts: len(sink) > 2 * trades


def assert_complete(sink: ListSink) -> None:
    """Every trade id in between came, or is named by a gap."""
    for symbol in ("BTC-USD", "ETH-USD"):
        came = sink.trades(symbol)
        missing = set(range(min(came), max(came))) - set(came)
        assert missing <= {number for gap in sink.gaps(symbol) for number in gap}


def test_without_faults_all_trades_and_quotes_come_in_order() -> None:
    sink, counts = watched(Faults(), after(200))
    assert counts.events == len(sink)
    assert (counts.gaps, counts.unparsed, counts.reconnects) == (0, 0, 0)
    for symbol in ("BTC-USD", "ETH-USD"):
        came = sink.trades(symbol)
        assert came == list(range(came[0], came[0] + len(came)))
    assert sum(isinstance(event, PriceQuote) for event in sink) > 100
    assert {event.key() for event in sink} == {"simulated:BTC-USD", "simulated:ETH-USD"}


def test_dropped_trades_are_gaps() -> None:
    sink, counts = watched(Faults(), after(200), order="drop", count=5)
    gaps = sink.gaps("BTC-USD") + sink.gaps("ETH-USD")
    assert sum(len(gap) for gap in gaps) == 5
    assert counts.gaps == len(gaps)
    assert_complete(sink)


def test_a_repeated_trade_comes_twice_with_one_identity_and_no_gap() -> None:
    sink, counts = watched(Faults(), after(100), order="repeat", count=3)
    ids = [event.event_id() for event in sink if isinstance(event, PriceTrade)]
    assert len(ids) == len(set(ids)) + 3
    assert counts.gaps == 0


def test_a_reordered_trade_is_a_gap_and_then_comes() -> None:
    sink, counts = watched(Faults(), after(100), order="reorder")
    assert counts.gaps == 1
    came = {symbol: sink.trades(symbol) for symbol in ("BTC-USD", "ETH-USD")}
    assert sum(numbers != sorted(numbers) for numbers in came.values()) == 1
    for numbers in came.values():
        assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))


def test_a_garbled_frame_is_kept_and_its_trade_is_a_gap() -> None:
    sink, counts = watched(Faults(), after(200), order="garble", count=3)
    unparsed = [event for event in sink if isinstance(event, PriceUnparsed)]
    assert counts.unparsed == len(unparsed) == 3
    assert all(event.frame.startswith(b"{") for event in unparsed)
    gaps = sink.gaps("BTC-USD") + sink.gaps("ETH-USD")
    assert sum(len(gap) for gap in gaps) == 3
    assert_complete(sink)


def test_a_delay_loses_nothing() -> None:
    faults = Faults(delay_seconds=0.3)
    sink, counts = watched(faults, after(200), order="delay")
    assert (counts.gaps, counts.unparsed, counts.reconnects) == (0, 0, 0)
    assert_complete(sink)
    delays = [event.received - event.time for event in sink if isinstance(event, PriceTrade)]
    assert max(delays) > 250_000


def test_a_cut_connection_is_made_again_and_the_loss_is_noted() -> None:
    def enough(sink: ListSink, counts: Pulse) -> bool:
        return counts.reconnects == 2 and len(sink) > 200

    sink, counts = watched(Faults(), enough, order="disconnect", count=2)
    assert counts.gaps > 0
    assert_complete(sink)


def test_under_all_faults_at_once_every_trade_comes_or_is_missed() -> None:
    chances: dict[Fault, float] = {
        "drop": 0.02,
        "repeat": 0.02,
        "reorder": 0.02,
        "garble": 0.02,
        "delay": 0.005,
        "disconnect": 0.003,
    }
    faults = Faults(seed=5, chances=chances, delay_seconds=0.02)
    sink, counts = watched(faults, lambda sink, counts: len(sink) > 1000 and counts.reconnects)
    assert counts.gaps > 0
    assert counts.unparsed > 0
    assert_complete(sink)


def test_several_clients_see_the_same_trades() -> None:
    async def check() -> None:
        venue = SimulatedVenue(seed=1)
        async with venue, connected(venue) as (one, _), connected(venue) as (two, _):
            await until(lambda: len(one) > 100 and len(two) > 100)
        common = set(one.trades("BTC-USD")) & set(two.trades("BTC-USD"))
        assert len(common) > 20

    asyncio.run(check())


def test_ids_go_on_rising_over_a_restart() -> None:
    async def last_and_first() -> tuple[int, int]:
        seen = []
        for _ in range(2):
            async with SimulatedVenue() as venue, connected(venue) as (sink, _):
                await until(lambda: sink.trades("BTC-USD"))
                seen.append(sink.trades("BTC-USD"))
        return seen[0][-1], seen[1][0]

    last, first = asyncio.run(last_and_first())
    assert first > last
