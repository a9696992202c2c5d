"""What the venue says is Kalshi's JSON, and the connector reads from it what happened."""

from decimal import Decimal

import orjson
import pytest

from streams.events import (
    Balance,
    Event,
    Fill,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
    MarketTicker,
    Order,
    Position,
    Settlement,
    Transfer,
    Unparsed,
)
from streams.events.tickers import read_ticker
from streams.events.types import micros_of
from streams.simulated.kalshi import changes, orders, positions
from streams.simulated.kalshi.changes import Change
from streams.simulated.kalshi.executor import Executor
from streams.simulated.kalshi.frames import Frames
from streams.simulated.kalshi.markets import SECOND
from streams.simulated.kalshi.simulation import Simulation
from streams.simulated.kalshi.trader import Trader
from tests.streams.simulated.kalshi.driving import ACCOUNT, NOON, Venue, only, simulated


def happened(seconds: int) -> list[Change]:
    """What a trader and the venue did, as the exchange reports it."""
    venue = Venue()
    trader = Trader(ACCOUNT, venue.exchange, 1)
    executor = Executor(ACCOUNT, venue.exchange)
    for _ in range(seconds * 20):
        for command in trader.commands(venue.now):
            venue.said += [
                change
                for change in executor.execute(command, venue.now)
                if not isinstance(change, Event)
            ]
        venue.wait(0.05)
    return venue.said


CHANGES = happened(60)


def read(change: Change) -> list[Event]:
    """What the connector reads of a change."""
    return Simulation(ACCOUNT, 1, NOON)._read([change], NOON)


def test_the_connector_can_read_everything() -> None:
    events = list(simulated(2, 60))
    assert not [event for event in events if isinstance(event, Unparsed)]
    kinds = {type(event) for event in events}
    assert kinds >= {Fill, Order, Position, Settlement, Balance, Transfer, MarketTicker}
    assert kinds >= {MarketDescribed, MarketDetermined, MarketSettled}
    for event in events:
        assert type(event).model_validate_json(event.to_json()) == event


def test_a_fill_is_read_as_it_happened() -> None:
    for change in only(CHANGES, orders.Fill):
        (event,) = read(change)
        assert isinstance(event, Fill)
        assert event.account == ACCOUNT
        assert (event.trade_id, event.order_id) == (change.trade_id, change.order_id)
        assert event.client_order_id == change.client_order_id
        assert (event.ticker, event.side, event.count) == (change.ticker, change.side, change.count)
        assert (event.yes_price, event.fee) == (change.yes_price, change.fee)
        assert (event.is_taker, event.post_position) == (change.is_taker, change.post_position)
        assert event.time == change.time


def test_an_order_is_read_as_it_is() -> None:
    for change in only(CHANGES, orders.Order):
        (event,) = read(change)
        assert isinstance(event, Order)
        assert (event.order_id, event.client_order_id) == (change.order_id, change.client_order_id)
        assert (event.side, event.status) == (change.side, change.status)
        limit = event.yes_price if change.side == "yes" else 1 - (event.yes_price or Decimal(2))
        assert limit == change.limit
        assert event.initial_count == change.initial
        assert (event.fill_count, event.remaining_count) == (change.filled, change.remaining)
        assert event.fill_cost == change.taker_cost + change.maker_cost
        assert event.fees == change.taker_fees
        assert (event.created, event.updated) == (change.created, change.updated)
        assert event.reason == change.reason


def test_a_position_is_read_as_it_is() -> None:
    for change in only(CHANGES, positions.Position):
        (event,) = read(change)
        assert isinstance(event, Position)
        assert (event.ticker, event.position) == (change.ticker, change.net)
        assert (event.cost, event.realized_pnl) == (change.cost, change.realized_pnl)
        assert (event.fees, event.time) == (change.fees, change.updated)


def test_a_settlement_is_read_as_it_paid() -> None:
    for change in only(CHANGES, positions.Settlement):
        (event,) = read(change)
        assert isinstance(event, Settlement)
        assert (event.ticker, event.result) == (change.ticker, change.result)
        assert (event.revenue, event.time) == (change.revenue, change.time)
        assert event.yes_count == change.before.yes_count
        assert event.no_count == change.before.no_count
        assert event.value == (1 if change.result == "yes" else 0)
        net = abs(event.yes_count - event.no_count)
        assert event.revenue in (0, net)


