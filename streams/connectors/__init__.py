"""Connectors: one module per feed, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping

from streams.connectors.base import Connector
from streams.connectors.binance import BinanceConnector, BinanceUsConnector
from streams.connectors.coinbase import CoinbaseConnector, SimulatedConnector
from streams.connectors.coinbase_advanced import AdvancedConnector
from streams.connectors.kalshi.account import KalshiAccountConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.connectors.kraken import KrakenConnector

__all__ = ["FEEDS", "FEEDS_OF_VENUE", "recorded"]

#: Every feed by its name.
FEEDS: Mapping[str, type[Connector]] = {
    "binance": BinanceConnector,
    "binance-us": BinanceUsConnector,
    "coinbase": CoinbaseConnector,
    "coinbase-advanced": AdvancedConnector,
    "kalshi-account": KalshiAccountConnector,
    "kalshi-books": KalshiBooksConnector,
    "kalshi-market": KalshiMarketConnector,
    "kraken": KrakenConnector,
    "simulated": SimulatedConnector,
}

#: The venues of which one name means several feeds.
FEEDS_OF_VENUE: Mapping[str, tuple[str, ...]] = {
    "kalshi": ("kalshi-market", "kalshi-books", "kalshi-account"),
}


def recorded(feed: str) -> Connector:
    """What reads the recordings of a feed, as a frame names it: `kalshi-books@kalshi/prod/main`.

    Raises LookupError for a feed that is not known.
    """
    name, _, owner = feed.partition("@")
    return FEEDS[name].recorded(owner)
