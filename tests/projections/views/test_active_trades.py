"""Trades that are not over, with what they are worth now."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.projections.views.tables import (
    NOON,
    TICKER,
    after,
    latest,
    put,
    quote,
    read,
    trade,
)

MARKET = {"venue": "kalshi", "ticker": TICKER, "strike": Decimal(114_750)}
NO_INPUTS = (
    *("symbol_price", "mark", "bid", "ask", "implied_probability", "unrealized_pnl", "buffer"),
    *("time_to_close", "symbol_price_age", "quote_age"),
)


@pytest.fixture
def inputs(migrated_dsn: str) -> str:
    """BTC at 115,000, the market's YES at 0.45 to 0.47, closing at 16:00 Eastern."""
    put(migrated_dsn, "latest_price", latest(after(1), "115000"))
    put(migrated_dsn, "market_quotes", quote(after(2), yes_bid="0.45", yes_ask="0.47"))
    put(migrated_dsn, "markets", {**MARKET, "closes": after(9 * 3600)})
    return migrated_dsn


def only(dsn: str) -> dict[str, Any]:
    [row] = read(dsn, "select * from active_trades")
    return row


def test_a_yes_trade_is_worth_the_bid_of_yes(inputs: str) -> None:
    put(inputs, "trades", trade(strike=Decimal(114_500)))
    row = only(inputs)
    assert (row["bid"], row["ask"]) == (Decimal("0.45"), Decimal("0.47"))
    assert row["mark"] == row["bid"]
    assert row["implied_probability"] == Decimal("0.46")
    assert row["unrealized_pnl"] == 10 * (Decimal("0.45") - Decimal("0.40"))
    assert row["symbol_price"] == 115_000
    assert (row["strike"], row["buffer"]) == (114_500, 500)


def test_a_no_trade_is_worth_the_bid_of_no_and_wants_the_price_below_the_strike(
    inputs: str,
) -> None:
    put(inputs, "trades", trade(side="no", held=4, buy_price=Decimal("0.60")))
    row = only(inputs)
    assert (row["bid"], row["ask"]) == (1 - Decimal("0.47"), 1 - Decimal("0.45"))
    assert row["mark"] == row["bid"]
    assert row["implied_probability"] == 1 - Decimal("0.46")
    assert row["unrealized_pnl"] == 4 * (Decimal("0.53") - Decimal("0.60"))
    assert (row["strike"], row["buffer"]) == (114_750, -250)


@pytest.mark.parametrize("status", ["pending", "open", "closing"])
def test_a_trade_that_is_not_over_is_active(inputs: str, status: str) -> None:
    put(inputs, "trades", trade(status=status, market="hourly", prob=Decimal("55.5"), diff=15))
    row = only(inputs)
    expected = {
        "ticket_id": "ticket",
        "id": 1,
        "account": "kalshi/prod/main/0",
        "ticker": TICKER,
        "status": status,
        "symbol": "BTC",
        "side": "yes",
        "market": "hourly",
        "prob": Decimal("55.5"),
        "diff": 15,
        "requested": 10,
        "position": 10,
        "held": 10,
        "canceled": 0,
        "fees": 0,
        "fee_estimated": False,
        "origin": "native",
    }
    assert {name: row[name] for name in expected} == expected


def test_what_is_over_is_not_active(inputs: str) -> None:
    over = ("error", "canceled", "closed", "expired")
    put(inputs, "trades", *(trade(status, status=status) for status in over))
    assert read(inputs, "select * from active_trades") == []


def test_a_trade_without_a_price_or_a_quote_still_shows(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade())
    row = only(migrated_dsn)
    assert [row[name] for name in NO_INPUTS] == [None] * len(NO_INPUTS)
    assert row["time_since_entry"] is not None


def test_a_trade_whose_market_has_one_side_of_a_quote_has_what_follows_from_it(
    migrated_dsn: str,
) -> None:
    put(migrated_dsn, "trades", trade(), trade("other", side="no"))
    put(migrated_dsn, "market_quotes", quote(NOON, yes_bid="0.45"))
    yes, no = read(migrated_dsn, "select * from active_trades order by side desc")
    assert (yes["mark"], yes["ask"], yes["implied_probability"]) == (Decimal("0.45"), None, None)
    assert (no["mark"], no["ask"], no["unrealized_pnl"]) == (None, Decimal("0.55"), None)


def test_quotes_and_prices_are_those_of_the_trade_s_own_venue_and_symbol(
    migrated_dsn: str,
) -> None:
    put(migrated_dsn, "trades", trade(symbol="ETH"))
    put(migrated_dsn, "latest_price", latest(NOON, "115000"))
    put(migrated_dsn, "market_quotes", quote(NOON, venue="other", yes_bid="0.45"))
    put(migrated_dsn, "markets", {**MARKET, "venue": "other"})
    row = only(migrated_dsn)
    assert [row[name] for name in NO_INPUTS] == [None] * len(NO_INPUTS)
    assert row["strike"] is None


_BY_THE_CLOCK = """
select
    a.time_since_entry = extract(epoch from statement_timestamp() - %s) as since_entry,
    a.time_to_close = extract(epoch from m.closes - statement_timestamp()) as to_close,
    a.symbol_price_age = extract(epoch from statement_timestamp() - p.time) as price_age,
    a.quote_age = extract(epoch from statement_timestamp() - q.time) as age_of_quote
from active_trades as a
cross join markets as m
cross join latest_price as p
cross join market_quotes as q
"""


@pytest.mark.parametrize(("opened", "since"), [(None, NOON), (after(30), after(30))])
def test_ages_are_seconds_to_the_clock_by_each_input_s_own_time(
    inputs: str, opened: datetime | None, since: datetime
) -> None:
    put(inputs, "trades", trade(opened_at=opened))
    [row] = read(inputs, _BY_THE_CLOCK, since)
    assert row == dict.fromkeys(("since_entry", "to_close", "price_age", "age_of_quote"), True)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_trade_of_ten_to_midnight_closes_600_seconds_later(migrated_dsn: str, zone: str) -> None:
    """23:50 Eastern is the next day in UTC; the old system raised there."""
    asked = datetime(2026, 11, 16, 4, 50, tzinfo=UTC)
    put(migrated_dsn, "trades", trade(asked_at=asked))
    put(migrated_dsn, "markets", {**MARKET, "closes": datetime(2026, 11, 16, 5, tzinfo=UTC)})
    [row] = read(
        migrated_dsn,
        "select time_to_close + time_since_entry as from_entry from active_trades",
        zone=zone,
    )
    assert row["from_entry"] == 600
