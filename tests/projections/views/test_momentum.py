"""Momentum against a computation of its own, from every second before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.projections.logs import empty
from tests.projections.views.tables import NOON, TINY, after, put, read, second
from tests.strategies import few

MINUTE = 60
WEIGHTS = {1: "0.30", 2: "0.25", 3: "0.20", 4: "0.15", 15: "0.05", 30: "0.05"}
CHANGES = {60: "change_1h", 180: "change_3h", 1440: "change_1d"}


def momentum_at(prices: Mapping[int, Decimal], now: int) -> dict[str, Any]:
    """What the view has to say of a second, from the prices by seconds after noon."""

    def difference(minutes: int) -> Decimal | None:
        target = now - minutes * MINUTE
        for at in range(target, target - 16, -1):
            if at in prices:
                return (prices[now] - prices[at]) / prices[at] * 100
        return None

    deltas = {minutes: difference(minutes) for minutes in WEIGHTS}
    known = {n: (Decimal(WEIGHTS[n]), delta) for n, delta in deltas.items() if delta is not None}
    weight = sum((weight for weight, _ in known.values()), Decimal(0))
    score = sum((w * delta for w, delta in known.values()), Decimal(0)) / weight if known else None
    whole = None if score is None else (score * 100).quantize(Decimal(1), ROUND_HALF_UP)
    before = [price for at, price in prices.items() if now - MINUTE <= at < now]
    return {
        "price": prices[now],
        **{f"delta_{minutes}m": delta for minutes, delta in deltas.items()},
        "score": score,
        "momentum": None if whole is None else min(int(whole), 2**31 - 1),
        "one_minute_average": sum(before, Decimal(0)) / len(before) if before else None,
        **{name: difference(minutes) for minutes, name in CHANGES.items()},
    }


def stored(dsn: str, at: datetime = NOON, zone: str = "UTC") -> dict[str, Any]:
    [row] = read(
        dsn,
        "select * from price_momentum"
        " where venue = 'coinbase' and symbol = 'BTC-USD' and second = %s",
        at,
        zone=zone,
    )
    return {name: row[name] for name in row if name not in {"venue", "symbol", "second"}}


def put_prices(dsn: str, prices: Mapping[int, Any]) -> None:
    put(dsn, "price_seconds", *(second(after(at), price) for at, price in prices.items()))


def agree(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether they are the same but for digits far behind the point."""

    def same(one: Decimal | None, other: Decimal | None) -> bool:
        return one == other if one is None or other is None else abs(one - other) < TINY

    return found.keys() == expected.keys() and all(
        same(found[name], expected[name]) for name in found
    )


@st.composite
def histories(draw: st.DrawFn) -> dict[int, Decimal]:
    """Prices in the seconds around those that noon is compared with."""
    minutes = st.sampled_from([0, *WEIGHTS, *CHANGES])
    back = st.builds(
        lambda minute, seconds: -minute * MINUTE - seconds, minutes, st.integers(-3, 18)
    )
    prices = st.decimals("0.01", "200000", places=2)
    found = draw(st.dictionaries(back.filter(lambda at: at < 0), prices, max_size=40))
    return {**found, 0: draw(prices)}


@few
@given(prices=histories())
def test_a_second_s_momentum_is_that_of_an_independent_computation(
    migrated_dsn: str, prices: dict[int, Decimal]
) -> None:
    empty(migrated_dsn, "prices_1.price_seconds")
    put_prices(migrated_dsn, prices)
    for at in prices:
        expected = momentum_at(prices, at)
        assert agree(stored(migrated_dsn, after(at)), expected)


def test_a_gap_of_five_minutes_makes_the_differences_unknown_not_old(migrated_dsn: str) -> None:
    prices = {-minutes * MINUTE: 100 + minutes for minutes in (5, 6, 15, 16, 30)}
    put_prices(migrated_dsn, {**prices, 0: 100})
    found = stored(migrated_dsn)
    assert [found[f"delta_{n}m"] for n in (1, 2, 3, 4)] == [None] * 4
    assert abs(found["delta_15m"] - Decimal(100 - 115) / 115 * 100) < TINY
    put(migrated_dsn, "price_seconds", second(after(-4 * MINUTE - 16), 50))
    assert stored(migrated_dsn)["delta_4m"] is None, "16 seconds older"
    put(migrated_dsn, "price_seconds", second(after(-4 * MINUTE - 15), 50))
    assert stored(migrated_dsn)["delta_4m"] == 100, "15 seconds older"