def test_cash_and_deposits_are_read_to_the_cent_in_whole_seconds() -> None:
    for seen in only(CHANGES, changes.Cash):
        (event,) = read(seen)
        assert isinstance(event, Balance)
        assert (event.balance, event.exact) == (seen.cash, True)
        assert event.time == seen.time // SECOND * SECOND
    (deposit,) = only(CHANGES, changes.Deposit)
    (transfer,) = read(deposit)
    assert isinstance(transfer, Transfer)
    assert (transfer.kind, transfer.status) == ("deposit", "applied")
    assert transfer.amount == deposit.amount == 1000
    assert transfer.finalized == deposit.time // SECOND * SECOND


def test_a_quote_is_read_as_it_is() -> None:
    for change in only(CHANGES, changes.Quote):
        (event,) = read(change)
        assert isinstance(event, MarketTicker)
        assert (event.yes_bid, event.yes_bid_size) == change.bid
        assert (event.yes_ask, event.yes_ask_size) == change.ask
        assert (event.volume, event.open_interest) == (change.volume, change.open_interest)
        assert (event.ticker, event.time) == (change.ticker, change.time)


def test_a_market_is_described_and_then_active() -> None:
    for change in only(CHANGES, changes.Opened):
        created, activated = read(change)
        assert isinstance(created, MarketDescribed)
        assert isinstance(activated, MarketDescribed)
        assert (created.closes, created.floor_strike) == (change.closes, change.floor_strike)
        assert (created.event_ticker, created.series) == (change.event, "KXBTCSIM")
        assert (created.title, created.subtitle) == (change.title, change.subtitle)
        assert (created.strike_type, activated.status) == ("greater", "active")
        assert activated.closes is None


def test_a_ticker_tells_the_strike_and_never_an_earlier_close() -> None:
    for market in only(CHANGES, changes.Opened):
        told = read_ticker(market.ticker)
        assert told.strike == market.floor_strike + Decimal("0.01")
        assert (told.series, told.event) == ("KXBTCSIM", market.event)
        assert told.closes is None or micros_of(told.closes) >= market.closes


def test_a_result_and_a_payment_are_read_at_their_second() -> None:
    for resolved in only(CHANGES, changes.Resolved):
        (event,) = read(resolved)
        assert isinstance(event, MarketDetermined)
        assert event.result == resolved.result
        assert event.value == (1 if resolved.result == "yes" else 0)
        assert event.time == resolved.time // SECOND * SECOND
    for settled in only(CHANGES, changes.Settled):
        (event,) = read(settled)
        assert isinstance(event, MarketSettled)
        assert event.time == settled.time // SECOND * SECOND


@pytest.mark.parametrize(
    ("kind", "sid"),
    [
        (orders.Fill, 1),
        (orders.Order, 2),
        (positions.Position, 3),
        (changes.Quote, 4),
        (changes.Opened, 5),
    ],
)
def test_a_frame_has_the_envelope_of_its_channel(kind: type[Change], sid: int) -> None:
    frames = Frames()
    said = [said for change in only(CHANGES, kind) for said in frames.say(change)]
    for number, one in enumerate(said, 1):
        frame = orjson.loads(one.data)
        assert (frame["type"], frame["sid"]) == (one.kind, sid)
        assert frame["sending_ts_ms"] > NOON // 1000 - 1000
        assert frame.get("seq") == (number if sid == 5 else None)


def test_money_and_counts_are_text_with_the_venue_s_digits() -> None:
    (said,) = Frames().say(only(CHANGES, orders.Fill)[0])
    fill = orjson.loads(said.data)["msg"]
    assert len(fill["yes_price_dollars"].partition(".")[2]) == 4
    assert len(fill["count_fp"].partition(".")[2]) == 2
    assert len(fill["fee_cost"].partition(".")[2]) == 6
    (said,) = Frames().say(only(CHANGES, changes.Cash)[-1])
    balance = orjson.loads(said.data)
    assert balance["balance"] == int(Decimal(balance["balance_dollars"]) * 100)
