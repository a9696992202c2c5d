"""Rows of the old tables become the facts that they were made of."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.kalshi import legacy_rows
from streams.connectors.kalshi.legacy_values import local_time, rounded
from streams.connectors.values import FrameError

from .said import DELIVERY, OLD_POSITION, RECEIVED, TICKER

FILL: dict[str, Any] = {
    "id": 3,
    "trade_id": "t-1",
    "ticker": TICKER,
    "order_id": "o-1",
    "side": "no",
    "action": "buy",
    "count": 200,
    "yes_price": 0.04,
    "no_price": 0.96,
    "is_taker": 1,
    "created_time": "2025-08-07T14:48:58.93915Z",
    "raw_json": "{}",
}
ORDER: dict[str, Any] = {
    "id": 4,
    "order_id": "o-1",
    "user_id": "u",
    "ticker": TICKER,
    "status": "canceled",
    "action": "buy",
    "side": "no",
    "type": "market",
    "yes_price": 1,
    "no_price": 99,
    "initial_count": 10,
    "remaining_count": 0,
    "fill_count": 5,
    "created_time": "2025-07-28T15:48:57.939152Z",
    "expiration_time": None,
    "last_update_time": "2025-07-28T15:48:57.939152Z",
    "client_order_id": "mine-1",
    "order_group_id": "",
    "queue_position": 0,
    "maker_fees": 0,
    "taker_fees": 6,
    "maker_fill_cost": 0,
    "taker_fill_cost": 480,
}
SETTLEMENT: dict[str, Any] = {
    "id": 5,
    "ticker": TICKER,
    "market_result": "yes",
    "yes_count": 22,
    "yes_total_cost": 21.12,
    "no_count": 2,
    "no_total_cost": 0.19999999999999996,
    "revenue": 20.0,
    "settled_time": "2025-08-07T14:07:19.856028Z",
}
POSITION: dict[str, Any] = {
    "ticker": TICKER,
    "total_traded": 200,
    "position": -200,
    "market_exposure": 1_920_000,
    "realized_pnl": 0.0,
    "fees_paid": 5400.0,
    "last_updated_ts": "2025-08-07T11:00:27.586015-04:00",
}
REST_ITEM = {"market_exposure": 19200, "realized_pnl": -150, "fees_paid": 54}


def test_a_fill_in_real_dollars_keeps_its_row() -> None:
    fill = legacy_rows.fill(FILL, DELIVERY)
    assert (fill.origin, fill.side, fill.yes_price) == ("legacy", "no", Decimal("0.04"))
    assert (fill.count, fill.is_taker, fill.fee) == (Decimal(200), True, None)
    assert fill.time == 1_754_578_138_939_150
    assert fill.raw is not None
    assert json.loads(fill.raw) == FILL


def test_a_fill_of_postgresql_may_hold_decimals_and_times() -> None:
    row = {
        **FILL,
        "yes_price": Decimal("0.04"),
        "no_price": Decimal("0.96"),
        "is_taker": True,
        "created_at": datetime(2025, 8, 7, tzinfo=UTC),
    }
    assert legacy_rows.fill(row, DELIVERY).yes_price == Decimal("0.04")


def test_a_sold_side_is_the_other_side_acquired() -> None:
    assert legacy_rows.fill({**FILL, "action": "sell"}, DELIVERY).side == "yes"
    assert legacy_rows.fill({**FILL, "side": "Y"}, DELIVERY).side == "yes"


@pytest.mark.parametrize("no_price", [0.95, 0.965, float("nan"), "0.96"])
def test_a_price_that_cannot_be_right_is_refused(no_price: object) -> None:
    with pytest.raises(FrameError):
        legacy_rows.fill({**FILL, "no_price": no_price}, DELIVERY)


def test_an_order_in_whole_cents_may_be_canceled_and_partly_filled() -> None:
    order = legacy_rows.order(ORDER, DELIVERY)
    assert (order.origin, order.status, order.kind, order.side) == (
        "legacy",
        "canceled",
        "market",
        "no",
    )
    assert (order.yes_price, order.fill_cost, order.fees) == (
        Decimal("0.01"),
        Decimal("4.80"),
        Decimal("0.06"),
    )
    counts = (order.initial_count, order.fill_count, order.remaining_count)
    assert counts == (Decimal(10), Decimal(5), Decimal(0))
    assert order.updated == order.created == 1_753_717_737_939_152
    assert order.expires is None


def test_a_settlement_in_real_dollars_loses_the_dust_of_floats() -> None:
    settlement = legacy_rows.settlement(SETTLEMENT, DELIVERY)
    assert (settlement.yes_cost, settlement.no_cost) == (Decimal("21.12"), Decimal("0.20"))
    assert (settlement.revenue, settlement.value) == (Decimal(20), Decimal(1))
    assert (settlement.yes_count, settlement.no_count) == (Decimal(22), Decimal(2))


def test_a_settlement_without_profit_has_no_revenue() -> None:
    even = {**SETTLEMENT, "yes_count": 1, "no_count": 1, "revenue": 0.0}
    assert legacy_rows.settlement(even, DELIVERY).revenue == 0


def test_a_balance_is_whole_cents_in_eastern_time() -> None:
    row = {"id": 1, "balance": 123456.0, "timestamp": "2025-08-07T10:48:58.939150"}
    balance = legacy_rows.balance(row, DELIVERY)
    assert (balance.balance, balance.exact, balance.origin) == (Decimal("1234.56"), False, "legacy")
    assert balance.time == 1_754_578_138_939_150


@pytest.mark.parametrize("time", ["2025-08-07T14:48:58Z", "2025-08-07T10:48:58-04:00"])
def test_a_time_with_an_offset_is_that_time(time: str) -> None:
    balance = legacy_rows.balance({"balance": 1, "timestamp": time}, DELIVERY)
    assert balance.time == 1_754_578_138_000_000


def test_a_balance_without_a_time_has_the_receive_time() -> None:
    assert legacy_rows.balance({"balance": 1, "timestamp": None}, DELIVERY).time == RECEIVED


@pytest.mark.parametrize("row", [{"balance": None}, {"balance": 1234.56}, {"balance": "1"}])
def test_a_balance_that_is_no_number_of_cents_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="balance"):
        legacy_rows.balance(row, DELIVERY)


def test_a_position_written_by_the_websocket_is_read_in_centi_cents() -> None:
    row = {**POSITION, "raw_json": json.dumps({"type": "market_position", "msg": OLD_POSITION})}
    position = legacy_rows.position(row, DELIVERY)
    assert position.position == -200
    assert (position.cost, position.fees) == (Decimal(192), Decimal("0.54"))
    assert position.time == 1_754_578_827_586_015


def test_a_position_written_by_rest_is_read_in_cents() -> None:
    position = legacy_rows.position({**POSITION, "raw_json": json.dumps(REST_ITEM)}, DELIVERY)
    assert (position.cost, position.realized_pnl, position.fees) == (
        Decimal(192),
        Decimal("-1.5"),
        Decimal("0.54"),
    )


def test_the_money_of_a_position_without_its_message_is_not_known() -> None:
    position = legacy_rows.position(POSITION, DELIVERY)
    assert position.position == -200
    assert (position.cost, position.realized_pnl, position.fees) == (None, None, None)


@given(cents=st.integers(-(10**12), 10**12))
def test_cents_survive_a_float_of_eight_bytes(cents: int) -> None:
    assert rounded({"x": cents / 100}, "x") == Decimal(cents).scaleb(-2)


def test_a_float_of_four_bytes_is_near_enough() -> None:
    assert rounded({"x": 0.9599999785423279}, "x") == Decimal("0.96")
    assert str(rounded({"x": -0.0}, "x")) == "0.00"


def test_the_hour_that_autumn_repeats_is_told_by_what_is_near() -> None:
    first, second = 1_762_061_400_000_000, 1_762_065_000_000_000
    assert local_time("2025-11-02T01:30:00") == first
    assert local_time("2025-11-02T01:30:00", near=second + 1) == second
