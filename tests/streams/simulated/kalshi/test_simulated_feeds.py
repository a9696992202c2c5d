"""The real feeds of Kalshi, beside the simulated venue, produce all that happened there."""

from decimal import Decimal

import pytest

from streams.connectors.kalshi.books import KalshiBooksParser
from streams.events import (
    Balance,
    BookDelta,
    BookSnapshot,
    Fill,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
    MarketTicker,
    MarketTrade,
    Order,
    Position,
    PriceIndex,
    Settlement,
    Transfer,
    Unparsed,
)
from streams.events.tickers import read_ticker
from streams.events.types import Side, micros_of
from streams.simulated.kalshi.markets import SECOND, SERIES
from tests.streams.simulated.kalshi.driving import ACCOUNT, NOON, Run, only


@pytest.fixture(scope="module")
def run() -> Run:
    run = Run(2, with_markets=True)
    run.go(60)
    return run


def test_everything_can_be_read_and_comes_back_from_the_log_as_it_was(run: Run) -> None:
    kinds = {type(event) for event in run.events}
    assert kinds >= {Fill, Order, Position, Settlement, Balance, Transfer}
    assert kinds >= {MarketDescribed, MarketDetermined, MarketSettled, MarketTicker, MarketTrade}
    assert kinds >= {BookSnapshot, BookDelta, PriceIndex}
    assert not any(issubclass(kind, Unparsed) for kind in kinds)
    for event in run.events:
        assert type(event).model_validate_json(event.to_json()) == event


def test_every_fill_and_every_state_of_an_order_is_produced_once(run: Run) -> None:
    portfolio, now = run.simulation.venue.portfolio, run.simulation.venue.as_of
    made = {held.fact.trade_id: held.fact for held in portfolio.fills.seen(now)}
    fills = only(run.events, Fill)
    assert sorted(fill.trade_id for fill in fills) == sorted(made)
    for fill in fills:
        one = made[fill.trade_id]
        assert (fill.account, fill.order_id) == (ACCOUNT, one.order_id)
        assert (fill.ticker, fill.side, fill.count) == (one.ticker, one.side, one.count)
        assert (fill.yes_price, fill.fee, fill.time) == (one.yes_price, one.fee, one.time)
        assert (fill.is_taker, fill.post_position) == (one.is_taker, one.post_position)
    final = {order.order_id: order for order in only(run.events, Order)}
    placed = {held.fact.order_id: held.fact for held in portfolio.orders.seen(now)}
    assert set(final) == set(placed)
    for order_id, order in final.items():
        one_ = placed[order_id]
        assert (order.side, order.status, order.reason) == (one_.side, one_.status, one_.reason)
        assert (order.initial_count, order.fill_count) == (one_.initial, one_.filled)
        assert order.remaining_count == one_.remaining
        assert order.fill_cost == one_.taker_cost + one_.maker_cost
        assert (order.created, order.updated) == (one_.created, one_.updated)


def test_settlements_deposits_and_cash_are_read_to_the_cent(run: Run) -> None:
    portfolio, now = run.simulation.venue.portfolio, run.simulation.venue.as_of
    paid = {held.fact.ticker: held.fact for held in portfolio.settlements.seen(now)}
    settlements = only(run.events, Settlement)
    assert sorted(one.ticker for one in settlements) == sorted(paid)
    for one in settlements:
        before = paid[one.ticker].before
        assert (one.result, one.revenue) == (paid[one.ticker].result, paid[one.ticker].revenue)
        assert (one.yes_count, one.no_count) == (before.yes_count, before.no_count)
        assert one.time == paid[one.ticker].time
    (transfer,) = only(run.events, Transfer)
    assert (transfer.kind, transfer.status) == ("deposit", "applied")
    assert transfer.amount == 1000
    last = only(run.events, Balance)[-1]
    assert (last.balance, last.exact) == (run.simulation.exchange.account.cash, True)


