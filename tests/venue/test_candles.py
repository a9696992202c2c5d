"""Candles: which period a moment belongs to, and what stands where nothing was traded."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Quote
from streams.simulated.kalshi.venue.candles import candles, historical, live
from streams.simulated.kalshi.venue.facts import Listed, PublicTrade
from streams.simulated.kalshi.venue.markets import Market

SECOND = 1_000_000
MINUTE = 60 * SECOND
#: A whole day.
DAY = 1_799_971_200 * SECOND


def market(quotes: dict[int, str], trades: dict[int, str]) -> Market:
    """A market with bids and trades at so many seconds after the day's beginning."""
    one = Market.of(Listed("T", "E", "S", "id", "", "", None, DAY, DAY + 3600 * SECOND, DAY))
    for second, bid in quotes.items():
        level = Level(Decimal(bid), Decimal(1))
        ask = Level(Decimal(1), Decimal(0))
        time = DAY + second * SECOND
        one.change(Quote("T", "id", level, ask, level, Decimal(1), Decimal(second), time))
    for second, price in trades.items():
        time = DAY + second * SECOND
        one.change(PublicTrade(str(second), "T", Decimal(price), Decimal(2), "yes", time))
    return one


def test_a_moment_on_the_boundary_belongs_to_the_period_that_it_ends() -> None:
    made = market({1: "0.10", 121: "0.20"}, {60: "0.11", 61: "0.12", 120: "0.13"})
    first, second, third = candles(made, 1, DAY, DAY + 3 * MINUTE)
    assert [one.end for one in (first, second, third)] == [
        DAY + count * MINUTE for count in (1, 2, 3)
    ]
    assert [trade.yes_price for trade in first.trades] == [Decimal("0.11")]
    assert [trade.yes_price for trade in second.trades] == [Decimal("0.12"), Decimal("0.13")]
    assert third.trades == []


def test_a_period_without_trades_has_only_the_price_before_it() -> None:
    made = market({1: "0.10", 121: "0.20"}, {60: "0.11"})
    first, second, _ = candles(made, 1, DAY, DAY + 3 * MINUTE)
    made_at = {f"{name}_dollars" for name in ("open", "low", "high", "close", "mean", "min", "max")}
    assert live(first)["price"] == dict.fromkeys(made_at, "0.1100")
    assert live(second)["price"] == {"previous_dollars": "0.1100"}
    assert historical(second)["price"] == {
        "open": None,
        "low": None,
        "high": None,
        "close": None,
        "mean": None,
        "previous": "0.1100",
    }
    assert live(second)["volume_fp"] == "0.00"


def test_a_period_begins_with_the_quote_that_stood_before_it() -> None:
    made = market({1: "0.30", 70: "0.10", 80: "0.20"}, {})
    _, second = candles(made, 1, DAY, DAY + 3 * MINUTE)
    assert live(second)["yes_bid"] == {
        "open_dollars": "0.3000",
        "low_dollars": "0.1000",
        "high_dollars": "0.3000",
        "close_dollars": "0.2000",
    }
    assert live(second)["open_interest_fp"] == "80.00"


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(1, 7_200), st.just("0.40"), min_size=1),
    st.dictionaries(st.integers(1, 7_200), st.just("0.50")),
    st.sampled_from([1, 60]),
)
def test_no_trade_is_lost_or_counted_twice(
    quotes: dict[int, str], trades: dict[int, str], minutes: int
) -> None:
    made = market(
        {0: "0.10", **dict(sorted(quotes.items())), 7_200: "0.40"}, dict(sorted(trades.items()))
    )
    found = candles(made, minutes, DAY, DAY + 7_200 * SECOND)
    assert sum(len(one.trades) for one in found) == len(trades)
    ends = [one.end for one in found]
    assert ends == sorted(set(ends))
    parts = candles(made, minutes, DAY, DAY + 3_600 * SECOND) + candles(
        made, minutes, DAY + 3_600 * SECOND + 1, DAY + 7_200 * SECOND
    )
    assert [one.end for one in parts] == ends
