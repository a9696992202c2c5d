"""What REST reads give is what happened: all pages of it, within the filters, and no more."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.simulated.kalshi.venue import Cutoffs
from streams.simulated.kalshi.venue.limits import Limits
from streams.simulated.kalshi.venue.query import Place, Query
from tests.venue.fake import FakeKalshi
from tests.venue.keys import api_key
from tests.venue.talking import Json, get, pages, read
from tests.venue.world import World

SECOND = 1_000_000
FREE = Limits(rate=10**6, capacity=10**6)


def lived(seed: int = 3, **options: Any) -> World:
    """A world in which markets were settled and others are traded."""
    world = World(seed, limits=FREE, **options)
    world.step(25)
    world.until_close()
    world.step(25)
    world.transfer("withdrawal", Decimal("12.34"))
    world.step()
    return world


def fake(world: World) -> FakeKalshi:
    return FakeKalshi(world, keys=[api_key()])


async def test_the_account_is_read_as_it_is() -> None:
    world = lived()
    truth = world.truth
    async with fake(world) as venue:
        fills = await pages(venue, "/portfolio/fills", "fills", limit=7)
        assert {(one["subaccount_number"], one["fill_id"]) for one in fills} == set(truth.fills)
        assert len(fills) == len(truth.fills) > 14
        for one in fills:
            fill = truth.fills[one["subaccount_number"], one["fill_id"]]
            assert Decimal(one["fee_cost"]) == fill.fee
            assert Decimal(one["yes_price_dollars"]) == fill.yes_price
            assert one["ts"] == fill.time // SECOND
        orders = await pages(venue, "/portfolio/orders", "orders", limit=7)
        assert {
            (one["subaccount_number"], one["order_id"]): (one["status"], one["fill_count_fp"])
            for one in orders
        } == {
            key: (states[-1].status, f"{states[-1].filled:.2f}")
            for key, states in truth.orders.items()
        }
        settlements = await pages(venue, "/portfolio/settlements", "settlements", limit=1)
        assert sorted(one["ticker"] for one in settlements) == sorted(
            ticker for _, ticker in truth.settlements
        )
        transfers = [
            *await pages(venue, "/portfolio/deposits", "deposits"),
            *await pages(venue, "/portfolio/withdrawals", "withdrawals"),
        ]
        assert {(one["id"], one["status"], one["amount_cents"]) for one in transfers} == {
            (key, one.status, int(one.amount * 100)) for key, one in truth.transfers.items()
        }
        assert len(transfers) == 2


async def test_balance_and_positions_are_of_subaccount_0_unless_another_is_named() -> None:
    world = lived()
    async with fake(world) as venue:
        for asked, subaccount in (({}, 0), ({"subaccount": 0}, 0), ({"subaccount": 1}, 1)):
            balance = await read(venue, "/portfolio/balance", **asked)
            cash = world.truth.cash[subaccount][-1].cash
            assert Decimal(balance["balance_dollars"]) == cash.quantize(Decimal("0.0001"))
            assert balance["balance"] == int(cash * 100), "cents are cut off"
            positions = await read(venue, "/portfolio/positions", **asked)
            assert {
                one["ticker"]: Decimal(one["position_fp"]) for one in positions["market_positions"]
            } == {
                ticker: states[-1].net
                for (of, ticker), states in world.truth.positions.items()
                if of == subaccount and (of, ticker) not in world.truth.settlements
            }
        every = await read(venue, "/portfolio/subaccounts/balances")
        assert [one["subaccount_number"] for one in every["subaccount_balances"]] == [0, 1]


async def test_settled_positions_are_given_where_they_are_asked_for() -> None:
    world = lived()
    settled = {ticker for of, ticker in world.truth.settlements if of == 0}
    async with fake(world) as venue:
        found = await read(venue, "/portfolio/positions", settlement_status="settled")
        assert {one["ticker"] for one in found["market_positions"]} == settled
        assert all(Decimal(one["position_fp"]) == 0 for one in found["market_positions"])
        every = await read(venue, "/portfolio/positions", settlement_status="all")
        assert {one["ticker"] for one in every["market_positions"]} == {
            ticker for of, ticker in world.truth.positions if of == 0
        }
        held = await read(
            venue, "/portfolio/positions", settlement_status="all", count_filter="position"
        )
        assert all(Decimal(one["position_fp"]) for one in held["market_positions"])
        sums = {one["event_ticker"]: one for one in every["event_positions"]}
        for event, total in sums.items():
            parts = [one for one in every["market_positions"] if one["ticker"].startswith(event)]
            assert Decimal(total["fees_paid_dollars"]) == sum(
                Decimal(one["fees_paid_dollars"]) for one in parts
            )


async def test_filters_by_ticker_time_status_subaccount_and_shard_hold() -> None:
    world = lived()
    fill = list(world.truth.fills.values())[10]
    middle = fill.time // SECOND
    async with fake(world) as venue:

        async def fills(**filters: str | int) -> list[Json]:
            return await pages(venue, "/portfolio/fills", "fills", limit=5, **filters)

        assert all(one["ticker"] == fill.ticker for one in await fills(ticker=fill.ticker))
        late, early = await fills(min_ts=middle), await fills(max_ts=middle)
        assert late
        assert early
        assert all(one["ts"] >= middle for one in late)
        assert all(one["ts"] <= middle for one in early)
        assert {one["fill_id"] for one in late + early} == {key for _, key in world.truth.fills}
        assert {one["order_id"] for one in await fills(order_id=fill.order_id)} == {fill.order_id}
        assert {one["subaccount_number"] for one in await fills(subaccount=1)} == {1}
        assert len(await fills(exchange_index=2)) == len(world.truth.fills)
        assert await fills(exchange_index=0) == []
        created = {key: states[0].created for (_, key), states in world.truth.orders.items()}
        since = await pages(venue, "/portfolio/orders", "orders", min_ts=middle)
        assert {one["order_id"] for one in since} == {
            key for key, time in created.items() if time >= middle * SECOND
        }
        assert len(since) < len(created)
        resting = await pages(venue, "/portfolio/orders", "orders", status="resting")
        assert {one["order_id"] for one in resting} == {
            key for (_, key), states in world.truth.orders.items() if states[-1].remaining
        }
        events = sorted({one.event for one in world.truth.listed.values()})
        by_event = [
            len(await pages(venue, "/portfolio/orders", "orders", event_ticker=event))
            for event in events
        ]
        assert sum(by_event) == len(world.truth.orders)


async def test_one_order_is_read_by_its_id() -> None:
    world = lived()
    (_, order_id), states = next(iter(world.truth.orders.items()))
    async with fake(world) as venue:
        found = await read(venue, f"/portfolio/orders/{order_id}")
        assert found["order"]["status"] == states[-1].status
        missing = await get(venue, "/portfolio/orders/nothing", api_key())
        assert missing.status_code == 404


async def test_markets_are_found_by_series_event_ticker_and_status() -> None:
    world = lived()
    world.step()
    async with fake(world) as venue:
        every = await pages(venue, "/markets", "markets", limit=2)
        assert {one["ticker"] for one in every} == set(world.truth.listed)
        open_ = await pages(venue, "/markets", "markets", status="open", series_ticker="KXBTCD")
        assert {one["ticker"] for one in open_} == set(world.markets)
        assert {one["status"] for one in open_} == {"active"}
        done = await pages(venue, "/markets", "markets", status="settled")
        assert {one["ticker"] for one in done} == set(world.truth.settled)
        assert {one["status"] for one in done} == {"finalized"}
        assert {(one["ticker"], one["result"]) for one in done} == {
            (ticker, one.result) for ticker, one in world.truth.resolved.items()
        }
        one, two, _ = world.markets
        named = await pages(venue, "/markets", "markets", tickers=f"{one},{two}")
        assert {market["ticker"] for market in named} == {one, two}
        assert await pages(venue, "/markets", "markets", series_ticker="KXETHD") == []
        assert await pages(venue, "/markets", "markets", mve_filter="only") == []
        (record,) = (await read(venue, f"/markets/{one}")).values()
        quote = world.truth.quotes[one][-1]
        assert Decimal(record["yes_bid_dollars"]) == quote.bid.price
        assert Decimal(record["no_bid_dollars"]) == 1 - quote.ask.price
        assert (await get(venue, "/markets/KXBTCD-NONE")).status_code == 404


async def test_markets_are_found_by_the_times_of_their_life() -> None:
    world = lived()
    closes = min(one.closes for one in world.truth.listed.values()) // SECOND
    async with fake(world) as venue:

        async def found(**filters: str | int) -> set[str]:
            return {one["ticker"] for one in await pages(venue, "/markets", "markets", **filters)}

        settled = set(world.truth.settled)
        assert await found(min_close_ts=closes, max_close_ts=closes) == settled
        assert await found(min_settled_ts=closes) == settled
        assert await found(max_settled_ts=closes) == set()
        assert await found(min_updated_ts=world.now // SECOND) == set()
        assert await found(min_updated_ts=closes) >= settled
        first = min(one.time for one in world.truth.listed.values()) // SECOND
        assert await found(min_created_ts=first) == set(world.truth.listed)


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "finalized"},
        {"status": "open", "min_settled_ts": 1},
        {"min_updated_ts": 1, "status": "open"},
        {"min_updated_ts": 1, "series_ticker": "KXBTCD"},
        {"min_created_ts": 1, "min_close_ts": 1},
        {"limit": 1001},
        {"limit": -1},
        {"limit": "many"},
        {"cursor": "bogus"},
        {"mve_filter": "perhaps"},
    ],
)
async def test_a_bad_filter_is_refused_as_production_refuses_it(
    filters: dict[str, str | int],
) -> None:
    async with fake(World(1)) as venue:
        reply = await get(venue, "/markets", **filters)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert (error["code"], error["message"]) == ("bad_request", "bad request")
        if "status" in filters and len(filters) == 1:
            assert error["details"] == "invalid status filter"


async def test_updated_markets_of_a_series_are_found_without_those_of_several_events() -> None:
    async with fake(World(1)) as venue:
        assert await pages(
            venue,
            "/markets",
            "markets",
            min_updated_ts=1,
            series_ticker="KXBTCD",
            mve_filter="exclude",
        )


@pytest.mark.parametrize("path", ["fills", "orders", "positions", "settlements"])
async def test_private_pages_have_at_least_one_row(path: str) -> None:
    async with fake(World(1)) as venue:
        reply = await get(venue, f"/portfolio/{path}", api_key(), limit=0)
        assert reply.status_code == 400


async def test_a_book_is_read_whole_or_by_its_best_levels_and_never_lacks_a_side() -> None:
    world = World(1, limits=FREE)
    world.step(10)
    later = next(ticker for ticker in world.truth.listed if ticker not in world.markets)
    async with fake(world) as venue:
        ticker = next(iter(world.markets))
        whole = (await read(venue, f"/markets/{ticker}/orderbook"))["orderbook_fp"]
        book = world.truth.book(ticker)
        assert [(Decimal(p), Decimal(c)) for p, c in whole["yes_dollars"]] == list(book.yes)
        best = (await read(venue, f"/markets/{ticker}/orderbook", depth=1))["orderbook_fp"]
        assert best["yes_dollars"] == whole["yes_dollars"][-1:]
        empty = (await read(venue, f"/markets/{later}/orderbook"))["orderbook_fp"]
        assert empty == {"yes_dollars": [], "no_dollars": []}


async def test_public_trades_are_all_there() -> None:
    world = lived()
    async with fake(world) as venue:
        trades = await pages(venue, "/markets/trades", "trades", limit=11)
        assert {one["trade_id"] for one in trades} == set(world.truth.trades)
        times = [one["created_time"] for one in trades]
        assert times == sorted(times, reverse=True), "the newest first"


async def test_candles_add_up_to_the_trades_and_quotes() -> None:
    world = lived()
    world.step(100)
    ticker = next(iter(world.markets))
    path = f"/series/KXBTCD/markets/{ticker}/candlesticks"
    period: dict[str, str | int] = {"start_ts": 0, "end_ts": 2 * 10**9, "period_interval": 1}
    async with fake(world) as venue:
        candles = (await read(venue, path, **period))["candlesticks"]
        batch = await read(
            venue, "/markets/candlesticks", market_tickers=f"{ticker},KXNO", **period
        )
        other_series = await get(venue, path.replace("KXBTCD/", "KXETHD/", 1), **period)
        incomplete = await get(venue, path, start_ts=0, end_ts=1)
    assert batch["markets"] == [{"market_ticker": ticker, "candlesticks": candles}]
    assert other_series.status_code == 404
    assert incomplete.status_code == 400
    trades = [one for one in world.truth.trades.values() if one.ticker == ticker]
    quotes = world.truth.quotes[ticker]
    assert len(candles) >= 2
    assert [one["end_period_ts"] % 60 for one in candles] == [0] * len(candles)
    for candle in candles:
        end = candle["end_period_ts"] * SECOND
        inside = [one for one in trades if end - 60 * SECOND < one.time <= end]
        assert Decimal(candle["volume_fp"]) == sum(one.count for one in inside)
        last = [one for one in quotes if one.time <= end][-1]
        assert Decimal(candle["yes_bid"]["close_dollars"]) == last.bid.price
        if inside:
            assert Decimal(candle["price"]["high_dollars"]) == max(one.yes_price for one in inside)
        else:
            assert set(candle["price"]) <= {"previous_dollars"}


async def test_what_is_older_than_the_cutoff_is_only_in_the_historical_tier() -> None:
    world = lived()
    async with fake(world) as venue:
        before = {
            name: await pages(venue, path, name)
            for path, name in (
                ("/markets", "markets"),
                ("/markets/trades", "trades"),
                ("/portfolio/fills", "fills"),
                ("/portfolio/orders", "orders"),
            )
        }
        all_positions = await pages(
            venue, "/portfolio/positions", "market_positions", settlement_status="all"
        )
        cut = max(one.time for one in world.truth.settled.values()) + SECOND
        world.venue.cutoffs = Cutoffs.at(cut)
        told = await read(venue, "/historical/cutoff")
        assert len(set(told.values())) == 1
        for path, name in (
            ("/markets", "markets"),
            ("/markets/trades", "trades"),
            ("/portfolio/fills", "fills"),
            ("/portfolio/orders", "orders"),
        ):
            live = await pages(venue, path, name, limit=9)
            old = await pages(venue, f"/historical/{name}", name, limit=9)
            assert live, name
            assert old, name
            assert len(live) + len(old) == len(before[name])
            assert all(one in before[name] for one in live + old)
        old = await pages(venue, "/historical/positions", "market_positions")
        live = await pages(
            venue, "/portfolio/positions", "market_positions", settlement_status="all"
        )
        assert len(old) + len(live) == len(all_positions)
        assert {one["ticker"] for one in old} == {t for of, t in world.truth.settlements if of == 0}

        ticker = next(iter(world.truth.settled))
        period: dict[str, str | int] = {"start_ts": 0, "end_ts": 2 * 10**9, "period_interval": 1}
        assert (await get(venue, f"/markets/{ticker}")).status_code == 404
        live_path = f"/series/KXBTCD/markets/{ticker}/candlesticks"
        assert (await get(venue, live_path, **period)).status_code == 404
        assert (await read(venue, f"/historical/markets/{ticker}"))["market"]["ticker"] == ticker
        candles = await read(venue, f"/historical/markets/{ticker}/candlesticks", **period)
        assert set(candles["candlesticks"][0]) == {
            "end_period_ts",
            "yes_bid",
            "yes_ask",
            "price",
            "volume",
            "open_interest",
        }
        assert set(candles["candlesticks"][0]["yes_bid"]) == {"open", "low", "high", "close"}
        settlements = await pages(venue, "/portfolio/settlements", "settlements")
        assert len(settlements) == len(world.truth.settlements), "these have no cutoff"
        two = await get(venue, "/historical/markets", tickers=ticker, series_ticker="KXBTCD")
        assert two.status_code == 400


async def test_an_order_that_rests_is_live_however_old_it_is() -> None:
    world = World(1, limits=FREE)
    world.step()
    order_id = world.place(0, next(iter(world.markets)), "yes", Decimal(1), Decimal("0.01"))
    assert order_id is not None
    world.venue.cutoffs = Cutoffs.at(world.now + 3600 * SECOND)
    async with fake(world) as venue:
        resting = [one["order_id"] for one in await pages(venue, "/portfolio/orders", "orders")]
        assert order_id in resting
        world.cancel(0, order_id)
        assert not await pages(venue, "/portfolio/orders", "orders", status="canceled")
        old = await pages(venue, "/historical/orders", "orders", status="canceled")
        assert order_id in {one["order_id"] for one in old}


async def test_a_market_is_closed_between_its_close_and_its_result() -> None:
    world = World(1, limits=FREE)
    world.step()
    closing = next(iter(world.markets.values())).listed
    async with fake(world) as venue:
        assert (await read(venue, f"/markets/{closing.ticker}"))["market"]["status"] == "active"
        world.venue.publish(closing.closes, [])
        found = await pages(venue, "/markets", "markets", status="closed")
        assert {one["ticker"] for one in found} == set(world.markets)
        assert {one["status"] for one in found} == {"closed"}


async def test_portfolio_reads_lag_behind_and_say_by_how_much() -> None:
    world = lived(portfolio_lag=5 * SECOND)
    async with fake(world) as venue:
        as_of = world.venue.as_of
        fills = await pages(venue, "/portfolio/fills", "fills")
        assert {one["fill_id"] for one in fills} == {
            key for (_, key), fill in world.truth.fills.items() if fill.time <= as_of
        }
        assert len(fills) < len(world.truth.fills)
        orders = await pages(venue, "/portfolio/orders", "orders")
        assert {(one["order_id"], one["fill_count_fp"]) for one in orders} == {
            (key, f"{seen[-1].filled:.2f}")
            for (_, key), states in world.truth.orders.items()
            if (seen := [state for state in states if state.updated <= as_of])
        }
        assert "T" in (await read(venue, "/exchange/user_data_timestamp"))["as_of_time"]


async def test_the_exchange_says_whether_it_is_open() -> None:
    async with fake(World(1)) as venue:
        assert (await read(venue, "/exchange/status"))["trading_active"] is True
        venue.world.venue.active = False
        assert (await read(venue, "/exchange/status"))["trading_active"] is False


async def test_an_unknown_path_is_not_found() -> None:
    async with fake(World(1)) as venue:
        assert (await get(venue, "/portfolio")).status_code == 404
        assert (await get(venue, "/markets/a/b/c")).status_code == 404


def place(row: tuple[int, int]) -> Place:
    return row[0], f"{row[1]:04}"


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 999)), unique_by=place)


@settings(deadline=None)
@given(ROWS, ROWS, st.integers(1, 10))
def test_pages_give_every_row_once_whatever_comes_in_between(
    rows: list[tuple[int, int]], later: list[tuple[int, int]], limit: int
) -> None:
    now = list(rows)
    found: list[tuple[int, int]] = []
    cursor = ""
    while True:
        page, cursor = Query("/p", f"limit={limit}&cursor={cursor}&a=b").page(now, place)
        found += page
        if not cursor:
            break
        # Newer than all there is, as new rows are.
        now += [(10 + time, number) for time, number in later[:3] if (10 + time, number) not in now]
    assert found == sorted(rows, key=place, reverse=True)


async def test_a_cursor_is_good_for_its_own_filters_only() -> None:
    world = lived()
    async with fake(world) as venue:
        page = await read(venue, "/portfolio/fills", limit=2, subaccount=0)
        cursor = page["cursor"]
        for path, filters in (
            ("/portfolio/fills", {"subaccount": 1}),
            ("/portfolio/orders", {"subaccount": 0}),
        ):
            reply = await get(venue, path, api_key(), cursor=cursor, **filters)
            assert reply.status_code == 400
        assert (await read(venue, "/portfolio/fills", subaccount=0, cursor=cursor))["fills"]


async def test_a_full_last_page_is_followed_by_an_empty_one() -> None:
    async with fake(World(1)) as venue:
        count = len(venue.world.truth.listed)
        page = await read(venue, "/markets", limit=count)
        assert page["cursor"]
        last = await read(venue, "/markets", limit=count, cursor=page["cursor"])
        assert last == {"markets": [], "cursor": ""}
