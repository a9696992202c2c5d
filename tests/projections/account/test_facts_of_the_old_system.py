"""The checks that the old system's data allow, with their numbers."""

from decimal import Decimal
from itertools import permutations

import pytest

from projections.account.values import taker_fee
from streams.events import Event
from tests.projections.account.examples import (
    ASKED,
    SECOND,
    closed,
    fill,
    opened,
    order,
    position,
    settlement,
)
from tests.projections.account.projected import reset, row, rows, run, tables

pytestmark = pytest.mark.usefixtures("both_ways")


def test_fills_replayed_twice_change_nothing(migrated_dsn: str) -> None:
    events: list[Event] = [opened(), order(opened()), fill(), settlement()]
    run(migrated_dsn, events)
    once = tables(migrated_dsn)
    reset(migrated_dsn)
    run(migrated_dsn, events * 2, [1, 3, 2])
    assert tables(migrated_dsn) == once


def test_the_fills_of_one_order_give_one_price_and_one_fee_in_any_order(migrated_dsn: str) -> None:
    fills = [
        fill(trade_id="f1", count="5", yes_price="0.04", time=ASKED + 2000),
        fill(trade_id="f2", count="12", yes_price="0.05", time=ASKED + 2000),
        fill(trade_id="f3", count="3", yes_price="0.06", time=ASKED + 2500),
    ]
    for some in permutations(fills):
        reset(migrated_dsn)
        run(migrated_dsn, [opened(), order(opened()), *some], [1, 1, 1, 1])
        trade = row(migrated_dsn, "trades")
        # (5 x 0.96 + 12 x 0.95 + 3 x 0.94) / 20
        assert trade["buy_price"] == Decimal("0.951")
        # Up to the next cent for each: 0.01344, 0.0399, 0.011844
        assert trade["fees"] == Decimal("0.02") + Decimal("0.04") + Decimal("0.02")
        assert trade["fee_estimated"]


@pytest.mark.parametrize(("count", "fee"), [("20", "0.06"), ("200", "0.54")])
def test_the_fee_of_contracts_at_96_cents(migrated_dsn: str, count: str, fee: str) -> None:
    run(migrated_dsn, [opened(count=count), order(opened()), fill(count=count)])
    assert row(migrated_dsn, "trades")["fees"] == Decimal(fee)
    assert taker_fee(Decimal(count), Decimal("0.96")) == Decimal(fee)


def test_a_settlement_pays_the_net_of_22_yes_and_2_no(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            fill(trade_id="f1", side="yes", count="22", yes_price="0.60"),
            fill(trade_id="f2", side="no", count="2", yes_price="0.70", time=ASKED + 9000),
            settlement(result="yes", value="1", yes_count="22", no_count="2", revenue="20.00"),
        ],
    )
    held = row(migrated_dsn, "positions")
    assert held["payout"] == 20
    assert not rows(migrated_dsn, "position_differences")
    # Two pairs returned 2 dollars for 1.20 + 0.60, twenty more return 20 for 12.
    assert held["realized_pnl"] == Decimal("0.20") + Decimal("8.00")


def test_a_closed_trade_that_also_settles_stays_as_it_was(migrated_dsn: str) -> None:
    life = [
        opened(side="yes", count="1"),
        order(opened(side="yes"), initial_count="1", fill_count="1"),
        fill(side="yes", count="1", yes_price="0.60"),
        closed(side="no"),
        order(closed(side="no"), order_id="o2", initial_count="1", fill_count="1"),
        fill(trade_id="f2", order_id="o2", count="1", yes_price="0.70", time=ASKED + 60 * SECOND),
    ]
    run(migrated_dsn, life)
    before = row(migrated_dsn, "trades")
    assert before["status"] == "closed"
    reset(migrated_dsn)
    zero = settlement(result="yes", value="1", yes_count="1", no_count="1", revenue="0")
    run(migrated_dsn, [*life, zero])
    assert row(migrated_dsn, "trades") == before
    assert row(migrated_dsn, "positions")["payout"] == 0


def test_a_close_by_buying_the_other_side_at_2_cents_sells_at_98(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            opened(),
            order(opened()),
            fill(),
            closed(),
            order(closed(), order_id="o2"),
            fill(trade_id="f2", order_id="o2", side="yes", yes_price="0.02", time=ASKED + SECOND),
        ],
    )
    trade = row(migrated_dsn, "trades")
    assert trade["sell_price"] == Decimal("0.98")
    assert trade["status"] == "closed"
    assert trade["close_method"] == "manual"


def test_a_no_trade_of_20_at_96_that_expires_as_winner(migrated_dsn: str) -> None:
    run(migrated_dsn, [opened(), order(opened()), fill(fee="0.06"), settlement()])
    trade = row(migrated_dsn, "trades")
    assert (trade["pnl"], trade["win_loss"]) == (Decimal("0.74"), "W")
    assert (trade["sell_price"], trade["close_method"]) == (1, "expired")
    assert not trade["fee_estimated"]


def test_a_canceled_order_with_5_of_10_filled_is_a_position_of_5(migrated_dsn: str) -> None:
    partly = order(
        opened(), status="canceled", initial_count="10", fill_count="5", remaining_count="0"
    )
    run(migrated_dsn, [opened(count="10"), partly, fill(count="5")])
    trade = row(migrated_dsn, "trades")
    assert (trade["status"], trade["position"], trade["canceled"]) == ("open", 5, 5)


def test_a_position_of_minus_200_is_200_no(migrated_dsn: str) -> None:
    run(migrated_dsn, [fill(count="200"), position(position="-200", cost="192.00")])
    assert row(migrated_dsn, "positions")["position"] == -200
    assert row(migrated_dsn, "venue_positions")["cost"] == 192
    assert not rows(migrated_dsn, "position_differences")


def test_times_with_5_and_6_digits_compare_as_times(migrated_dsn: str) -> None:
    """10:00:00.9 is later than 10:00:00.123456, although its text is shorter."""
    early, late = ASKED + 123_456, ASKED + 900_000
    run(
        migrated_dsn,
        [
            opened(count="10", origin="legacy"),
            fill(trade_id="late", order_id=None, count="10", time=late),
            fill(trade_id="early", order_id=None, count="10", time=early),
        ],
    )
    matched = {one["trade_id"] for one in rows(migrated_dsn, "trade_fills") if one["ticket_id"]}
    assert matched == {"early"}
