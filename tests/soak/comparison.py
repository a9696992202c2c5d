"""The tables of a soak, beside what the venues really said.

Each function returns sentences about what differs, and none where nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from tests.soak.venues import Venues
from tests.venue.spot.binance import symbol_of
from tests.venue.truth import BookState
from tests.venue.world import World

__all__ = [
    "Tables",
    "account",
    "books",
    "index",
    "index_values",
    "markets",
    "numbers",
    "public_trades",
]
__all__ += ["public_trades", "quotes", "spot_name", "spot_quotes", "spot_trades", "valid_books"]

#: How fine times are. Microseconds.
_PRECISION = {"binance": 1_000, "coinbase": 1, "kraken": 1}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_ACCOUNT = "kalshi/prod/main/"
#: Of each kind of difference so many are told.
_MOST = 5

Row = tuple[Any, ...]
#: What a symbol of the spot worlds is called there, and where its trades begin to count.
Marks = Mapping[tuple[str, str], int]


class Tables:
    """A database to read from."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def rows(self, query: str, *values: object) -> list[Row]:
        """The rows of a query; times are in UTC."""
        with psycopg.connect(self._dsn, options="-c timezone=UTC", connect_timeout=5) as connection:
            return connection.execute(query.encode(), values or None).fetchall()


def spot_name(venue: str, symbol: str) -> str:
    """What a connector calls a symbol of the world."""
    return symbol_of(symbol) if venue == "binance" else symbol


