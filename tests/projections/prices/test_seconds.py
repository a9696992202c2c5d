"""Seconds and bars, against an independent computation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import PriceIndex, PriceTrade
from tests.projections.logs import NOON, rows, trade
from tests.projections.prices.projected import EPOCH, MICROSECOND, reset, run
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")


def seconds_of(told: Sequence[PriceTrade]) -> dict[tuple[str, datetime], dict[str, Any]]:
    """Bars computed one by one, in exchange order."""
    bars: dict[tuple[str, datetime], dict[str, Any]] = {}
    unique = {(event.symbol, event.time, event.trade_id): event for event in told}

    def exchange_order(event: PriceTrade) -> tuple[int, float, bytes]:
        sequence = float("inf") if event.sequence is None else event.sequence
        return event.time, sequence, event.trade_id.encode()

    for event in sorted(unique.values(), key=exchange_order):
        second = EPOCH + timedelta(seconds=event.time // 1_000_000)
        bar = bars.setdefault(
            (event.symbol, second),
            {
                "first_time": EPOCH + event.time * MICROSECOND,
                "first_trade_id": event.trade_id,
                "open": event.price,
                "high": event.price,
                "low": event.price,
                "volume": Decimal(0),
                "trades": 0,
            },
        )
        bar["high"] = max(bar["high"], event.price)
        bar["low"] = min(bar["low"], event.price)
        bar["close"] = event.price
        bar["volume"] += event.size
        bar["trades"] += 1
    return bars


def stored_seconds(dsn: str) -> dict[tuple[str, datetime], dict[str, Any]]:
    numbers = ("open", "high", "low", "close", "volume")
    return {
        (row["symbol"], row["second"]): {
            **{name: Decimal(row[name]) for name in numbers},
            **{name: row[name] for name in ("first_time", "first_trade_id", "trades")},
        }
        for row in rows(dsn, "price_seconds")
    }


@st.composite
def busy_seconds(draw: st.DrawFn) -> list[PriceTrade]:
    offsets = st.sampled_from([0, 1, 500_000, 999_999, 1_000_000, 1_999_999, -1])
    parts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["BTC-USD", "ETH-USD"]),
                offsets,
                st.none() | st.integers(0, 20),
                st.integers(1, 9),
                st.integers(0, 9),
            ),
            min_size=1,
            max_size=25,
        )
    )
    names = ["a", "B", "_", "9", "10", "Z", "z", "-"]
    return [
        trade(
            n,
            symbol=symbol,
            trade_id=f"{names[n % len(names)]}{n}",
            time=NOON * 1_000_000 + offset,
            sequence=sequence,
            price=Decimal(price),
            size=Decimal(size),
        )
        for n, (symbol, offset, sequence, price, size) in enumerate(parts)
    ]


@few
@given(
    told=busy_seconds(),
    shuffled=st.randoms(use_true_random=False),
    units=st.lists(st.integers(1, 9), max_size=5),
)
def test_seconds_are_those_of_an_independent_computation_in_any_order_of_arrival(
    migrated_dsn: str, told: list[PriceTrade], shuffled: random.Random, units: list[int]
) -> None:
    reset(migrated_dsn)
    arrived = shuffled.sample([*told, *told[:3]], len(told) + len(told[:3]))
    run(migrated_dsn, arrived, units)
    assert stored_seconds(migrated_dsn) == seconds_of(told)


def test_a_late_trade_corrects_its_second(migrated_dsn: str) -> None:
    on_time = [trade(500, price=Decimal(10)), trade(600, price=Decimal(12))]
    late = [
        trade(100, price=Decimal(9)),
        trade(900, price=Decimal(30)),
        trade(300, price=Decimal(1)),
    ]
    run(migrated_dsn, [*on_time, *late], [2])
    (bar,) = rows(migrated_dsn, "price_seconds")
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == ("9", "30", "1", "30")
    assert (bar["first_trade_id"], bar["volume"], bar["trades"]) == ("100", "2.50", 5)


def test_an_index_value_is_a_price_without_volume(migrated_dsn: str) -> None:
    time = NOON * 1_000_000
    value = PriceIndex(
        venue="cfbenchmarks",
        symbol="BRTI",
        price=Decimal("65000.50"),
        average=Decimal("64999.0"),
        time=time,
        received=time + 5,
    )
    run(migrated_dsn, [value, value])
    (row,) = rows(migrated_dsn, "price_history")
    assert (row["trade_id"], row["price"], row["average"]) == (str(time), "65000.50", "64999.0")
    assert (row["size"], row["side"], row["sequence"]) == (None, None, None)
    (bar,) = rows(migrated_dsn, "price_seconds")
    assert (bar["open"], bar["volume"], bar["trades"]) == ("65000.50", "0", 1)
    (latest,) = rows(migrated_dsn, "latest_price")
    assert (latest["price"], latest["size"]) == ("65000.50", None)
    (reference,) = rows(migrated_dsn, "reference_price")
    assert (reference["symbol"], reference["venue"]) == ("BRTI", "cfbenchmarks")


def test_minute_bars_follow_from_the_seconds(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            trade(0, price=Decimal(5)),
            trade(30_000, price=Decimal(9)),
            trade(59_999, price=Decimal(7)),
            trade(60_000, price=Decimal(8)),
        ],
    )
    bars = rows(migrated_dsn, "price_bars_1m", "minute", "open, high, low, close, volume, trades")
    assert [tuple(bar.values()) for bar in bars] == [
        ("5", "9", "5", "7", "1.50", 3),
        ("8", "8", "8", "8", "0.50", 1),
    ]
