"""What the underlying cost when a trade was opened and closed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.projections.views.tables import NOON, after, put, read, second, trade


def only(dsn: str) -> dict[str, Any]:
    [row] = read(dsn, "select * from trade_prices")
    return row


def test_prices_are_the_last_ones_when_it_was_opened_and_closed(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade(opened_at=after(3.5), closed_at=after(63.5)))
    put(
        migrated_dsn,
        "price_seconds",
        second(after(2), 100, close=101),
        second(after(5), 200),
        second(after(60), 300, close=301),
        second(after(64), 400),
    )
    row = only(migrated_dsn)
    assert (row["symbol"], row["venue"]) == ("BTC-USD", "coinbase")
    assert (row["symbol_open"], row["symbol_close"]) == (101, 301)


@pytest.mark.parametrize(
    ("first_trade", "price"),
    [(3.2, 200), (3.5, 200), (3.6, 101)],
    ids=["before", "the same moment", "later"],
)
def test_of_the_second_of_the_opening_the_first_trade_counts_unless_it_was_later(
    migrated_dsn: str, first_trade: float, price: int
) -> None:
    put(migrated_dsn, "trades", trade(opened_at=after(3.5)))
    put(
        migrated_dsn,
        "price_seconds",
        second(after(2), 100, close=101),
        second(after(3), 200, close=999, first_time=after(first_trade)),
    )
    assert only(migrated_dsn)["symbol_open"] == price


@pytest.mark.parametrize(("age", "price"), [(15, 100), (16, None)])
def test_a_price_of_more_than_15_seconds_before_is_none(
    migrated_dsn: str, age: int, price: int | None
) -> None:
    put(
        migrated_dsn,
        "trades",
        trade(asked_at=after(0.9), opened_at=after(0.9), closed_at=after(1.9)),
    )
    put(migrated_dsn, "price_seconds", second(after(-age), 100), second(after(-age - 60), 80))
    row = only(migrated_dsn)
    assert (row["symbol_open"], row["symbol_close"]) == (price, None)
    assert row["momentum"] == (None if price is None else 2500)


def test_a_trade_that_was_not_opened_has_no_prices(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade(status="pending"), trade("other", symbol=None))
    put(migrated_dsn, "price_seconds", second(NOON, 100))
    found = read(migrated_dsn, "select * from trade_prices order by ticket_id")
    assert [row["ticket_id"] for row in found] == ["other", "ticket"]
    assert all(row["symbol_open"] is None and row["symbol_close"] is None for row in found)


def test_the_momentum_is_that_of_when_it_was_asked_for(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade(asked_at=after(0.4), opened_at=after(10)))
    put(
        migrated_dsn,
        "price_seconds",
        second(after(-60), 100),
        second(NOON, Decimal("100.45")),
        second(after(10), 200),
    )
    assert only(migrated_dsn)["momentum"] == 45


def test_other_venues_and_symbols_do_not_count(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade(opened_at=NOON, closed_at=NOON))
    put(
        migrated_dsn,
        "price_seconds",
        second(NOON, 1, venue="binance"),
        second(NOON, 2, symbol="ETH-USD"),
    )
    row = only(migrated_dsn)
    assert (row["symbol_open"], row["symbol_close"], row["momentum"]) == (None, None, None)