def spot_trades(
    tables: Tables, venues: Venues, marks: Marks, missing: Callable[[str, str], Iterable[range]]
) -> list[str]:
    """Trades since the marks, with contents. `missing` are the numbers that are known to be."""
    lines: list[str] = []
    for (venue, symbol), first in marks.items():
        name, step = spot_name(venue, symbol), _PRECISION[venue]
        found = {
            int(trade_id.removeprefix("a")): (price, size, side, _micros(time))
            for trade_id, price, size, side, time in tables.rows(
                "select trade_id, price, size, side, time from price_history"
                " where venue = %s and symbol = %s",
                venue,
                name,
            )
        }
        wanted = {
            one.number: (Decimal(one.price), Decimal(one.size), one.side, one.time // step * step)
            for one in venues.spot[venue].world.trades[symbol]
        }
        known = {number for gap in missing(venue, name) for number in gap}
        due = {
            number: row
            for number, row in wanted.items()
            if number >= first and not (number in known and number not in found)
        }
        lines += _differences(f"price_history of {venue}:{name}", due, found, wanted)
    return lines


def numbers(tables: Tables, venue: str, symbol: str) -> set[int]:
    """The numbers of the trades that are there."""
    found = tables.rows(
        "select trade_id from price_history where venue = %s and symbol = %s", venue, symbol
    )
    return {int(trade_id.removeprefix("a")) for (trade_id,) in found}


def spot_quotes(tables: Tables, venues: Venues) -> list[str]:
    """The latest price and quote of each symbol."""
    wanted: dict[tuple[str, str], Row] = {}
    for venue, fake in venues.spot.items():
        for symbol, quote in fake.world.quotes.items():
            texts = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
            last = fake.world.trades[symbol][-1]
            numbers = tuple(map(Decimal, (*texts, last.price, last.size)))
            wanted[venue, spot_name(venue, symbol)] = numbers
    found = {
        (venue, symbol): tuple(numbers)
        for venue, symbol, *numbers in tables.rows(
            "select venue, symbol, q.bid, q.bid_size, q.ask, q.ask_size, p.price, p.size"
            " from latest_quote as q join latest_price as p using (venue, symbol)"
        )
    }
    return _differences("latest_quote and latest_price", wanted, found, wanted)


def index(tables: Tables, world: World, since: int, missing: Iterable[range]) -> list[str]:
    """Values of the index since a time, up to the newest that came; gaps name what did not."""
    found = {
        _micros(time): (price,)
        for time, price in tables.rows(
            "select time, price from price_history where venue = 'cfbenchmarks'"
        )
    }
    wanted = {one.time: (one.value,) for one in world.truth.index}
    named = {second for gap in missing for second in gap}
    newest = max(time or 0 for time in found)
    due = {
        time: row
        for time, row in wanted.items()
        if since <= time <= newest and time // 1_000_000 not in named
    }
    return _differences("price_history of the index", due, found, wanted)


def index_values(tables: Tables, since: int) -> int:
    """How many values of the index are there since this time."""
    [(count,)] = tables.rows(
        "select count(*) from price_history where venue = 'cfbenchmarks' and time >= %s",
        _FIRST + timedelta(microseconds=since),
    )
    return int(count)


def public_trades(tables: Tables, world: World, before: set[str]) -> list[str]:
    """All trades but those `before` the soak, which may be there as well."""
    wanted: dict[str, Row] = {
        one.trade_id: (one.ticker, one.yes_price, one.count, one.taker, one.time)
        for one in world.truth.trades.values()
    }
    found: dict[str, Row] = {
        trade_id: (*row, _micros(time))
        for trade_id, *row, time in tables.rows(
            "select trade_id, ticker, yes_price, count, taker_side, time from market_trades"
        )
    }
    due = {trade_id: row for trade_id, row in wanted.items() if trade_id not in before}
    return _differences("market_trades", due, found, wanted)


def quotes(tables: Tables, world: World) -> list[str]:
    """The quotes of the open markets."""
    wanted: dict[str, Row] = {}
    for ticker in world.markets:
        quote = world.truth.quotes[ticker][-1]
        prices = (quote.bid.price, quote.bid.size, quote.ask.price, quote.ask.size)
        totals = (quote.last.price, quote.last.size, quote.volume, quote.open_interest)
        wanted[ticker] = (*prices, *totals)
    found = {
        ticker: tuple(row)
        for ticker, *row in tables.rows(
            "select ticker, yes_bid, yes_bid_size, yes_ask, yes_ask_size, last_price, last_size,"
            " volume, open_interest from market_quotes"
        )
    }
    return _differences("market_quotes", wanted, found, {**found, **wanted})


def markets(tables: Tables, world: World) -> list[str]:
    """What each market is and what became of it."""
    truth = world.truth
    wanted: dict[str, Row] = {}
    for ticker, listed in truth.listed.items():
        struck, resolved = truth.struck.get(ticker), truth.resolved.get(ticker)
        settled = truth.settled.get(ticker)
        wanted[ticker] = (
            listed.series,
            listed.floor_strike or (struck and struck.floor_strike),
            listed.opens,
            listed.closes,
            resolved and resolved.result,
            settled and settled.time // 1_000_000,
        )
    found: dict[str, Row] = {
        ticker: (series, strike, _micros(opens), _micros(closes), result, _seconds(settled))
        for ticker, series, strike, opens, closes, result, settled in tables.rows(
            "select ticker, series, floor_strike, opens, closes, result, settled_at from markets"
        )
    }
    return _differences("markets", wanted, found, wanted)


def books(tables: Tables, world: World) -> list[str]:
    """The books of the open markets are valid, and as they are now; no other book is valid."""
    found = {ticker: state for ticker, _, state in valid_books(tables)}
    wanted = {ticker: world.truth.book(ticker) for ticker in world.markets}
    return _differences("market_book", wanted, found, wanted)


def valid_books(tables: Tables) -> list[tuple[str, int | None, BookState]]:
    """Each with its market and the exchange's clock."""
    found = tables.rows("select ticker, clock, yes, no from market_book_state where valid")
    return [
        (ticker, clock, BookState.of({"yes": _levels(yes), "no": _levels(no)}))
        for ticker, clock, yes, no in found
    ]


def account(tables: Tables, world: World) -> list[str]:
    """Fills, orders, positions by fills and by the venue's word, settlements, cash, transfers."""
    truth = world.truth
    lines = _account_rows(
        tables,
        "fills",
        "select account, trade_id, side, yes_price, count, fee from fills",
        {key: (one.side, one.yes_price, one.count, one.fee) for key, one in truth.fills.items()},
    )
    lines += _account_rows(
        tables,
        "orders",
        "select account, order_id, status, fill_count, remaining_count from orders",
        {
            key: (states[-1].status, states[-1].filled, states[-1].remaining)
            for key, states in truth.orders.items()
        },
    )
    held = {
        key: (states[-1].net, states[-1].cost)
        for key, states in truth.positions.items()
        if states[-1].net
    }
    lines += _account_rows(
        tables,
        "venue_positions",
        "select account, ticker, position, cost from venue_positions where position <> 0",
        held,
    )
    lines += _account_rows(
        tables,
        "positions",
        "select account, ticker, position from positions where position <> 0",
        {key: (net,) for key, (net, _) in held.items()},
    )
    lines += _account_rows(
        tables,
        "settlements",
        "select account, ticker, revenue from settlements",
        {key: (one.revenue,) for key, one in truth.settlements.items()},
    )
    lines += _account_rows(
        tables,
        "balances",
        "select distinct on (account) account, '', balance from balances"
        " order by account, time desc, received desc",
        {(number, ""): (states[-1].cash,) for number, states in truth.cash.items()},
    )
    transfers = {
        transfer_id: (status,)
        for transfer_id, status in tables.rows(
            "select distinct on (transfer_id) transfer_id, status from transfers"
            " order by transfer_id, finalized desc nulls last"
        )
    }
    said: dict[str, Row] = {key: (one.status,) for key, one in truth.transfers.items()}
    lines += _differences("transfers", said, transfers, said)
    differing = tables.rows("select account, ticker, what, ours, venues from position_differences")
    return [*lines, *(f"position_differences has {row}" for row in differing[:_MOST])]


def _account_rows(
    tables: Tables, name: str, query: str, wanted: Mapping[tuple[int, str], Row]
) -> list[str]:
    found = {
        (int(account.removeprefix(_ACCOUNT)), key): tuple(row)
        for account, key, *row in tables.rows(query)
    }
    return _differences(name, wanted, found, wanted)


def _differences(
    name: str, due: Mapping[Any, Row | BookState], found: Mapping[Any, Any], real: Mapping[Any, Any]
) -> list[str]:
    """What is due must be there; and what is there must be real."""
    lacking = [f"{name} lacks {key}: {due[key]}" for key in due if key not in found]
    false = [
        f"{name} has {key}: {row}, which is {real.get(key, 'nothing')}"
        for key, row in found.items()
        if key not in real or real[key] != row
    ]
    lines = []
    for some in (lacking, false):
        lines += [line[:500] for line in some[:_MOST]]
        if len(some) > _MOST:
            lines.append(f"and {len(some) - _MOST} more like that")
    return lines


def _levels(side: Mapping[str, str]) -> dict[Decimal, Decimal]:
    return {Decimal(price): Decimal(size) for price, size in side.items()}


def _micros(time: datetime | None) -> int | None:
    return None if time is None else (time - _FIRST) // timedelta(microseconds=1)


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _FIRST) // timedelta(seconds=1)
