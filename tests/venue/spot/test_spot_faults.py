"""Whatever goes wrong, a feed ends with what the venue said, or names what is missing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from streams.connectors.runner import LARGEST_FRAME
from streams.events import PriceUnparsed
from tests.venue.faults import Faults, FrameFault, ReplyFault, UpgradeFault
from tests.venue.spot.kraken import FakeKraken
from tests.venue.spot.watching import FEEDS, PATIENCE, PROTOCOLS, Watch, until, watching
from tests.venue.spot.world import SYMBOLS

pytestmark = pytest.mark.long

FRAME_FAULTS: list[FrameFault] = [
    "skip",
    "repeat",
    "reorder",
    "garbage",
    "huge",
    "delay",
    "drip",
    "half",
    "disconnect",
]
venues = pytest.mark.parametrize("name", PROTOCOLS)


def kind_of(watch: Watch, stream: str) -> str:
    return watch.feed.trades if stream == "trades" else watch.feed.quotes


@pytest.mark.parametrize("name", FEEDS)
async def test_without_faults_all_comes_and_nothing_is_asked_for(name: str) -> None:
    async with watching(name, Faults()) as watch:
        await watch.venue.step(100)
        await watch.completed()
        assert watch.counts.reconnects == watch.counts.gaps == watch.counts.unparsed == 0
        assert watch.venue.requests == []


@venues
@pytest.mark.parametrize("stream", ["trades", "quotes"])
@pytest.mark.parametrize("fault", FRAME_FAULTS)
async def test_a_fault_of_frames_ends_in_what_the_venue_said(
    name: str, stream: str, fault: FrameFault
) -> None:
    faults = Faults(seed=1)
    async with watching(name, faults) as watch:
        faults.at_frame(3, kind_of(watch, stream), fault, times=2)
        await watch.venue.step(30)
        await watch.completed()
        assert [one.fault for one in faults.inflicted] == [fault] * len(faults.inflicted)
        assert faults.inflicted


@venues
@pytest.mark.parametrize("fault", ["stall", "stall_answering"])
async def test_a_stall_without_a_close_ends_in_what_the_venue_said(
    name: str, fault: FrameFault
) -> None:
    faults = Faults()
    async with watching(name, faults) as watch:
        watch.connector.silence = 0.3
        watch.venue.hang_up()
        await watch.completed()
        before = watch.counts.reconnects
        faults.at_frame(1, watch.feed.trades, fault)
        await watch.venue.step(30)
        await until(lambda: watch.counts.reconnects > before)
        await watch.completed()


@venues
@pytest.mark.parametrize("fault", ["429", "503", "disconnect"])
async def test_refused_upgrades_are_tried_again(name: str, fault: UpgradeFault) -> None:
    faults = Faults()
    async with watching(name, faults) as watch:
        faults.at_upgrade(1, fault, times=3)
        watch.venue.hang_up()
        await watch.venue.step(30)
        await watch.completed()
        assert watch.counts.reconnects >= 4


@venues
async def test_a_port_that_is_closed_for_a_while_is_tried_again(name: str) -> None:
    async with watching(name, Faults()) as watch:
        watch.venue.close_port()
        watch.venue.hang_up()
        await watch.venue.step(30)
        await until(lambda: watch.counts.reconnects >= 3)
        await watch.venue.open_port()
        await watch.completed()


@venues
@pytest.mark.parametrize("fault", ["429", "500", "502", "503", "504", "html", "half", "disconnect"])
async def test_a_storm_of_failing_replies_delays_the_recovery_only(
    name: str, fault: ReplyFault
) -> None:
    faults = Faults()
    async with watching(name, faults) as watch:
        await outage(watch)
        faults.at_reply(1, "*", fault, times=2)
        await watch.completed()
        assert [one.fault for one in faults.inflicted] == [fault] * 2


@venues
async def test_a_connection_lost_while_the_reply_is_due_does_not_lose_the_recovery(
    name: str,
) -> None:
    faults = Faults()
    async with watching(name, faults) as watch:
        await outage(watch)
        faults.at_reply(1, "*", "never")
        await asked(watch)
        watch.venue.hang_up()
        await watch.completed()


@venues
async def test_what_the_rest_api_does_not_know_stays_a_gap_of_exactly_that(name: str) -> None:
    async with watching(name, Faults()) as watch:
        await outage(watch)
        trades = watch.venue.world.trades
        forgotten = {symbol: {one.number for one in trades[symbol][-60:-30]} for symbol in SYMBOLS}
        for symbol in SYMBOLS:
            del trades[symbol][-60:-30]
        with capture_logs() as logs:
            await watch.completed()
        for symbol in SYMBOLS:
            came = watch.trades(symbol).keys()
            assert set(range(min(came), max(came))) - came == forgotten[symbol]
            assert forgotten[symbol] <= watch.gaps(symbol)
        assert told(logs, "trades not recovered")


@venues
async def test_a_rest_api_that_refuses_leaves_the_gap_and_the_feed_goes_on(name: str) -> None:
    async with watching(name, Faults()) as watch:
        watch.venue.refuses = True
        await outage(watch)
        with capture_logs() as logs:
            await going_on(watch, lambda: all(watch.gaps(symbol) for symbol in SYMBOLS))
            await going_on(watch, lambda: told(logs, "trades not recovered") >= 2)
        reconnects = watch.counts.reconnects
        await watch.venue.step(30)
        for symbol in SYMBOLS:
            newest = watch.venue.world.trades[symbol][-1].number
            await until(lambda: newest in watch.trades(symbol))  # noqa: B023
            came = watch.trades(symbol).keys()
            assert watch.gaps(symbol) == set(range(min(came), max(came))) - came
        assert watch.counts.reconnects == reconnects


@venues
async def test_thousands_of_missed_trades_come_page_by_page(name: str) -> None:
    async with watching(name, Faults()) as watch:
        await outage(watch, trades=3_000)
        await watch.completed()
        assert len(watch.venue.requests) >= 4
        assert sum(len(watch.gaps(symbol)) for symbol in SYMBOLS) > 2_500


@venues
async def test_more_missed_trades_than_are_asked_for_stay_a_gap(name: str) -> None:
    async with watching(name, Faults()) as watch:
        await outage(watch, trades=24_000)
        with capture_logs() as logs:
            await going_on(watch, lambda: all(watch.gaps(symbol) for symbol in SYMBOLS))
        assert watch.venue.requests == []
        for symbol in SYMBOLS:
            came = watch.trades(symbol).keys()
            assert watch.gaps(symbol) == set(range(min(came), max(came))) - came
        assert told(logs, "trades not recovered") == 2


async def test_a_book_with_a_wrong_checksum_gives_no_quote_and_is_asked_for_again() -> None:
    async with watching("kraken", Faults()) as watch:
        assert isinstance(watch.venue, FakeKraken)
        watch.venue.falsify(update=1)
        with capture_logs() as logs:
            await watch.venue.step(30)
            await watch.completed()
        assert told(logs, "book not valid") == len(logs) == 1
        assert watch.counts.reconnects == 0


async def test_a_snapshot_with_a_wrong_checksum_ends_the_connection() -> None:
    async with watching("kraken", Faults()) as watch:
        assert isinstance(watch.venue, FakeKraken)
        watch.venue.falsify(update=1, snapshot=1)
        with capture_logs() as logs:
            await watch.venue.step(30)
            await watch.completed()
        reasons = [str(entry.get("reason")) for entry in logs]
        assert any("a snapshot of" in reason for reason in reasons)
        assert watch.counts.reconnects >= 1


@venues
async def test_a_frame_that_is_no_json_is_kept(name: str) -> None:
    faults = Faults()
    async with watching(name, faults) as watch:
        faults.at_frame(1, watch.feed.quotes, "garbage")
        await watch.venue.step(30)
        await watch.completed()
        assert [type(event) for event in watch.events].count(PriceUnparsed) == 1


@venues
@pytest.mark.parametrize("seed", range(2))
async def test_any_mixture_of_faults_ends_in_what_the_venue_said(name: str, seed: int) -> None:
    faults = Faults(seed=seed)
    async with watching(name, faults, seed) as watch:
        faults.chances |= dict.fromkeys(FRAME_FAULTS, 0.01)
        faults.reply_chances |= {"503": 0.1, "disconnect": 0.1}
        for _ in range(100):
            await watch.venue.step(3)
            await watch.venue.beat()
            await asyncio.sleep(0.002)
        faults.calm = True
        await watch.completed()
        assert len({one.fault for one in faults.inflicted}) > 3


async def outage(watch: Watch, trades: int = 400) -> None:
    """Let trades happen while nobody is connected; more than a new connection begins with."""
    watch.venue.close_port()
    watch.venue.hang_up()
    before = watch.counts.reconnects
    await until(lambda: watch.counts.reconnects > before)
    await watch.venue.step(trades)
    await watch.venue.open_port()


async def going_on(watch: Watch, condition: Callable[[], object]) -> None:
    """Let the world go on until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await watch.venue.step()
            await watch.venue.beat()
            await asyncio.sleep(0.01)


async def asked(watch: Watch) -> None:
    """Let the world go on until the REST API was asked."""
    await going_on(watch, lambda: watch.venue.requests)


def told(logs: Sequence[Mapping[str, object]], event: str) -> int:
    """How often the log says so."""
    return [entry["event"] for entry in logs].count(event)


def test_huge_frames_are_larger_than_what_is_read() -> None:
    assert LARGEST_FRAME < 5_000_000
