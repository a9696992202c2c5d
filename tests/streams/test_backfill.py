"""A backfill sends what the venue knows, of both tiers, once; killed anywhere, it goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.backfill.journal import Journal
from streams.backfill.plan import KINDS, Cutoffs, Kind, Life, Span, market_units
from streams.backfill.run import Backfill, Options
from streams.connectors.base import Request
from streams.connectors.http_replies import Rejected, venue_error
from streams.errors import UserError
from streams.events import (
    EncodedEvent,
    Event,
    Fill,
    MarketCandle,
    MarketTrade,
    MarketUnparsed,
    Order,
    Settlement,
    decode,
)
from streams.simulated.kalshi.venue import Cutoffs as Archive
from streams.simulated.kalshi.venue import candles
from streams.simulated.kalshi.venue.rest import answer
from tests.venue.world import HOUR, SECOND, World

OWNER = "kalshi/prod/main"
DAY = 24 * HOUR
ALL = Span(1_795_000_000_000_000, 1_797_000_000_000_000)


class Killed(Exception):
    """Stands for the end of the process."""


class Venue:
    """The fake venue's REST API, in small pages; after `left` requests the process is killed."""

    def __init__(self, world: World, left: int = 10**9) -> None:
        self.left = left
        self.asked: list[Request] = []
        #: Replies instead of the venue's, by path.
        self.replies: dict[str, bytes] = {}
        self._world = world

    async def get(self, request: Request) -> bytes:
        await asyncio.sleep(0)
        self.asked.append(request)
        self.left -= 1
        if self.left < 0:
            raise Killed
        if request.path in self.replies:
            return self.replies[request.path]
        query = [(name, "7" if name == "limit" else value) for name, value in request.query]
        reply = answer(self._world.venue, request.path, urlencode(query))
        if reply.status != 200:
            raise Rejected("kalshi", request, reply.status, venue_error(reply.body))
        return reply.body


class Kept:
    """The log, in memory: what was not flushed before a kill is lost."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._waiting: list[EncodedEvent] = []

    async def send_records(self, records: Iterable[EncodedEvent]) -> None:
        self._waiting += records

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self.events += [decode(one.value, one.headers) for one in self._waiting]
        self._waiting.clear()

    def lose(self) -> None:
        self._waiting.clear()


class Quiet:
    def planned(self, kind: Kind, units: int) -> None:
        pass

    def sent(self, kind: Kind, events: int) -> None:
        pass

    def done(self, kind: Kind) -> None:
        pass


def lived(seed: int, *, hours: int = 2) -> World:
    """A world of two closes, of which the first hour's things are archived."""
    world = World(seed, strikes=2)
    for _ in range(hours):
        world.step(8, 13.0)
        world.until_close()
    world.venue.cutoffs = Archive.at(world.now - HOUR // 2)
    world.step(5)
    return world


def run(
    world: World, venue: Venue, log: Kept, home: Path, kinds: tuple[Kind, ...] = KINDS
) -> Backfill:
    with Journal.open(home, {"kinds": kinds}) as journal:
        span = ALL._replace(end=journal.until(world.now + SECOND))
        options = Options(OWNER, span, kinds, ("KXBTCD",))
        backfill = Backfill(options, venue, log, journal, Quiet())
        asyncio.run(backfill.run())
    return backfill


def said(events: Iterable[Event]) -> dict[str, object]:
    """What the events say, by what they are of."""
    found: dict[str, dict[object, object]] = {kind: {} for kind in KINDS}
    for event in events:
        match event:
            case Fill():
                key = event.account, event.trade_id
                found["fills"][key] = event.side, event.yes_price, event.count, event.time
            case Order():
                key = event.account, event.order_id
                found["orders"][key] = event.status, event.fill_count
            case Settlement():
                found["settlements"][event.account, event.ticker] = event.revenue, event.time
            case MarketTrade():
                found["trades"][event.trade_id] = event.yes_price, event.count, event.taker_side
            case MarketCandle():
                close = event.yes_bid_close, event.close, event.volume
                found["candles"][event.ticker, event.end] = close
    return {kind: of_kind for kind, of_kind in found.items() if of_kind}


def truth(world: World, owner: str = OWNER) -> dict[str, object]:
    """The same of what happened."""
    true, end = world.truth, world.now
    return {
        "fills": {
            (f"{owner}/{n}", key): (one.side, one.yes_price, one.count, one.time)
            for (n, key), one in true.fills.items()
        },
        "orders": {
            (f"{owner}/{n}", key): (states[-1].status, states[-1].filled)
            for (n, key), states in true.orders.items()
        },
        "settlements": {
            (f"{owner}/{n}", ticker): (one.revenue, one.time)
            for (n, ticker), one in true.settlements.items()
        },
        "trades": {key: (one.yes_price, one.count, one.taker) for key, one in true.trades.items()},
        "candles": {
            (ticker, candle.end): (
                candle.quotes[-1].bid.price,
                candle.trades[-1].yes_price if candle.trades else None,
                sum((trade.count for trade in candle.trades), Decimal(0)),
            )
            for ticker, market in world.venue.markets.items()
            for candle in candles.candles(market, 1, 0, end)
        },
    }


def test_all_of_both_tiers_is_sent_once(tmp_path: Path) -> None:
    world, log = lived(1), Kept()
    backfill = run(world, Venue(world), log, tmp_path)
    assert backfill.is_complete
    expected = truth(world)
    assert all(expected[kind] for kind in KINDS)
    assert said(log.events) == expected
    assert set(Counter(one.event_id() for one in log.events).values()) == {1}
    assert sum(count.events for count in backfill.counts.values()) == len(log.events)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 50), st.lists(st.integers(0, 60), max_size=4))
