"""Coinbase Exchange's public WebSocket feed: matches, tickers, heartbeats.

Source of the rules: docs.cdp.coinbase.com/exchange/docs/websocket-channels. The simulated venue
speaks the same protocol and uses this module under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from streams.connectors.base import Address, ConnectorError, build
from streams.connectors.prices import PriceConnector, PriceParser
from streams.connectors.values import FrameError, decimal_text, integer, rfc3339_micros, shown, text
from streams.events import Event, PriceQuote, PriceTrade

__all__ = ["CoinbaseConnector", "CoinbaseParser", "SimulatedConnector"]

#: Types of other channels and replies: no prices of ours in them.
_IGNORED = frozenset(
    {
        "activate",
        "auctionfeed",
        "change",
        "done",
        "l2update",
        "open",
        "received",
        "snapshot",
        "status",
        "subscriptions",
    }
)
_TAKER_SIDE = {"buy": "sell", "sell": "buy"}


@dataclass
class CoinbaseConnector(PriceConnector):
    """Coinbase Exchange, or a venue that speaks its protocol under another name."""

    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")
    url: str = "wss://ws-feed.exchange.coinbase.com"
    feed: str = "coinbase"
    venue: str = "coinbase"

    def connect(self) -> Address:
        return Address(self.url)

    def parser(self, connection: str, opened: int) -> CoinbaseParser:
        parser = CoinbaseParser(self.venue, connection, self.trades)
        parser.say(self._subscribe())
        return parser

    def _subscribe(self) -> str:
        """One subscription; Coinbase closes a connection that sends none within 5 s."""
        request = {
            "type": "subscribe",
            "product_ids": list(self.symbols),
            "channels": ["ticker", "matches", "heartbeat"],
        }
        return orjson.dumps(request).decode()


@dataclass
class SimulatedConnector(CoinbaseConnector):
    """The simulated venue, which speaks Coinbase's protocol under its own name."""

    feed: str = "simulated"
    venue: str = "simulated"


class CoinbaseParser(PriceParser):
    """Coinbase's frames. trade_id steps by one per product; `sequence` does not on these channels
    (it counts the full feed), so only trade_id tells of missed trades."""

    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        match frame.get("type"):
            case "match" | "last_match":
                return self._trade(frame, received)
            case "ticker":
                return [self._quote(frame, received)]
            case "heartbeat":
                return self._heartbeat(frame, received)
            case "error":
                reason = f"{shown(frame.get('message'))}: {shown(frame.get('reason'))}"
                raise ConnectorError(f"{self.venue} answered with an error: {reason}")
            case str() as kind if kind in _IGNORED:
                return []
            case kind:
                raise FrameError(f"unknown message type {shown(kind)}")

    def _trade(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        number = integer(frame, "trade_id")
        maker_side = text(frame, "side")
        if maker_side not in _TAKER_SIDE:
            raise FrameError(f"side: neither buy nor sell: {shown(maker_side)}")
        trade = build(
            PriceTrade,
            venue=self.venue,
            symbol=text(frame, "product_id"),
            trade_id=str(number),
            price=decimal_text(frame.get("price")),
            size=decimal_text(frame.get("size")),
            side=_TAKER_SIDE[maker_side],
            time=rfc3339_micros(frame.get("time")),
            sequence=integer(frame, "sequence"),
            received=received,
        )
        skipped = self.trades.arrived(trade.symbol, number)
        return [*self.gap(trade.symbol, skipped, received), trade]

    def _quote(self, frame: Mapping[str, Any], received: int) -> PriceQuote:
        """A ticker also repeats the match (with the taker's side): that is no second trade.

        The sizes came to the feed in 2022; a product without a trade has no time.
        """
        time = frame.get("time")
        return build(
            PriceQuote,
            venue=self.venue,
            symbol=text(frame, "product_id"),
            bid=decimal_text(frame.get("best_bid")),
            bid_size=_optional_decimal(frame, "best_bid_size"),
            ask=decimal_text(frame.get("best_ask")),
            ask_size=_optional_decimal(frame, "best_ask_size"),
            time=received if time is None else rfc3339_micros(time),
            sequence=integer(frame, "sequence"),
            received=received,
        )

    def _heartbeat(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """The last trade that the venue made: all up to it should have arrived by now."""
        symbol = text(frame, "product_id")
        skipped = self.trades.exist(symbol, integer(frame, "last_trade_id"))
        return self.gap(symbol, skipped, received)


def _optional_decimal(frame: Mapping[str, Any], name: str) -> str | None:
    value = frame.get(name)
    return None if value is None else decimal_text(value)