def test_what_is_held_is_what_the_last_position_of_each_market_says(run: Run) -> None:
    account = run.simulation.exchange.account
    told = {position.ticker: position for position in only(run.events, Position)}
    held = {ticker: one.position for ticker, one in told.items() if one.position}
    assert held == {ticker: one.net for ticker, one in account.positions.items() if one.net}


def test_markets_are_described_determined_and_settled(run: Run) -> None:
    markets = run.simulation.venue.markets
    described = {one.ticker: one for one in only(run.events, MarketDescribed) if one.title}
    assert set(described) == set(markets)
    for ticker, one in described.items():
        listed = markets[ticker].listed
        assert (one.closes, one.floor_strike) == (listed.closes, listed.floor_strike)
        assert (one.event_ticker, one.series) == (listed.event, SERIES)
        assert (one.title, one.subtitle) == (listed.title, listed.subtitle)
        assert one.strike_type == "greater"
    results = {one.ticker: one.result for one in only(run.events, MarketDetermined)}
    assert results == {ticker: one.result for ticker, one in markets.items() if one.result}
    settled = {one.ticker for one in only(run.events, MarketSettled)}
    assert settled == {ticker for ticker, one in markets.items() if one.settled is not None}
    assert len(settled) > 20


def test_a_ticker_tells_the_strike_and_never_an_earlier_close(run: Run) -> None:
    for ticker, market in run.simulation.venue.markets.items():
        told, floor = read_ticker(ticker), market.listed.floor_strike
        assert floor is not None
        assert told.strike == floor + Decimal("0.01")
        assert (told.series, told.event) == (SERIES, market.listed.event)
        assert told.closes is None or micros_of(told.closes) >= market.closes


def test_public_trades_and_the_last_quote_of_each_market_are_produced(run: Run) -> None:
    markets = run.simulation.venue.markets
    made = {one.trade_id: one for market in markets.values() for one in market.trades}
    trades = {one.trade_id: one for one in only(run.events, MarketTrade)}
    assert set(trades) == set(made)
    for trade_id, trade in trades.items():
        one = made[trade_id]
        assert (trade.ticker, trade.yes_price, trade.count) == (
            one.ticker,
            one.yes_price,
            one.count,
        )
        assert trade.taker_side == one.taker
    quotes = {one.ticker: one for one in only(run.events, MarketTicker)}
    for ticker, quote in quotes.items():
        last = markets[ticker].quotes[-1]
        assert (quote.yes_bid, quote.yes_ask) == (last.bid.price, last.ask.price)
        assert (quote.volume, quote.time) == (last.volume, last.time)


def test_the_books_of_the_open_markets_are_those_of_the_exchange(run: Run) -> None:
    parser = run.markets[1].parser
    assert isinstance(parser, KalshiBooksParser)
    exchange = run.simulation.exchange
    assert set(parser.books) == {
        ticker for ticker, market in exchange.markets.items() if market.status != "determined"
    }
    sides: tuple[Side, ...] = ("yes", "no")
    for ticker, market in exchange.markets.items():
        depth = run.simulation.venue.markets[ticker].depth
        for side in sides:
            assert depth.bids(side) == market.book.bids(side)
            if ticker in parser.books:
                levels = sorted(parser.books[ticker].levels[side].items())
                assert levels == market.book.bids(side)


def test_the_index_is_the_simulated_price_of_each_second(run: Run) -> None:
    values = only(run.events, PriceIndex)
    assert [one.time for one in values] == [NOON + n * SECOND for n in range(1, 60)]
    assert {(one.venue, one.symbol) for one in values} == {("simulated", "BRTI")}
    assert all(abs(one.price - 64000) < 1000 for one in values)


def test_what_was_quoted_and_traded_is_forgotten_ten_minutes_after_the_settlement() -> None:
    run = Run(3)
    run.go(20)
    markets = run.simulation.venue.markets
    first = next(market for market in markets.values() if market.settled is not None)
    assert first.quotes
    run.simulation.advance(NOON + 640 * SECOND, Decimal(64000))
    assert not first.quotes
    assert not first.trades
