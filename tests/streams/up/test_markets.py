"""What `tape up` reads of markets is the top of the books of those that close next."""

import asyncio
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from projections import PROJECTIONS
from projections.migrations import migrate
from streams.events import BookSnapshot, Event, MarketGap
from streams.up.markets import MarketQuote, read_markets
from tests.projections.market.projected import START, described, run, told

_YEAR = 365 * 86_400 * 1_000_000
#: Long after any test runs.
SOON, LATER = START + 100 * _YEAR, START + 101 * _YEAR


@pytest.fixture
def dsn(fresh_database: str) -> str:
    """A database with the tables of all projections."""
    asyncio.run(migrate(fresh_database, [projection() for projection in PROJECTIONS.values()]))
    return fresh_database


def market(
    ticker: str,
    closes: int,
    bid: str | None,
    ask: str | None,
    *,
    venue: str = "simulated_demo",
    status: str = "active",
) -> list[Event]:
    """What makes a market with a book: seven contracts at the best price of each side."""
    of: dict[str, Any] = {"venue": venue, "ticker": ticker}
    yes = [] if bid is None else [("0.01", "1"), (bid, "7")]
    no = [] if ask is None else [("0.01", "1"), (f"{1 - Decimal(ask)}", "7")]
    book = told(BookSnapshot, **of, connection="c", opened=START, sid=1, seq=1, yes=yes, no=no)
    return [described(**of, closes=closes, status=status), book]


def read(dsn: str, prefix: str = "simulated", *, wanted: bool = True) -> list[MarketQuote]:
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as connection:
        return list(read_markets(connection, prefix, wanted=wanted))


def test_the_next_to_close_come_first_and_of_these_the_least_decided(dsn: str) -> None:
    run(
        dsn,
        [
            *market("KX-LATER", LATER, "0.50", "0.51"),
            *market("KX-DECIDED", SOON, "0.90", "0.92"),
            *market("KX-EVEN", SOON, "0.47", "0.52"),
            *market("KX-FIRST", SOON - 1, "0.98", "0.99"),
        ],
    )
    found = read(dsn)
    assert [one.ticker for one in found] == ["KX-FIRST", "KX-EVEN", "KX-DECIDED"]
    even = found[1]
    assert (even.bid, even.bid_size) == (Decimal("0.47"), Decimal(7))
    assert (even.ask, even.ask_size) == (Decimal("0.52"), Decimal(7))
    assert even.valid
    assert even.closes_in > 0


def test_markets_that_are_closed_or_of_other_venues_are_left_out(dsn: str) -> None:
    run(
        dsn,
        [
            *market("KX-PAST", START, "0.50", "0.51"),
            *market("KX-DETERMINED", SOON, "0.50", "0.51", status="determined"),
            *market("KX-REAL", SOON, "0.50", "0.51", venue="kalshi"),
        ],
    )
    assert read(dsn) == []
    assert [one.ticker for one in read(dsn, wanted=False)] == ["KX-REAL"]


def test_an_empty_side_has_no_price_and_a_book_with_a_gap_is_not_valid(dsn: str) -> None:
    of: dict[str, Any] = {"venue": "simulated_demo", "ticker": "KX-EMPTY", "connection": "c"}
    gap = told(MarketGap, 10, **of, reason="a message was lost")
    run(dsn, [*market("KX-EMPTY", SOON, None, "0.30"), gap])
    (found,) = read(dsn)
    assert (found.bid, found.bid_size) == (None, None)
    assert found.ask == Decimal("0.30")
    assert not found.valid
