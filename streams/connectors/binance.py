"""Binance's public spot streams: trades (single or aggregated) and the best bid and ask.

Source of the rules: github.com/binance/binance-spot-api-docs, web-socket-streams.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.connectors.base import Address, ConnectorError, build
from streams.connectors.prices import PriceConnector, PriceParser
from streams.connectors.values import FrameError, decimal_text, epoch_micros, integer, shown, text
from streams.events import Event, PriceQuote, PriceTrade

__all__ = ["BinanceConnector", "BinanceParser", "canonical_symbol"]

#: Longest first, so that BTCTUSD is BTC-TUSD and not BTCT-USD.
_QUOTE_ASSETS = (
    *("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USD1"),
    *("BTC", "ETH", "BNB", "DAI", "EUR", "GBP", "TRY", "BRL", "AUD", "JPY", "ARS", "MXN", "PLN"),
    *("RON", "UAH", "ZAR", "CZK", "COP", "IDR", "NGN", "RUB", "XRP", "TRX", "SOL", "USD"),
)

_IGNORED = frozenset(
    {
        "1dTicker",
        "1hTicker",
        "24hrMiniTicker",
        "24hrTicker",
        "4hTicker",
        "avgPrice",
        "depthUpdate",
        "kline",
    }
)


def canonical_symbol(name: str) -> str:
    """BTCUSDT → BTC-USDT. A name without a known quote asset stays as it is, in capitals."""
    name = name.upper()
    for quote in _QUOTE_ASSETS:
        if name.endswith(quote) and len(name) > len(quote):
            return f"{name.removesuffix(quote)}-{quote}"
    return name


@dataclass
class BinanceConnector(PriceConnector):
    """Binance spot. Follows aggTrade only: `trade` numbers the same executions differently."""

    symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT")
    #: The market-data-only host, reachable from more countries than stream.binance.com.
    url: str = "wss://data-stream.binance.vision"
    feed: str = "binance"
    venue: str = "binance"

    def connect(self) -> Address:
        """The combined stream of all symbols; the address is the subscription."""
        names = [symbol.replace("-", "").lower() for symbol in self.symbols]
        streams = [f"{name}@{stream}" for name in names for stream in ("aggTrade", "bookTicker")]
        return Address(f"{self.url}/stream?streams={'/'.join(streams)}")

    def parser(self, connection: str, opened: int) -> BinanceParser:
        return BinanceParser(self.venue, connection, self.trades)


class BinanceParser(PriceParser):
    """Binance's frames, bare or in the combined stream's `{"stream", "data"}` envelope."""

    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        if "stream" in frame:
            frame = _mapping(frame, "data")
        match frame.get("e"):
            case "trade":
                return self._trade(frame, integer(frame, "t"), "", received)
            case "aggTrade":
                return self._trade(frame, integer(frame, "a"), "a", received)
            case "serverShutdown":
                raise ConnectorError("binance announces the end of this connection")
            case str() as kind if kind in _IGNORED:
                return []
            case None:
                return self._unnamed(frame, received)
            case kind:
                raise FrameError(f"unknown event type {shown(kind)}")

    def _unnamed(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """Frames without an event type: bookTicker, replies, depth snapshots."""
        if {"u", "s", "b", "a"} <= frame.keys():
            return [self._quote(frame, received)]
        if "error" in frame or {"code", "msg"} <= frame.keys():
            answer = ascii(frame.get("error", dict(frame)))
            raise ConnectorError(f"{self.venue} answered with an error: {answer[:500]}")
        if "result" in frame or "lastUpdateId" in frame:
            return []
        raise FrameError("neither an event nor a reply")

    def _trade(
        self, frame: Mapping[str, Any], number: int, prefix: str, received: int
    ) -> list[Event]:
        buyer_is_maker = frame.get("m")
        if not isinstance(buyer_is_maker, bool):
            raise FrameError("m: neither true nor false")
        symbol = canonical_symbol(text(frame, "s"))
        trade = build(
            PriceTrade,
            venue=self.venue,
            symbol=symbol,
            trade_id=f"{prefix}{number}",
            price=decimal_text(frame.get("p")),
            size=decimal_text(frame.get("q")),
            side="sell" if buyer_is_maker else "buy",
            time=epoch_micros(integer(frame, "T")),
            sequence=number,
            received=received,
        )
        skipped = self.trades.arrived(f"{prefix}{symbol}", number)
        return [*self.gap(symbol, skipped, received), trade]

    def _quote(self, frame: Mapping[str, Any], received: int) -> PriceQuote:
        """bookTicker carries no time: the receive time stands in."""
        return build(
            PriceQuote,
            venue=self.venue,
            symbol=canonical_symbol(text(frame, "s")),
            bid=decimal_text(frame.get("b")),
            bid_size=decimal_text(frame.get("B")),
            ask=decimal_text(frame.get("a")),
            ask_size=decimal_text(frame.get("A")),
            time=received,
            sequence=integer(frame, "u"),
            received=received,
        )


def _mapping(frame: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = frame.get(name)
    if not isinstance(value, dict):
        raise FrameError(f"{name}: not a JSON object")
    return value
