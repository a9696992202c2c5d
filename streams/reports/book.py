"""One market's order book as it stands, with what was traded and quoted last."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from streams.reports.reading import Connection

__all__ = ["Level", "MarketBook", "Row", "nearest", "read_book", "read_books", "venues_of"]

#: The columns of a table or view, by name.
Row = dict[str, Any]

_MARKET = """
select series, event_ticker, title, subtitle, strike, opens, closes, status, result
from public.markets where venue = %s and ticker = %s
"""
_STATE = """
select valid, invalid_since, reason, time, received, connection, sid, seq, clock
from public.market_book_state where venue = %s and ticker = %s
"""
_LEVELS = """
select side, price, size from public.market_book where venue = %s and ticker = %s
"""
_LAST_TRADE = """
select time, yes_price, count, taker_side from public.market_trades
where venue = %s and ticker = %s
order by time desc, trade_id collate "C" desc
limit 1
"""
_QUOTE = """
select time, yes_bid, yes_bid_size, yes_ask, yes_ask_size, volume, open_interest
from public.market_quotes where venue = %s and ticker = %s
"""
_VENUES = "select venue from public.markets where ticker = %s order by venue"
# Those of the same series first, the newest before the others.
_CANDIDATES = """
select ticker from public.markets
where venue = %s
order by (series = split_part(%s, '-', 1)) desc nulls last, closes desc nulls last, ticker
limit 5000
"""
# Open markets first, those that close soonest before the others.
_BOOKS = """
select b.venue, b.ticker, m.title, m.subtitle, m.strike, m.closes, m.status, b.yes_bid, b.yes_ask,
    b.spread, b.valid, b.time
from public.market_best as b
join public.markets as m on m.venue = b.venue and m.ticker = b.ticker
where %(ticker)s::text is null or strpos(b.ticker, %(ticker)s) > 0
order by m.closes is null or m.closes < statement_timestamp(),
    abs(extract(epoch from m.closes - statement_timestamp())), m.strike, b.ticker
limit %(limit)s
"""


@dataclass(frozen=True)
class Level:
    """Contracts wanted at a price, in dollars of YES."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True)
class MarketBook:
    """A market at the database's moment `now`. What is not known of it yet is None.

    `bids` fall and `asks` rise from the best. To sell YES is to buy NO, so an ask is one minus a
    bid for NO. Prices are dollars, sizes contracts.
    """

    venue: str
    ticker: str
    now: datetime
    market: Row
    state: Row | None
    bids: Sequence[Level]
    asks: Sequence[Level]
    last_trade: Row | None
    quote: Row | None

    @property
    def spread(self) -> Decimal | None:
        """From the best bid to the best ask; None where a side is empty."""
        return self.asks[0].price - self.bids[0].price if self.bids and self.asks else None

    def age(self, row: Row) -> float:
        """Seconds since the `time` of the state, the quote or the trade."""
        time: datetime = row["time"]
        return (self.now - time).total_seconds()


def read_book(connection: Connection, venue: str, ticker: str) -> MarketBook | None:
    """The book of a market, if the tables know of this market."""
    key = [venue, ticker]
    with connection.cursor(row_factory=dict_row) as cursor:
        market = cursor.execute(_MARKET, key).fetchone()
        if market is None:
            return None
        now = cursor.execute("select statement_timestamp() as now").fetchone() or {}
        levels = cursor.execute(_LEVELS, key).fetchall()
        return MarketBook(
            venue=venue,
            ticker=ticker,
            now=now["now"],
            market=market,
            state=cursor.execute(_STATE, key).fetchone(),
            bids=sorted(_bids(levels), key=lambda level: level.price, reverse=True),
            asks=sorted(_asks(levels), key=lambda level: level.price),
            last_trade=cursor.execute(_LAST_TRADE, key).fetchone(),
            quote=cursor.execute(_QUOTE, key).fetchone(),
        )


def _bids(levels: Sequence[Row]) -> list[Level]:
    return [Level(row["price"], row["size"]) for row in levels if row["side"] == "yes"]


def _asks(levels: Sequence[Row]) -> list[Level]:
    return [Level(1 - row["price"], row["size"]) for row in levels if row["side"] == "no"]


def venues_of(connection: Connection, ticker: str) -> list[str]:
    """The venues that know a market of this ticker."""
    return [venue for (venue,) in connection.execute(_VENUES, [ticker]).fetchall()]


def nearest(connection: Connection, venue: str, ticker: str, most: int = 3) -> list[str]:
    """The tickers of a venue that look most like this one, the likest first."""
    known = [one for (one,) in connection.execute(_CANDIDATES, [venue, ticker.upper()]).fetchall()]
    return difflib.get_close_matches(ticker.upper(), known, most)


def read_books(connection: Connection, ticker: str | None, limit: int) -> list[Row]:
    """Markets that have a book, with this text in their ticker, those that close next first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_BOOKS, {"ticker": ticker, "limit": limit}).fetchall()