def test_the_weights_count_for_the_differences_that_exist(migrated_dsn: str) -> None:
    put_prices(migrated_dsn, {0: 110, -60: 100, -120: 100, -180: 88, -240: 100})
    score = (
        Decimal("0.30") * 10 + Decimal("0.25") * 10 + Decimal("0.20") * 25 + Decimal("0.15") * 10
    ) / Decimal("0.90")
    assert abs(stored(migrated_dsn)["score"] - score) < TINY


def test_a_score_of_0_45_percent_is_a_momentum_of_45(migrated_dsn: str) -> None:
    minutes = {-minutes * MINUTE: Decimal(100_000) for minutes in WEIGHTS}
    put_prices(migrated_dsn, {**minutes, 0: Decimal(100_450)})
    found = stored(migrated_dsn)
    assert (found["score"], found["momentum"]) == (Decimal("0.45"), 45)


def test_a_price_that_was_far_too_low_by_an_error_fails_no_query(migrated_dsn: str) -> None:
    put_prices(migrated_dsn, {0: Decimal("114750.01"), -60: Decimal("0.0000000001")})
    assert stored(migrated_dsn)["momentum"] == 2**31 - 1


def test_a_first_second_has_no_score(migrated_dsn: str) -> None:
    put_prices(migrated_dsn, {0: 100})
    found = stored(migrated_dsn)
    assert found.pop("price") == 100
    assert set(found.values()) == {None}


def test_the_average_of_a_minute_leaves_the_current_second_out(migrated_dsn: str) -> None:
    put_prices(migrated_dsn, {-61: 1, -60: 10, -30: 20, -1: 30, 0: 1000})
    assert stored(migrated_dsn)["one_minute_average"] == 20


def test_the_price_of_a_second_is_its_first_trade_s(migrated_dsn: str) -> None:
    put(migrated_dsn, "price_seconds", second(NOON, 100, high=300, close=300))
    assert stored(migrated_dsn)["price"] == 100


def test_symbols_and_venues_have_a_momentum_of_their_own(migrated_dsn: str) -> None:
    put_prices(migrated_dsn, {0: 100})
    put(
        migrated_dsn,
        "price_seconds",
        second(after(-60), 50, symbol="ETH-USD"),
        second(after(-60), 50, venue="binance"),
    )
    assert stored(migrated_dsn)["delta_1m"] is None


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_night_that_turns_the_clock_back_has_an_hour_more_and_a_day_stays_24_hours(
    migrated_dsn: str, zone: str
) -> None:
    first_half_past_one = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    hour, day = timedelta(hours=1), timedelta(hours=24)
    put(
        migrated_dsn,
        "price_seconds",
        second(first_half_past_one, 100),
        second(first_half_past_one + hour, 110),
        second(first_half_past_one + day, 121),
        second(first_half_past_one + day + hour, 132),
    )
    found = read(
        migrated_dsn, "select second, price from price_momentum order by second", zone=zone
    )
    assert [row["price"] for row in found] == [100, 110, 121, 132]
    assert stored(migrated_dsn, first_half_past_one + hour, zone)["change_1h"] == 10
    assert stored(migrated_dsn, first_half_past_one + day, zone)["change_1d"] == 21
    assert stored(migrated_dsn, first_half_past_one + day + hour, zone)["change_1d"] == 20


_HISTORY = """
insert into price_seconds
select venue, 'BTC-USD', '2026-11-14 12:00Z'::timestamptz + make_interval(secs => n),
    '2026-11-14 12:00Z'::timestamptz + make_interval(secs => n), '1', 100, 100, 100, 100, 1, 1
from unnest(array['binance', 'coinbase']) as venue, generate_series(0, 43199) as n
"""
_ONE = "venue = 'coinbase' and symbol = 'BTC-USD'"
_QUERIES = {
    "one second": f"select * from price_momentum where {_ONE} and second = '2026-11-14 20:00Z'",
    "the newest": f"select * from price_momentum where {_ONE} order by second desc limit 1",
}


@pytest.mark.parametrize("query", _QUERIES)
def test_one_second_is_found_by_the_primary_key_without_reading_the_history(
    migrated_dsn: str, query: str
) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute(_HISTORY)
        connection.execute("analyze prices_1.price_seconds")
        explain = f"explain (analyze, timing off, format json) {_QUERIES[query]}"
        [plan] = connection.execute(explain.encode()).fetchone() or ()
    scans = [node for node in nodes_of(plan[0]["Plan"]) if "Scan" in node["Node Type"]]
    seconds = [node for node in scans if node.get("Relation Name") == "price_seconds"]
    assert len(seconds) >= 3, json.dumps(plan)
    for scan in seconds:
        assert scan["Index Name"] == "price_seconds_pkey", scan
        assert scan["Actual Rows"] * scan["Actual Loops"] <= 60, scan
        assert scan.get("Rows Removed by Filter", 0) == 0, scan


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", ()) for node in nodes_of(inner))]
