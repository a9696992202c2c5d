"""Connectors: one module per venue, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from streams.connectors.base import Connector
from streams.connectors.binance import BinanceConnector
from streams.connectors.coinbase import CoinbaseConnector

__all__ = ["VENUES"]

#: Venue name → its connector; each takes `symbols`, and has the venue's main ones by default.
VENUES: dict[str, Callable[..., Connector]] = {
    "binance": BinanceConnector,
    "coinbase": CoinbaseConnector,
    "simulated": partial(CoinbaseConnector, venue="simulated"),
}
