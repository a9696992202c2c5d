"""Connectors: one module per feed, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping

from streams.connectors.base import Connector
from streams.connectors.binance import BinanceConnector
from streams.connectors.coinbase import CoinbaseConnector, SimulatedConnector

__all__ = ["FEEDS", "recorded"]

#: Every feed by its name.
FEEDS: Mapping[str, type[Connector]] = {
    "binance": BinanceConnector,
    "coinbase": CoinbaseConnector,
    "simulated": SimulatedConnector,
}


def recorded(feed: str) -> Connector:
    """What reads the recordings of a feed, as a frame names it: `kalshi-books@kalshi/prod/main`.

    Raises LookupError for a feed that is not known.
    """
    name, _, owner = feed.partition("@")
    return FEEDS[name].recorded(owner)
