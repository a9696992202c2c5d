"""Binance's public spot streams: trades (single or aggregated) and the best bid and ask.

Source of the rules: github.com/binance/binance-spot-api-docs, web-socket-streams.md, and for missed
trades rest-api.md. Binance US speaks the same protocol on hosts of its own (docs.binance.us).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.connectors.base import Address, ConnectorError, Request, build
from streams.connectors.missed import Missed, Recovery
from streams.connectors.prices import LONGEST_PAGE, PriceConnector, PriceParser, json_list
from streams.connectors.values import FrameError, decimal_text, epoch_micros, integer, shown, text
from streams.events import Event, PriceQuote, PriceTrade

__all__ = ["BinanceConnector", "BinanceParser", "BinanceUsConnector", "canonical_symbol"]

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
    rest_url: str | None = "https://data-api.binance.vision"
    feed: str = "binance"
    venue: str = "binance"

    def connect(self) -> Address:
        """The combined stream of all symbols; the address is the subscription."""
        names = [_name(symbol).lower() for symbol in self.symbols]
        streams = [f"{name}@{stream}" for name in names for stream in ("aggTrade", "bookTicker")]
        return Address(f"{self.url}/stream?streams={'/'.join(streams)}")

    def number(self, trade: PriceTrade) -> tuple[str, int]:
        """Aggregates are numbered by themselves: theirs have an `a` before them."""
        kind = trade.trade_id[:1] if trade.trade_id.startswith("a") else ""
        return f"{kind}{trade.symbol}", int(trade.trade_id.removeprefix("a"))

    def series(self, symbol: str) -> str:
        return f"a{symbol}"

    def price_parser(
        self, connection: str, opened: int, recovery: Recovery | None
    ) -> BinanceParser:
        return BinanceParser(self.venue, connection, self.trades, recovery)


@dataclass
class BinanceUsConnector(BinanceConnector):
    """Binance US: another company's market, with trades and numbers of its own."""

    url: str = "wss://stream.binance.us:9443"
    rest_url: str | None = "https://api.binance.us"
    feed: str = "binance-us"
    venue: str = "binance_us"


@dataclass
class BinanceParser(PriceParser):
    """Binance's frames, bare or in the combined stream's `{"stream", "data"}` envelope."""

    #: Symbol → the newest state of its book that came; not longer than a connection, so that
    #: quotes go on where the venue should ever start its numbers anew.
    _books: dict[str, int] = field(default_factory=dict, init=False)

    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        if "stream" in frame:
            frame = _mapping(frame, "data")
        match frame.get("e"):
            case "trade":
                return self._single_trade(frame, received)
            case "aggTrade":
                return self._aggregate_trade(frame, received)
            case "serverShutdown":
                raise ConnectorError(f"{self.venue} announces the end of this connection")
            case str() as kind if kind in _IGNORED:
                return []
            case None:
                return self._unnamed(frame, received)
            case kind:
                raise FrameError(f"unknown event type {shown(kind)}")

    def _unnamed(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """Frames without an event type: bookTicker, replies, depth snapshots."""
        if {"u", "s", "b", "a"} <= frame.keys():
            return self._quote(frame, received)
        if "error" in frame or {"code", "msg"} <= frame.keys():
            answer = ascii(frame.get("error", dict(frame)))
            raise ConnectorError(f"{self.venue} answered with an error: {answer[:500]}")
        if "result" in frame or "lastUpdateId" in frame:
            return []
        raise FrameError("neither an event nor a reply")

    def _single_trade(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """Of recordings; what it missed cannot be asked for without a key."""
        number = integer(frame, "t")
        symbol = canonical_symbol(text(frame, "s"))
        trade = self._trade(frame, symbol, number, str(number), received)
        return [*self.gap(symbol, self.trades.arrived(symbol, number), received), trade]

    def _aggregate_trade(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        number = integer(frame, "a")
        symbol = canonical_symbol(text(frame, "s"))
        trade = self._trade(frame, symbol, number, f"a{number}", received)
        skipped = self.trades.arrived(f"a{symbol}", number)
        return [*self.missed(symbol, skipped, received), trade]

    def _trade(
        self, frame: Mapping[str, Any], symbol: str, number: int, trade_id: str, received: int
    ) -> PriceTrade:
        if type(sent := frame.get("E")) is int and sent > 0:
            self.sent = received, epoch_micros(sent)
        buyer_is_maker = frame.get("m")
        if not isinstance(buyer_is_maker, bool):
            raise FrameError("m: neither true nor false")
        return build(
            PriceTrade,
            venue=self.venue,
            symbol=symbol,
            trade_id=trade_id,
            price=decimal_text(frame.get("p")),
            size=decimal_text(frame.get("q")),
            side="sell" if buyer_is_maker else "buy",
            time=epoch_micros(integer(frame, "T")),
            sequence=number,
            received=received,
        )

    def _quote(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """bookTicker carries no time: the receive time stands in. So what comes late, by `u`,
        would pass for the newest state: it is older than what is known, and says nothing."""
        quote = build(
            PriceQuote,
            venue=self.venue,
            symbol=canonical_symbol(text(frame, "s")),
            bid=decimal_text(frame.get("b")),
            bid_size=decimal_text(frame.get("B")),
            ask=decimal_text(frame.get("a")),
            ask_size=decimal_text(frame.get("A")),
            time=received,
            sequence=(state := integer(frame, "u")),
            received=received,
        )
        if state <= self._books.get(quote.symbol, -1):
            return []
        self._books[quote.symbol] = state
        return [quote]

    def request(self, missed: Missed) -> Request:
        count = min(LONGEST_PAGE, missed.end - missed.first)
        query = (
            ("symbol", _name(missed.symbol)),
            ("fromId", str(missed.first)),
            ("limit", str(count)),
        )
        return Request("/api/v3/aggTrades", query)

    def page(self, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade]:
        """Its items are aggTrade's, without event type and symbol."""
        return {
            (number := integer(trade, "a")): self._trade(
                trade, symbol, number, f"a{number}", received
            )
            for trade in json_list(reply)
        }


def _name(symbol: str) -> str:
    """BTC-USDT → BTCUSDT."""
    return symbol.replace("-", "")


def _mapping(frame: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = frame.get(name)
    if not isinstance(value, dict):
        raise FrameError(f"{name}: not a JSON object")
    return value