def test_killed_at_any_request_and_begun_again_it_ends_in_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kills: list[int]
) -> None:
    home = tmp_path_factory.mktemp("home")
    world, log = lived(seed, hours=1), Kept()
    for left in kills:
        try:
            run(world, Venue(world, left), log, home)
        except Killed:
            log.lose()
    assert run(world, Venue(world), log, home).is_complete
    assert said(log.events) == truth(world)


def test_what_is_done_is_not_read_again(tmp_path: Path) -> None:
    world, log = lived(2), Kept()
    venue = Venue(world)
    run(world, venue, log, tmp_path)
    needed = len(venue.asked)
    with pytest.raises(Killed):
        run(world, Venue(world, needed - 3), log, tmp_path)
    rest = Venue(world)
    again = run(world, rest, log, tmp_path)
    assert again.is_complete
    assert len(rest.asked) < needed / 2
    assert sum(count.done_before for count in again.counts.values()) > 10
    assert not list((tmp_path / "backfill").iterdir())


def test_candles_alone_are_of_the_markets_that_were_traded(tmp_path: Path) -> None:
    world, log = lived(3), Kept()
    with Journal.open(tmp_path, {}) as journal:
        options = Options(OWNER, ALL, ("candles",))
        asyncio.run(Backfill(options, Venue(world), log, journal, Quiet()).run())
    assert {type(event) for event in log.events} == {MarketCandle}
    traded = {one.ticker for one in world.truth.fills.values()}
    assert {event.key() for event in log.events} == traded


def test_a_page_that_cannot_be_read_is_kept_and_its_unit_read_again(tmp_path: Path) -> None:
    world, log = lived(4), Kept()
    venue = Venue(world)
    venue.replies["/markets/trades"] = b'{"oops":1}'
    first = run(world, venue, log, tmp_path, ("trades",))
    assert not first.is_complete
    assert first.counts["trades"].unread
    assert all(one.frame == b'{"oops":1}' for one in log.events if isinstance(one, MarketUnparsed))
    assert run(world, Venue(world), log, tmp_path, ("trades",)).is_complete
    assert said(log.events) == {"trades": truth(world)["trades"]}


