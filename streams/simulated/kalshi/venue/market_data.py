"""The public part of the REST API: markets, books, trades, candlesticks, and the exchange. Pure.

Source: openapi.yaml 3.34.0. Live paths lack what is older than the cutoffs, and do not say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.simulated.kalshi.venue import candles, records
from streams.simulated.kalshi.venue.candles import Candle
from streams.simulated.kalshi.venue.facts import PublicTrade
from streams.simulated.kalshi.venue.markets import Market, Status
from streams.simulated.kalshi.venue.query import Asked, Place, Query, Refused, error
from streams.simulated.kalshi.venue.state import Venue
from streams.simulated.kalshi.venue.wire import EXCHANGE_INDEX, Json
from streams.simulated.market import rfc3339

__all__ = ["archived_candlesticks", "archived_market", "archived_markets", "archived_trades"]
__all__ += ["batch_candlesticks", "candlesticks", "cutoff", "endpoint_costs", "exchange_status"]
__all__ += ["market", "markets", "orderbook", "trades", "user_data_timestamp"]

_SECOND = 1_000_000
_MOST_CANDLES = 10_000
_PERIODS = {"1": 1, "60": 60, "1440": 1440}

_EVERY = frozenset[Status](
    {"initialized", "inactive", "active", "closed", "determined", "finalized"}
)
#: The filter's names are not those of the field.
_STATUS: dict[str, frozenset[Status]] = {
    "unopened": frozenset({"initialized"}),
    "open": frozenset({"active"}),
    "paused": frozenset({"inactive"}),
    "closed": frozenset({"closed", "determined"}),
    "settled": frozenset({"finalized"}),
}
#: Kind of time → the status filters that it goes together with.
_TIMES: dict[str, tuple[str, ...]] = {
    "created": ("unopened", "open"),
    "updated": (),
    "close": ("closed",),
    "settled": ("settled",),
}


def exchange_status(asked: Asked) -> Json:
    """GET /exchange/status."""
    names = ("exchange_active", "trading_active", "intra_exchange_transfers_active")
    active = dict.fromkeys(names, asked.venue.active)
    shard = {"exchange_index": EXCHANGE_INDEX, "description": "crypto", **active}
    return {**active, "exchange_index_statuses": [shard]}


def user_data_timestamp(asked: Asked) -> Json:
    """GET /exchange/user_data_timestamp: up to when portfolio reads know the account."""
    return {"as_of_time": rfc3339(asked.venue.as_of)}


def endpoint_costs(asked: Asked) -> Json:
    """GET /account/endpoint_costs: those that differ from the usual."""
    return asked.venue.limits.costs_record()


def cutoff(asked: Asked) -> Json:
    """GET /historical/cutoff."""
    return {
        "market_settled_ts": rfc3339(asked.venue.cutoffs.settled),
        "trades_created_ts": rfc3339(asked.venue.cutoffs.trades),
        "orders_updated_ts": rfc3339(asked.venue.cutoffs.orders),
        "market_positions_last_updated_ts": rfc3339(asked.venue.cutoffs.positions),
    }


def markets(asked: Asked) -> Json:
    """GET /markets."""
    venue, query = asked
    statuses = query.one_of("status", _STATUS, _EVERY)
    # There are no markets of several events here.
    with_single = query.one_of("mve_filter", {"exclude": True, "only": False}, default=True)
    is_timely, is_chosen = _time_filter(query), _choice(query)
    found = [
        one
        for one in venue.markets.values()
        if with_single
        and not _is_archived(venue, one)
        and one.status(venue.now) in statuses
        and is_timely(one)
        and is_chosen(one)
    ]
    return _page_of_markets(asked, found)


def market(asked: Asked, ticker: str) -> Json:
    """GET /markets/{ticker}."""
    return {"market": records.market(_live(asked.venue, ticker), asked.venue.now)}


def orderbook(asked: Asked, ticker: str) -> Json:
    """GET /markets/{ticker}/orderbook: the cheapest level first, as recordings have it."""
    levels = asked.query.whole("depth") or 0
    if levels > 100:
        raise Refused(error(400, "bad_request", "invalid depth"))
    return records.orderbook(_live(asked.venue, ticker).depth, levels)


def trades(asked: Asked) -> Json:
    """GET /markets/trades."""
    return _page_of_trades(asked, lambda one: one.time >= asked.venue.cutoffs.trades)


def candlesticks(asked: Asked, series: str, ticker: str) -> Json:
    """GET /series/{series}/markets/{ticker}/candlesticks."""
    one = _live(asked.venue, ticker)
    if one.listed.series != series:
        raise Refused(_NOT_FOUND)
    found = [candles.live(candle) for candle in _candles(one, asked.query)]
    return {"ticker": ticker, "candlesticks": found}


def batch_candlesticks(asked: Asked) -> Json:
    """GET /markets/candlesticks: of several markets; those that it does not know are left out."""
    venue, query = asked
    tickers = query.words("market_tickers")
    if not tickers:
        raise Refused(error(400, "bad_request", "market_tickers is required"))
    known = [venue.markets[ticker] for ticker in tickers if ticker in venue.markets]
    found = {
        one.listed.ticker: _candles(one, query) for one in known if not _is_archived(venue, one)
    }
    if sum(map(len, found.values())) > _MOST_CANDLES:
        raise Refused(error(400, "bad_request", "too many candlesticks"))
    batch = [
        {"market_ticker": ticker, "candlesticks": [candles.live(one) for one in of_market]}
        for ticker, of_market in found.items()
    ]
    return {"markets": batch}


def archived_markets(asked: Asked) -> Json:
    """GET /historical/markets."""
    venue, query = asked
    if len(query.gives("tickers", "event_ticker", "series_ticker")) > 1:
        raise Refused(error(400, "bad_request", "filters are mutually exclusive"))
    is_chosen = _choice(query)
    found = [one for one in venue.markets.values() if _is_archived(venue, one) and is_chosen(one)]
    return _page_of_markets(asked, found)


def archived_market(asked: Asked, ticker: str) -> Json:
    """GET /historical/markets/{ticker}."""
    return {"market": records.market(_archived(asked.venue, ticker), asked.venue.now)}


def archived_trades(asked: Asked) -> Json:
    """GET /historical/trades."""
    return _page_of_trades(asked, lambda one: one.time < asked.venue.cutoffs.trades)


def archived_candlesticks(asked: Asked, ticker: str) -> Json:
    """GET /historical/markets/{ticker}/candlesticks."""
    found = _candles(_archived(asked.venue, ticker), asked.query)
    return {"ticker": ticker, "candlesticks": [candles.historical(one) for one in found]}


_NOT_FOUND = error(404, "not_found")


def _is_archived(venue: Venue, one: Market) -> bool:
    return one.settled is not None and one.settled < venue.cutoffs.settled


def _live(venue: Venue, ticker: str) -> Market:
    one = venue.markets.get(ticker)
    if one is None or _is_archived(venue, one):
        raise Refused(_NOT_FOUND)
    return one


def _archived(venue: Venue, ticker: str) -> Market:
    one = venue.markets.get(ticker)
    if one is None or not _is_archived(venue, one):
        raise Refused(_NOT_FOUND)
    return one


def _choice(query: Query) -> Callable[[Market], bool]:
    event, series = query.word("event_ticker"), query.word("series_ticker")
    tickers = query.words("tickers", most=1000)

    def is_chosen(one: Market) -> bool:
        listed = one.listed
        return (
            event in (None, listed.event)
            and series in (None, listed.series)
            and (not tickers or listed.ticker in tickers)
        )

    return is_chosen


def _time_filter(query: Query) -> Callable[[Market], bool]:
    """The filter by time; one kind at most, and only with the status that it goes with."""
    kinds = [kind for kind in _TIMES if query.gives(f"min_{kind}_ts", f"max_{kind}_ts")]
    if not kinds:
        return lambda _: True
    kind, status = kinds[0], query.word("status")
    with_others = query.gives("event_ticker", "tickers")
    with_series = query.gives("series_ticker") and query.word("mve_filter") != "exclude"
    if (
        len(kinds) > 1
        or (status is not None and status not in _TIMES[kind])
        or (kind == "updated" and (with_others or with_series))
    ):
        raise Refused(error(400, "bad_request", "incompatible timestamp filters"))
    is_within = query.within(f"min_{kind}_ts", f"max_{kind}_ts")

    def is_timely(one: Market) -> bool:
        time = {
            "created": one.listed.time,
            "updated": one.updated,
            "close": one.closes,
            "settled": one.settled,
        }[kind]
        return time is not None and is_within(time)

    return is_timely


def _page_of_markets(asked: Asked, found: Sequence[Market]) -> Json:
    venue, query = asked

    def place(one: Market) -> Place:
        return one.listed.time, one.listed.ticker

    page, cursor = query.page(found, place, least=0)
    return {"markets": [records.market(one, venue.now) for one in page], "cursor": cursor}


def _page_of_trades(asked: Asked, is_here: Callable[[PublicTrade], bool]) -> Json:
    venue, query = asked
    ticker, is_within = query.word("ticker"), query.within("min_ts", "max_ts")
    of_blocks = query.one_of("is_block_trade", {"true": True, "false": False}, default=False)
    found = [
        one
        for traded in venue.markets.values()
        for one in traded.trades
        if ticker in (None, one.ticker) and is_within(one.time) and is_here(one) and not of_blocks
    ]
    page, cursor = query.page(found, lambda one: (one.time, one.trade_id), least=0)
    return {"trades": [records.trade(one) for one in page], "cursor": cursor}


def _candles(one: Market, query: Query) -> list[Candle]:
    minutes = query.one_of("period_interval", _PERIODS, default=0)
    if not minutes:
        raise Refused(error(400, "bad_request", "period_interval is required"))
    earliest, latest = query.required("start_ts") * _SECOND, query.required("end_ts") * _SECOND
    return candles.candles(one, minutes, earliest, latest)
