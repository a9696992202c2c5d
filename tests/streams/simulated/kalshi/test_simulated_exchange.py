"""Whatever is ordered at the simulated exchange, it adds up, and happens in order."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.types import Side
from streams.simulated.kalshi.changes import Cash, Quote, Resolved, Settled
from streams.simulated.kalshi.markets import SECOND
from streams.simulated.kalshi.orders import CENT, HIGHEST_PRICE, Fill, Order, OrderError, other
from streams.simulated.kalshi.positions import Settlement
from streams.simulated.kalshi.venue.facts import BookChange, Fact, Listed, PublicTrade, Transfer
from tests.streams.simulated.kalshi.driving import NOON, Venue, only


def by_clock(said: list[Fact]) -> Iterator[tuple[str, int, list[BookChange]]]:
    """The changes of books, those of one action together."""
    changes = only(said, BookChange)
    for (ticker, clock), group in groupby(changes, lambda one: (one.ticker, one.clock)):
        yield ticker, clock, list(group)


_ACTIONS = st.one_of(
    st.tuples(
        st.just("order"),
        st.integers(0, 8),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(["0.01", "0.75", "1", "2.50", "10", "40", "900"]),
        st.integers(1, 99).map(lambda cents: f"{cents / 100:.2f}") | st.none(),
    ),
    st.tuples(st.just("wait"), st.floats(0.05, 4)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
)


def acted(seed: int, actions: list[tuple[object, ...]]) -> Venue:
    """A venue after these actions."""
    venue = Venue(seed)
    for action in actions:
        match action:
            case ("order", int(market), str(outcome), str(count), (str() | None) as limit):
                markets = venue.open_markets
                side: Side = "yes" if outcome == "yes" else "no"
                try:
                    venue.order(markets[market % len(markets)], side, count, limit)
                except OrderError as error:
                    if str(error) != "insufficient_balance":
                        raise
            case ("wait", float(seconds)):
                venue.wait(seconds)
            case ("cancel", int(number)):
                orders = list(venue.exchange.account.orders)
                venue.cancel(orders[number % len(orders)] if orders else "none")
        assert venue.cash >= 0
    return venue


def driven(seed: int, actions: list[tuple[object, ...]]) -> Venue:
    """The same, when all that was traded has been settled."""
    venue = acted(seed, actions)
    venue.until_all_is_settled()
    return venue


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_the_cash_is_what_came_in_and_what_every_fill_and_settlement_moved(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = driven(seed, actions)
    expected = sum((one.amount for one in only(venue.said, Transfer)), Decimal(0))
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in only(venue.said, Fill):
        sign = 1 if fill.side == "yes" else -1
        pairs = min(fill.count, max(Decimal(0), -sign * held[fill.ticker]))
        held[fill.ticker] += sign * fill.count
        assert fill.post_position == held[fill.ticker]
        expected += pairs - fill.count * fill.price - fill.fee
    expected += sum((one.revenue for one in only(venue.said, Settlement)), Decimal(0))
    assert venue.cash == expected


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_the_fills_of_an_order_add_up_to_what_its_state_says(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = driven(seed, actions)
    fills: dict[str, list[Fill]] = defaultdict(list)
    for change in venue.said:
        if isinstance(change, Fill):
            fills[change.order_id].append(change)
        elif isinstance(change, Order):
            mine = fills[change.order_id]
            assert change.filled == sum(fill.count for fill in mine)
            assert change.taker_cost + change.maker_cost == sum(f.count * f.price for f in mine)
            assert change.taker_fees == sum(fill.fee for fill in mine)
            assert change.fills == len(mine)
            assert change.remaining in (0, change.initial - change.filled)
            assert all(fill.price <= change.limit for fill in mine)
            assert all(change.created < fill.time <= change.updated for fill in mine)
    final = {order.order_id: order.status for order in only(venue.said, Order)}
    assert set(final.values()) <= {"executed", "canceled"}


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_a_settlement_pays_the_net_winning_contracts_at_the_close(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = driven(seed, actions)
    closes = {market.ticker: market.closes for market in only(venue.said, Listed)}
    results = {market.ticker: market.result for market in only(venue.said, Resolved)}
    for fill in only(venue.said, Fill):
        assert fill.time <= closes[fill.ticker] + SECOND
    for paid in only(venue.said, Settlement):
        mine = [fill for fill in only(venue.said, Fill) if fill.ticker == paid.ticker]
        won = sum(fill.count for fill in mine if fill.side == paid.result)
        lost = sum(fill.count for fill in mine if fill.side != paid.result)
        assert paid.revenue == max(0, won - lost)
        assert paid.result == results[paid.ticker]
        assert paid.time > closes[paid.ticker]
    traded = {fill.ticker for fill in only(venue.said, Fill)}
    assert {paid.ticker for paid in only(venue.said, Settlement)} == traded


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=20))
def test_everything_of_the_account_and_of_a_markets_life_has_a_millisecond_of_its_own(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = driven(seed, actions)
    for kind in (Fill | Listed | Resolved | Settled, Quote):
        times = [fact.time for fact in venue.said if isinstance(fact, kind)]
        assert times == sorted(set(times))
        assert all(time % 1000 == 0 for time in times)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_a_book_is_told_change_by_change_and_is_never_crossed(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = acted(seed, actions)
    books: dict[str, dict[Side, dict[Decimal, Decimal]]] = defaultdict(
        lambda: {"yes": {}, "no": {}}
    )
    clocks: dict[str, int] = defaultdict(int)
    for ticker, clock, changes in by_clock(venue.said):
        assert clock > clocks[ticker]
        clocks[ticker] = clock
        for change in changes:
            bids = books[ticker][change.side]
            bids[change.price] = bids.get(change.price, Decimal(0)) + change.delta
            assert bids[change.price] >= 0
            best = (
                max((p for p, s in one.items() if s), default=0) for one in books[ticker].values()
            )
            assert sum(best) < 1, "not even between the changes of one action"
    for market in venue.exchange.markets.values():
        for side, bids in books[market.ticker].items():
            left = [(price, size) for price, size in sorted(bids.items()) if size]
            assert left == market.book.bids(side)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_what_rests_of_the_account_is_in_the_book_under_its_orders_name(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = acted(seed, actions)
    told: dict[str, Decimal] = defaultdict(Decimal)
    for change in only(venue.said, BookChange):
        if change.client_order_id is not None:
            told[change.client_order_id] += change.delta
            assert told[change.client_order_id] >= 0
    final = {order.client_order_id: order.remaining for order in only(venue.said, Order)}
    assert {name: size for name, size in told.items() if size} == {
        name: size for name, size in final.items() if size
    }


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(_ACTIONS, max_size=40))
def test_every_fill_is_a_trade_that_everyone_sees(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    venue = driven(seed, actions)
    trades = Counter(
        (one.ticker, one.yes_price, one.count, one.taker) for one in only(venue.said, PublicTrade)
    )
    fills = Counter(
        (one.ticker, one.yes_price, one.count, one.side if one.is_taker else other(one.side))
        for one in only(venue.said, Fill)
    )
    assert fills <= trades
    assert len({one.trade_id for one in only(venue.said, PublicTrade)}) == trades.total()


def test_one_seed_gives_one_exchange() -> None:
    actions: list[tuple[object, ...]] = [
        ("order", 1, "yes", "40", "0.90"),
        ("wait", 2.0),
        ("order", 2, "no", "1", None),
    ]
    assert driven(7, actions).said == driven(7, actions).said
    assert driven(7, actions).said != driven(8, actions).said


def test_an_account_begins_without_cash_and_then_gets_some() -> None:
    said = [change for change in Venue().said if isinstance(change, Cash | Transfer)]
    match said:
        case [
            Cash(cash=nothing, time=before),
            Transfer(amount=amount, created=when),
            Cash(cash=some),
        ]:
            assert nothing == 0
            assert some == amount
            assert before // SECOND < when // SECOND
        case _:
            pytest.fail(f"{said}")


def test_the_cash_is_told_after_every_change_of_it() -> None:
    venue = Venue()
    venue.order(venue.open_markets[0], "yes", "5")
    venue.wait(14)
    told = only(venue.said, Cash)
    assert told[-1].cash == venue.cash
    assert len(told) >= 4
    assert all(one.cash != two.cash for one, two in pairwise(told))


def test_markets_open_all_the_time_around_the_price_and_are_settled() -> None:
    venue = Venue()
    venue.wait(60)
    opened = only(venue.said, Listed)
    assert len({market.ticker for market in opened}) == len(opened) >= 30
    strikes = [market.floor_strike for market in opened]
    assert all(strike is not None and abs(strike - 64000) < 500 for strike in strikes)
    assert all(market.closes % SECOND == 0 for market in opened)
    assert {5, 10} >= {round((m.closes - m.time) / SECOND / 5) * 5 for m in opened}
    settled = {market.ticker for market in only(venue.said, Settled)}
    assert settled == {m.ticker for m in opened if m.closes + 2 * SECOND <= venue.now}
    assert len({one.result for one in only(venue.said, Resolved)}) == 2


def test_quotes_are_about_what_a_contract_is_worth() -> None:
    venue = Venue()
    venue.wait(60)
    for quote in only(venue.said, Quote):
        assert 0 <= quote.bid.price < quote.ask.price <= 1
        assert quote.ask.price - quote.bid.price <= Decimal("0.06")
    results = {one.ticker: one.result for one in only(venue.said, Resolved)}
    last = {one.ticker: one for one in only(venue.said, Quote) if one.ticker in results}
    right = [(one.bid.price > Decimal("0.5")) == (results[t] == "yes") for t, one in last.items()]
    assert sum(right) > 0.8 * len(right)


def order_of(changes: list[Fact]) -> Order:
    """The last state of the order in these changes."""
    return only(changes, Order)[-1]


def test_more_than_there_is_is_filled_at_several_prices_and_the_rest_waits() -> None:
    venue = Venue()
    changes = venue.order(venue.open_markets[1], "yes", "200")
    order, fills = order_of(changes), only(changes, Fill)
    assert order.status == "resting"
    assert len(fills) == 5
    assert [fill.price for fill in fills] == sorted({fill.price for fill in fills})
    assert isinstance(changes[0], Order)
    assert changes[0].status == "resting"
    assert changes[0].filled == 0
    canceled = order_of(venue.cancel(order.order_id))
    assert canceled.status == "canceled"
    assert canceled.remaining == 0
    assert 0 < canceled.filled < 200
    assert venue.cancel(order.order_id) == []


def test_an_order_without_a_limit_takes_what_there_is_and_leaves_nothing() -> None:
    venue = Venue()
    order = order_of(venue.order(venue.open_markets[1], "no", "200", None))
    assert (order.kind, order.status, order.limit) == ("market", "canceled", HIGHEST_PRICE)
    assert 0 < order.filled < 200


def test_an_order_below_the_market_is_filled_when_the_market_comes_or_canceled_at_its_close() -> (
    None
):
    ends = set()
    for seed in range(10):
        venue = Venue(seed)
        for market in venue.open_markets:
            best = market.book.best("yes")
            if best is not None and best.price > Decimal("0.05"):
                placed = venue.order(market, "yes", "9", str(best.price - Decimal("0.03")))
                assert not only(placed, Fill)
        venue.until_all_is_settled()
        final = {order.order_id: order for order in only(venue.said, Order)}
        ends |= {(order.status, order.fills, order.reason) for order in final.values()}
        assert not any(fill.is_taker or fill.fee for fill in only(venue.said, Fill))
    assert {("executed", 2, "Trade"), ("canceled", 0, "CloseCancel")} <= ends


@pytest.mark.parametrize(
    ("count", "limit", "code"),
    [
        ("0.005", "0.50", "invalid_count"),
        ("1", "0.505", "invalid_price"),
        ("1", "1.00", "invalid_price"),
        ("100000", "0.99", "insufficient_balance"),
    ],
)
def test_an_order_that_the_venue_refuses_changes_nothing(count: str, limit: str, code: str) -> None:
    venue = Venue()
    said, cash = list(venue.said), venue.cash
    with pytest.raises(OrderError, match=code):
        venue.order(venue.open_markets[0], "yes", count, limit)
    assert (venue.said, venue.cash) == (said, cash)
    assert not venue.exchange.account.orders


def test_the_same_client_order_id_is_refused_for_ever() -> None:
    venue = Venue()
    market = venue.open_markets[0]

    def place() -> None:
        venue.exchange.place(venue.now, market.ticker, "yes", Decimal(1), Decimal("0.99"), "mine")

    place()
    cash = venue.cash
    with pytest.raises(OrderError, match="order_already_exists"):
        place()
    assert venue.cash == cash
    venue.until_all_is_settled()
    with pytest.raises(OrderError, match="order_already_exists"):
        place()


def test_a_market_takes_orders_until_it_closes() -> None:
    venue = Venue()
    market = venue.open_markets[0]
    venue.wait((market.closes - venue.now) / SECOND)
    with pytest.raises(OrderError, match="market_closed"):
        venue.order(market, "yes", "1")
    venue.wait(5)
    with pytest.raises(OrderError, match="market_not_found"):
        venue.order(market, "yes", "1")


def test_an_order_whose_cover_is_gone_and_that_the_cash_cannot_pay_is_canceled() -> None:
    venue = Venue()
    market = min(venue.open_markets, key=lambda one: one.fair_cents(venue.now, Decimal(64000)))
    venue.order(market, "yes", "5")
    covered = order_of(venue.order(market, "no", "5", "0.30"))
    assert covered.covered == 5
    assert covered.hold == 0
    venue.order(market, "no", "5")
    assert venue.exchange.account.position(market.ticker).net == 0
    venue.exchange.account.cash = Decimal(0)
    market.book.quote(80, venue.exchange._random)
    gone, canceled = venue.exchange._reach(market, covered, venue.now)
    assert isinstance(gone, BookChange)
    assert (gone.side, gone.price) == ("no", covered.limit)
    assert gone.delta == -5
    assert isinstance(canceled, Order)
    assert (canceled.status, canceled.reason) == ("canceled", "MarginCancel")


def test_the_cash_is_topped_up_before_it_is_used_up() -> None:
    venue = Venue(now=NOON)
    market = venue.open_markets[0]
    best = market.book.best("yes")
    assert best is not None
    resting = order_of(venue.order(market, "yes", "10000", "0.09"))
    assert resting.hold + venue.cash == 1000
    venue.wait(0.1)
    assert venue.cash == 1000 + 1000 - resting.hold


def test_an_order_that_meets_one_of_the_accounts_own_is_canceled_instead_of_traded() -> None:
    venue = Venue()
    market = venue.open_markets[1]
    best = market.book.best("yes")
    assert best is not None
    mine = best.price - CENT
    resting = order_of(venue.order(market, "yes", "3", str(mine)))
    facts = venue.order(market, "no", "200")
    assert all(1 - fill.price >= mine for fill in only(facts, Fill))
    order = order_of(facts)
    assert (order.status, order.reason) == ("canceled", "SelfTradeCancel")
    assert venue.exchange.account.orders[resting.order_id] == resting
