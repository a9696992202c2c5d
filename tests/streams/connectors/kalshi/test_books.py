"""The feed of order books, connected to the fake venue: never a book that is silently wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.events import Event, MarketGap, MarketUnparsed
from streams.simulated.kalshi.venue.facts import BookChange
from tests.streams.connectors.kalshi.listening import (
    OWNER,
    SERIES,
    Books,
    access,
    listening,
    until,
)
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults, FrameFault
from tests.venue.keys import api_key
from tests.venue.truth import BookState
from tests.venue.world import World


def gaps(events: list[Event]) -> list[MarketGap]:
    return [event for event in events if isinstance(event, MarketGap)]


def is_right(events: list[Event], world: World) -> bool:
    """Whether every market that is traded has its book, as it is now."""
    states = Books.of(events).states
    assert world.markets
    return all(states.get(ticker) == world.truth.book(ticker) for ticker in world.markets)


def trading(seed: int) -> World:
    """A world in which markets are open already."""
    world = World(seed=seed)
    world.step()
    return world


def wrong(events: list[Event], world: World) -> list[str]:
    """The valid states that the venue never had."""
    had = {ticker: states(changes) for ticker, changes in world.truth.changes.items()}
    seen = Books.of(events).seen
    return [
        f"{ticker} at {clock}"
        for ticker, clock, state in seen
        if state not in had.get(ticker, ()) and state != BookState()
    ]


def states(changes: list[BookChange]) -> list[BookState]:
    """A book after each of its changes."""
    sizes: dict[str, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}
    found = []
    for change in changes:
        side = sizes[change.side]
        side[change.price] = side.get(change.price, Decimal(0)) + change.delta
        found.append(BookState.of(sizes))
    return found


async def listened(faults: Faults, *, steps: int = 20, seed: int = 1) -> tuple[list[Event], World]:
    """What the feed makes of a world with these faults, once all its books are right again."""
    world = trading(seed)
    async with FakeKalshi(world, keys=[api_key()], faults=faults) as venue:
        connector = KalshiBooksConnector(OWNER, access(venue), SERIES)
        connector.silence = 1.0
        async with listening(connector) as (events, _):
            await until(lambda: is_right(events, world))
            for _ in range(steps):
                await venue.step()
                await asyncio.sleep(0.02)
            # That the last frame of all was lost shows by the next one only.
            faults.chances.clear()
            while not is_right(events, world):
                await venue.step()
                await asyncio.sleep(0.1)
            return list(events), world


async def test_without_faults_the_books_are_right_and_no_gap_is_told() -> None:
    events, world = await listened(Faults())
    assert not gaps(events)
    assert not wrong(events, world)


@pytest.mark.parametrize(
    "fault",
    [
        *("skip", "repeat", "reorder", "garbage", "huge", "delay", "drip", "half", "disconnect"),
        *("stall", "stall_answering", "overflow", "channel_error"),
    ],
)
async def test_after_a_fault_the_books_are_right_again(fault: FrameFault) -> None:
    faults = Faults(seed=3)
    faults.at_frame(8, "orderbook_delta", fault)
    events, world = await listened(faults)
    assert [one.fault for one in faults.inflicted] == [fault]
    assert not wrong(events, world)
    assert bool(gaps(events)) == (fault not in {"repeat", "delay", "drip"})
    assert any(isinstance(event, MarketUnparsed) for event in events) == (fault == "garbage")


@pytest.mark.parametrize("seed", range(3))
async def test_with_faults_at_random_no_book_is_ever_wrong(seed: int) -> None:
    faults = Faults(seed=seed)
    faults.chances |= {"skip": 0.02, "repeat": 0.03, "reorder": 0.02, "garbage": 0.01}
    faults.chances["disconnect"] = 0.004
    events, world = await listened(faults, steps=60, seed=seed)
    assert len({one.fault for one in faults.inflicted}) >= 3
    assert gaps(events)
    assert not wrong(events, world)


async def test_the_markets_of_the_next_hour_are_followed_and_the_closed_ones_dropped() -> None:
    world = trading(2)
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        connector = KalshiBooksConnector(OWNER, access(venue), SERIES)
        async with listening(connector) as (events, counts):
            await until(lambda: is_right(events, world))
            before = set(world.markets)
            world.until_close()
            await venue.sent()
            await until(lambda: is_right(events, world))
            closed = before - set(world.markets)
            assert closed
            states = Books.of(events).states
            assert {states[ticker] for ticker in closed} == {None}
            assert counts.reconnects == 0


async def test_markets_of_other_series_are_not_followed() -> None:
    world = trading(2)
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        connector = KalshiBooksConnector(OWNER, access(venue), ("KXBTC15M",))
        async with listening(connector) as (events, counts):
            await until(lambda: counts.frames >= 2)
            await venue.step(5)
            assert not events


async def test_a_venue_that_refuses_is_tried_again_with_a_fresh_signature() -> None:
    world, faults = trading(2), Faults()
    faults.at_upgrade(1, "503")
    faults.at_upgrade(2, "429")
    async with FakeKalshi(world, keys=[api_key()], faults=faults) as venue:
        connector = KalshiBooksConnector(OWNER, access(venue), SERIES)
        async with listening(connector) as (events, counts):
            await until(lambda: is_right(events, world))
            assert counts.reconnects == 2


async def test_an_end_of_the_connection_leaves_no_book_valid() -> None:
    world = trading(2)
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        connector = KalshiBooksConnector(OWNER, access(venue), SERIES)
        async with listening(connector) as (events, _):
            await until(lambda: is_right(events, world))
        assert set(Books.of(events).states.values()) == {None}
