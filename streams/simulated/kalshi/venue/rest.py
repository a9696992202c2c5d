"""Which REST path is answered by what, who may ask, and what it costs. Pure.

Paths are below `/trade-api/v2`. Only GET requests: orders are not placed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

import orjson

from streams.simulated.kalshi.venue import market_data, portfolio_reads
from streams.simulated.kalshi.venue.query import Asked, Query, Refused, Reply, error
from streams.simulated.kalshi.venue.state import Venue
from streams.simulated.kalshi.venue.wire import Json

__all__ = ["BASE", "Route", "answer", "route"]

BASE = "/trade-api/v2"


@dataclass(frozen=True)
class Route:
    """A path with `{names}`, and what answers it: a function of `Asked` and the names."""

    template: str
    answer: Callable[..., Json]
    private: bool = False

    @property
    def priced(self) -> str:
        """The path as the list of costs names it."""
        return BASE + re.sub(r"\{(\w+)\}", r":\1", self.template)

    def match(self, path: str) -> dict[str, str] | None:
        """The names' values; None where the path is another."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


def _limits(asked: Asked) -> Json:
    return asked.venue.limits.record()


_ROUTES = (
    Route("/exchange/status", market_data.exchange_status),
    Route("/exchange/user_data_timestamp", market_data.user_data_timestamp),
    Route("/account/endpoint_costs", market_data.endpoint_costs),
    Route("/account/limits", _limits, private=True),
    Route("/markets", market_data.markets),
    Route("/markets/trades", market_data.trades),
    Route("/markets/candlesticks", market_data.batch_candlesticks),
    Route("/markets/{ticker}", market_data.market),
    Route("/markets/{ticker}/orderbook", market_data.orderbook),
    Route("/series/{series}/markets/{ticker}/candlesticks", market_data.candlesticks),
    Route("/portfolio/balance", portfolio_reads.balance, private=True),
    Route("/portfolio/positions", portfolio_reads.positions, private=True),
    Route("/portfolio/fills", portfolio_reads.fills, private=True),
    Route("/portfolio/orders", portfolio_reads.orders, private=True),
    Route("/portfolio/orders/{order_id}", portfolio_reads.order, private=True),
    Route("/portfolio/settlements", portfolio_reads.settlements, private=True),
    Route("/portfolio/deposits", portfolio_reads.deposits, private=True),
    Route("/portfolio/withdrawals", portfolio_reads.withdrawals, private=True),
    Route("/portfolio/subaccounts/balances", portfolio_reads.subaccount_balances, private=True),
    Route("/historical/cutoff", market_data.cutoff),
    Route("/historical/markets", market_data.archived_markets),
    Route("/historical/markets/{ticker}", market_data.archived_market),
    Route("/historical/markets/{ticker}/candlesticks", market_data.archived_candlesticks),
    Route("/historical/trades", market_data.archived_trades),
    Route("/historical/fills", portfolio_reads.archived_fills, private=True),
    Route("/historical/orders", portfolio_reads.archived_orders, private=True),
    Route("/historical/positions", portfolio_reads.archived_positions, private=True),
)


def route(path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, and the values in it; the first that fits."""
    for one in _ROUTES:
        if (values := one.match(path)) is not None:
            return one, values
    return None


def answer(venue: Venue, path: str, query: str) -> Reply:
    """The reply to a request that is allowed; `path` below `BASE`."""
    found = route(path)
    if found is None:
        return error(404, "not_found")
    asked_for, values = found
    try:
        body = asked_for.answer(Asked(venue, Query(path, query)), **values)
    except Refused as refused:
        return refused.reply
    return Reply(200, orjson.dumps(body))