def test_cutoffs_that_cannot_be_understood_end_it_with_a_message(tmp_path: Path) -> None:
    venue = Venue(lived(5, hours=0))
    venue.replies["/historical/cutoff"] = b'{"trades_created_ts":"yesterday"}'
    with pytest.raises(UserError, match="trades_created_ts"):
        run(World(1), venue, Kept(), tmp_path)


times = st.integers(0, 400).map(lambda hours: ALL.start + hours * HOUR // 7)


@given(times, times, times, times, times)
def test_the_windows_of_a_market_are_apart_and_leave_nothing_out(
    start: int, end: int, opens: int, closes: int, cutoff: int
) -> None:
    span, life = Span(start, end), Life("KX-1", Span(opens, closes), None)
    units = market_units(("trades", "candles"), span, life, Cutoffs(trades=cutoff))
    for kind in ("trades", "candles"):
        found = [unit for unit in units if unit.kind == kind]
        for one, following in pairwise(found):
            assert one.span.end == following.span.start
        assert all(unit.span.start < unit.span.end for unit in found)
        if max(start, opens) < min(end, closes):
            assert found[0].span.start <= max(start, opens)
            assert found[-1].span.end >= min(end, closes)
    for unit in units:
        paths = {request.path for request in unit.requests}
        if unit.kind == "trades" and unit.span.start < cutoff:
            assert "/historical/trades" in paths
        if unit.kind == "trades" and unit.span.end > cutoff:
            assert "/markets/trades" in paths


@given(st.integers(0, 200))
def test_a_journal_cut_off_anywhere_has_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    with Journal.open(home, {"of": "a"}) as journal:
        journal.until(5)
        journal.add("one", ["KX-1"])
        journal.add("two", ["KX-2", "KX-3"])
    [path] = (home / "backfill").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    done = whole[:length].count(b"\n") if length < len(whole) else 3
    with Journal.open(home, {"of": "a"}) as journal:
        assert journal.until(7) == (5 if done or length >= whole.index(b"\n") else 7)
        journal.add("three", [])
    with Journal.open(home, {"of": "a"}) as journal:
        assert journal.is_done("three")
        assert journal.is_done("one") >= (done >= 2)
        assert journal.until(9) in (5, 7)


def test_a_backfill_runs_once_at_a_time(tmp_path: Path) -> None:
    with (
        Journal.open(tmp_path, {"of": "a"}),
        Journal.open(tmp_path, {"of": "b"}),
        pytest.raises(UserError, match="running already"),
        Journal.open(tmp_path, {"of": "a"}),
    ):
        pass


def test_what_both_tiers_give_is_sent_once(tmp_path: Path) -> None:
    world, log = lived(6), Kept()
    venue = Venue(world)
    paths = ("/portfolio/fills", "/historical/fills")
    both = [json.loads(answer(world.venue, path, "limit=1000").body)["fills"] for path in paths]
    assert all(both)
    body = json.dumps({"fills": [*both[0], *both[1]], "cursor": ""}).encode()
    venue.replies = dict.fromkeys(paths, body)
    run(world, venue, log, tmp_path, ("fills",))
    assert said(log.events) == {"fills": truth(world)["fills"]}
    assert len(log.events) == len(world.truth.fills)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 30))
def test_two_spans_side_by_side_have_each_fill_once(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    world, log = lived(7, hours=1), Kept()
    times = sorted(fill.time for fill in world.truth.fills.values())
    middle = times[number % len(times)]
    for span in (Span(ALL.start, middle), Span(middle, ALL.end)):
        with Journal.open(tmp_path_factory.mktemp("home"), {}) as journal:
            options = Options(OWNER, span, ("fills",))
            asyncio.run(Backfill(options, Venue(world), log, journal, Quiet()).run())
    assert sorted(one.time for one in log.events if isinstance(one, Fill)) == times
