"""The feed of market data, connected to the fake venue: what a connection missed, REST tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal

import pytest

from streams.connectors.kalshi import market
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.events import (
    Event,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
    MarketTicker,
    MarketTrade,
    PriceGap,
    PriceIndex,
)
from tests.streams.connectors.kalshi.listening import OWNER, SERIES, access, listening, until
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults, FrameFault
from tests.venue.keys import api_key
from tests.venue.world import World

Trade = tuple[str, Decimal, Decimal, str | None]


@pytest.fixture(autouse=True)
def _rest_does_not_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "_REST_LAGS", 0)


def trades(events: Iterable[Event]) -> dict[str, Trade]:
    return {
        event.trade_id: (event.ticker, event.yes_price, event.count, event.taker_side)
        for event in events
        if isinstance(event, MarketTrade)
    }


def true_trades(world: World) -> dict[str, Trade]:
    return {
        one.trade_id: (one.ticker, one.yes_price, one.count, one.taker)
        for one in world.truth.trades.values()
    }


def last_quotes(events: Iterable[Event]) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    return {e.ticker: (e.yes_bid, e.yes_ask) for e in events if isinstance(e, MarketTicker)}


def has_all(events: list[Event], world: World, before: set[str]) -> bool:
    """Whether all trades came that were made since, and the newest quotes."""
    missing = true_trades(world).keys() - trades(events).keys() - before
    quotes = last_quotes(events)
    newest = {
        ticker: (said[-1].bid.price, said[-1].ask.price)
        for ticker, said in world.truth.quotes.items()
        if ticker in world.markets
    }
    return not missing and all(quotes.get(ticker) == one for ticker, one in newest.items())


async def listened(faults: Faults, steps: int = 20) -> tuple[list[Event], World]:
    """What the feed makes of a world with these faults, once nothing is missing."""
    world = World(seed=4, start=time.time_ns() // 1000)
    world.step()
    before = set(true_trades(world))
    async with FakeKalshi(world, keys=[api_key()], faults=faults) as venue:
        connector = KalshiMarketConnector(OWNER, access(venue), SERIES)
        connector.silence = 1.0
        async with listening(connector) as (events, _):
            await until(lambda: last_quotes(events).keys() >= world.markets.keys())
            for _ in range(steps):
                await venue.step()
                await asyncio.sleep(0.02)
            async with asyncio.timeout(20):
                while not has_all(events, world, before):
                    await venue.step()
                    await asyncio.sleep(0.1)
            return list(events), world


async def test_without_faults_all_is_told_once() -> None:
    events, world = await listened(Faults())
    found = trades(events)
    assert found.items() <= true_trades(world).items()
    assert len(found) == sum(isinstance(event, MarketTrade) for event in events)
    values = [one for one in events if isinstance(one, PriceIndex)]
    assert {one.symbol for one in values} == {"BRTI"}
    told = {one.price for one in values}
    assert told <= {one.value for one in world.truth.index}


@pytest.mark.parametrize(
    "fault",
    [
        *("skip", "repeat", "reorder", "garbage", "huge", "delay", "drip", "half", "disconnect"),
        *("stall", "stall_answering", "overflow", "channel_error"),
    ],
)
async def test_no_trade_is_missing_after_a_fault(fault: FrameFault) -> None:
    faults = Faults(seed=3)
    faults.at_frame(3, "trade", fault)
    events, world = await listened(faults)
    assert [one.fault for one in faults.inflicted] == [fault]
    assert trades(events).items() <= true_trades(world).items()


async def test_a_value_of_the_index_that_did_not_come_is_a_gap() -> None:
    faults = Faults(seed=3)
    faults.at_frame(3, "cfbenchmarks_value", "skip")
    events, _ = await listened(faults)
    [gap] = [event for event in events if isinstance(event, PriceGap)]
    assert (gap.venue, gap.symbol) == ("cfbenchmarks", "BRTI")


async def test_a_market_is_told_from_its_making_to_its_settlement_once_each() -> None:
    world = World(seed=4)
    world.step()
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        connector = KalshiMarketConnector(OWNER, access(venue), SERIES)
        async with listening(connector) as (events, _):
            await until(lambda: last_quotes(events).keys() >= world.markets.keys())
            traded = set(world.markets)
            world.until_close()
            await venue.sent()
            settled = set(world.truth.settled) & traded
            assert settled
            await until(
                lambda: settled <= {e.ticker for e in events if isinstance(e, MarketSettled)}
            )
    for ticker in settled:
        own = [event for event in events if getattr(event, "ticker", None) == ticker]
        [result] = [event for event in own if isinstance(event, MarketDetermined)]
        assert result.result == world.truth.resolved[ticker].result
        assert sum(isinstance(event, MarketSettled) for event in own) == 1
        assert any(isinstance(event, MarketDescribed) and event.closes for event in own)


async def test_a_result_that_was_missed_is_asked_for() -> None:
    hour = 3_600_000_000
    world = World(seed=4, start=time.time_ns() // 1000 // hour * hour - 30_000_000)
    world.step()
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        connector = KalshiMarketConnector(OWNER, access(venue), SERIES)
        async with listening(connector) as (events, counts):
            await until(lambda: last_quotes(events).keys() >= world.markets.keys())
            venue.close_port()
            venue.hang_up()
            await until(lambda: counts.reconnects)
            traded = set(world.markets)
            world.until_close()
            await venue.open_port()
            settled = set(world.truth.settled) & traded
            await until(
                lambda: settled <= {e.ticker for e in events if isinstance(e, MarketSettled)}
            )
