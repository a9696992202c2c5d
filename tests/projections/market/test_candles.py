"""Candlesticks: of each period the one that was received last, whatever the order of arrival."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import MarketCandle
from streams.events.types import moment
from tests.projections.logs import rows
from tests.projections.market.projected import START, reset, run, told
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

MINUTE = 60_000_000


def candle(received: int = 0, **fields: Any) -> MarketCandle:
    """Of the minute that ends at noon, received so many microseconds later."""
    values: dict[str, Any] = {"minutes": 1, "end": START, "received": START + received}
    made: MarketCandle = told(MarketCandle, **(values | fields))
    return made


def test_a_candlestick_is_a_row_of_its_period(migrated_dsn: str) -> None:
    prices = {"yes_bid_open": "0.40", "yes_ask_close": "0.4500", "open": "0.41", "volume": "7.00"}
    run(
        migrated_dsn,
        [
            candle(5, **prices),
            candle(5, minutes=60),
            candle(5, end=START + MINUTE),
            candle(5, venue="kalshi_demo"),
        ],
    )
    found = rows(migrated_dsn, "market_candles")
    assert len(found) == 4
    [row] = [row for row in found if row["open"]]
    assert (row["venue"], row["minutes"], row["end"]) == ("kalshi", 1, moment(START))
    assert {name: row[name] for name in prices} == prices
    assert (row["close"], row["received"]) == (None, moment(START + 5))
    assert (row["topic"], row["partition"], row["offset"]) == ("kalshi.market", 0, 0)


@st.composite
def candles(draw: st.DrawFn) -> MarketCandle:
    price = st.none() | st.sampled_from(["0.4", "0.5"])
    return candle(
        draw(st.integers(0, 2)),
        minutes=draw(st.sampled_from([1, 60])),
        open=draw(price),
        close=draw(price),
        volume=draw(st.none() | st.sampled_from(["1", "2.00"])),
    )


@few
@given(
    told_of=st.lists(candles(), min_size=1, max_size=10),
    units=st.lists(st.integers(1, 4), max_size=6),
    data=st.data(),
)
def test_the_last_received_stands_for_any_order_and_any_repeat(
    migrated_dsn: str, told_of: list[MarketCandle], units: list[int], data: st.DataObject
) -> None:
    last: dict[int, MarketCandle] = {}
    for one in sorted(told_of, key=lambda one: (one.received, one.event_id())):
        last[one.minutes] = one
    again = data.draw(st.lists(st.sampled_from(told_of), max_size=4))
    reset(migrated_dsn)
    run(migrated_dsn, data.draw(st.permutations([*told_of, *again])), units)
    for row in rows(migrated_dsn, "market_candles"):
        expected = last.pop(row["minutes"])
        for name in ("open", "close", "volume"):
            value = getattr(expected, name)
            assert row[name] == (None if value is None else format(value, "f"))
        assert row["received"] == moment(expected.received)
    assert last == {}
