"""Kalshi's numbers, sides and times are converted exactly, or refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.kalshi import values
from streams.connectors.values import FrameError

SECOND = 1_000_000


@given(cents=st.integers(-(10**15), 10**15))
def test_whole_cents_and_fixed_point_text_are_the_same_dollars(cents: int) -> None:
    sign, magnitude = "-" if cents < 0 else "", abs(cents)
    text = f"{sign}{magnitude // 100}.{magnitude % 100:02d}00"
    assert values.money({"cost": cents}, "cost") == values.money({"cost_dollars": text}, "cost")


def test_centi_cents_are_ten_thousandths_of_a_dollar() -> None:
    assert values.money({"cost": 1_920_000}, "cost", values.CENTI_CENTS) == 192


def test_text_keeps_its_trailing_zeros_and_fractions() -> None:
    assert str(values.money({"fee_dollars": "0.210540"}, "fee")) == "0.210540"
    assert str(values.count({"count_fp": "227.27"}, "count")) == "227.27"
    assert str(values.money({"pnl_dollars": "-0.0000"}, "pnl")) == "0.0000"


def test_text_goes_before_the_whole_number_that_cuts_it_off() -> None:
    both = {"balance": 99946, "balance_dollars": "999.4625"}
    assert values.money(both, "balance") == Decimal("999.4625")
    assert values.money({"yes_price": 60, "yes_price_fixed": "0.6000"}, "yes_price") == Decimal(
        "0.6"
    )


@pytest.mark.parametrize("companion", [[0, 0], "", None])
def test_a_companion_without_text_leaves_the_whole_number(companion: object) -> None:
    assert values.money({"fees": 54, "fees_dollars": companion}, "fees") == Decimal("0.54")


@pytest.mark.parametrize("item", [{"fees": 0.54}, {"fees_dollars": 0.54}, {"fees_dollars": 1}])
def test_a_json_number_is_no_amount_of_dollars(item: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="fees"):
        values.money(item, "fees")


@pytest.mark.parametrize("value", [True, "54", 2**63, {}])
def test_cents_that_are_no_whole_number_are_refused(value: object) -> None:
    with pytest.raises(FrameError, match="fees"):
        values.money({"fees": value}, "fees")


def test_a_sum_of_thirty_digits_is_exact() -> None:
    huge, least = Decimal(99999999999999999999), Decimal("0.0000000001")
    assert str(values.total(huge, None, least)) == "99999999999999999999.0000000001"
    assert values.total(None, None) is None


def test_either_price_gives_the_price_of_yes() -> None:
    assert values.yes_price({"yes_price": 4}) == Decimal("0.04")
    assert values.yes_price({"no_price_dollars": "0.9625"}) == Decimal("0.0375")
    assert values.yes_price({"yes_price": 4, "no_price": 96}) == Decimal("0.04")
    assert values.yes_price({}) is None


def test_prices_that_do_not_make_a_dollar_are_refused() -> None:
    with pytest.raises(FrameError, match="do not make 1"):
        values.yes_price({"yes_price": 4, "no_price": 95})


@pytest.mark.parametrize(
    ("item", "side"),
    [
        ({"outcome_side": "no"}, "no"),
        ({"outcome_side": "yes", "side": "no", "action": "buy"}, "yes"),
        ({"book_side": "bid"}, "yes"),
        ({"book_side": "ask"}, "no"),
        ({"purchased_side": "no", "side": "yes", "action": "sell"}, "no"),
        ({"action": "buy", "side": "yes"}, "yes"),
        ({"action": "sell", "side": "no"}, "yes"),
        ({"action": "buy", "side": "no"}, "no"),
        ({"action": "sell", "side": "yes"}, "no"),
        ({"action": "sell", "side": "Y"}, "no"),
        ({"action": "sell_to_close", "side": "N"}, "yes"),
        ({"side": "yes", "is_yes": True}, "yes"),
        ({"action": "", "side": "yes", "is_yes": False}, "no"),
    ],
)
def test_the_outcome_acquired_is_resolved_from_what_is_given(
    item: dict[str, Any], side: str
) -> None:
    assert values.acquired(item) == side


@pytest.mark.parametrize(
    "item",
    [
        {"outcome_side": "yes", "book_side": "ask"},
        {"outcome_side": "maybe"},
        {"action": "hold", "side": "yes"},
        {"side": "yes"},
        {"is_yes": "yes"},
        {},
    ],
)
def test_a_direction_that_is_contradictory_or_unknown_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        values.acquired(item)


def test_times_come_in_milliseconds_seconds_and_text() -> None:
    at = {"ts_ms": 1_754_578_138_250, "ts": 1_754_578_138, "time": "2025-08-07T14:48:58.25Z"}
    assert values.milliseconds(at, "ts_ms") == values.rfc3339(at, "time") == 1_754_578_138_250_000
    assert values.seconds(at, "ts") == 1_754_578_138_000_000


def test_times_of_five_and_six_fractional_digits_compare_as_times() -> None:
    earlier = values.rfc3339({"at": "2026-01-10T02:00:50.76072Z"}, "at")
    later = values.rfc3339({"at": "2026-01-10T02:00:50.760721Z"}, "at")
    assert earlier is not None
    assert later == earlier + 1


@pytest.mark.parametrize("unset", ["", None, "0001-01-01T00:00:00Z"])
def test_a_time_that_is_not_set_is_none(unset: object) -> None:
    assert values.rfc3339({"at": unset}, "at") is None
    assert values.milliseconds({"at": 0}, "at") is None


def test_the_finest_reading_of_the_same_second_is_taken() -> None:
    micros, millis, second = 5 * SECOND + 123_456, 5 * SECOND + 123_000, 5 * SECOND
    assert values.finest(micros, millis, second) == micros
    assert values.finest(None, millis, second) == millis
    assert values.finest(6 * SECOND + 1, millis, second) == millis
    assert values.finest(6 * SECOND + 1, None, second) == second
    assert values.finest(None, None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(4487, "4487"), (116749.99, "116749.99"), (1e16, "10000000000000000"), ("3.5", "3.5")],
)
def test_a_strike_is_read_by_its_shortest_decimal_text(value: object, text: str) -> None:
    number = values.number({"floor_strike": value}, "floor_strike")
    assert number is not None
    assert format(number, "f") == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, [1], 1e-11, 1e20])
def test_what_is_no_strike_is_refused(value: object) -> None:
    with pytest.raises(FrameError, match="floor_strike"):
        values.number({"floor_strike": value}, "floor_strike")
