"""Coinbase Exchange's public WebSocket feed: matches, tickers, heartbeats.

Source of the rules: docs.cdp.coinbase.com/exchange/docs/websocket-channels and, for missed trades,
its REST reference, "Get product trades". The simulated venue speaks the same protocol and uses
this module under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from streams.connectors.base import Address, ConnectorError, Request, build
from streams.connectors.coinbase_quick import match_of, ticker_record
from streams.connectors.missed import Missed, Recovery
from streams.connectors.prices import LONGEST_PAGE, PriceConnector, PriceParser, json_list
from streams.connectors.values import FrameError, decimal_text, integer, rfc3339_micros, shown, text
from streams.events import EncodedEvent, Event, PriceQuote, PriceTrade
from streams.settings import Endpoints

__all__ = ["REST_URL", "CoinbaseConnector", "CoinbaseParser", "SimulatedConnector"]
__all__ += ["taker_side", "trades_page", "trades_request"]

#: Of the matching engine's trades, whichever feed missed them.
REST_URL = "https://api.exchange.coinbase.com"

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
    rest_url: str | None = REST_URL
    feed: str = "coinbase"
    venue: str = "coinbase"

    def connect(self) -> Address:
        return Address(self.url)

    def price_parser(
        self, connection: str, opened: int, recovery: Recovery | None
    ) -> CoinbaseParser:
        parser = CoinbaseParser(self.venue, connection, self.trades, recovery)
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
    """The simulated venue, which speaks Coinbase's protocol under its own name, without REST."""

    rest_url: str | None = None
    feed: str = "simulated"
    venue: str = "simulated"

    async def prepare(self, endpoints: Endpoints) -> int:
        """Its trades begin anew with each start of its server: none is missed between two."""
        return 0


class CoinbaseParser(PriceParser):
    """Coinbase's frames. trade_id steps by one per product; `sequence` does not on these channels
    (it counts the full feed), so only trade_id tells of missed trades."""

    def quick(self, frame: bytes, received: int, trace: str) -> list[EncodedEvent] | None:
        try:
            fields = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return None
        kind = fields.get("type") if type(fields) is dict else None
        if kind == "ticker":
            quote = ticker_record(fields, self.venue, received, trace)
            return None if quote is None else [quote]
        match = match_of(fields) if kind == "match" else None
        if match is None or not self.is_next(match.symbol, match.number, match.time):
            return None
        return [match.record(self.venue, received, trace)]

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
        trade = build(
            PriceTrade,
            venue=self.venue,
            symbol=text(frame, "product_id"),
            trade_id=str(number),
            price=decimal_text(frame.get("price")),
            size=decimal_text(frame.get("size")),
            side=taker_side(frame),
            time=rfc3339_micros(frame.get("time")),
            sequence=integer(frame, "sequence"),
            received=received,
        )
        return self.arrived([(number, trade)], received)

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
        if "time" in frame:
            self.sent = received, rfc3339_micros(frame["time"])
        symbol = text(frame, "product_id")
        skipped = self.trades.exist(symbol, integer(frame, "last_trade_id"))
        return self.missed(symbol, skipped, received)

    def request(self, missed: Missed) -> Request:
        return trades_request(missed)

    def page(self, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade]:
        return trades_page(self.venue, reply, symbol, received)


def taker_side(frame: Mapping[str, Any]) -> str:
    """The opposite of the field `side`, which is the maker's. Raises FrameError."""
    maker_side = text(frame, "side").lower()
    if maker_side not in _TAKER_SIDE:
        raise FrameError(f"side: neither buy nor sell: {shown(maker_side)}")
    return _TAKER_SIDE[maker_side]


def trades_request(missed: Missed) -> Request:
    """Trades come newest first, and `after` a number means those below it."""
    end = min(missed.end, missed.first + LONGEST_PAGE)
    query = (("limit", str(end - missed.first)), ("after", str(end)))
    return Request(f"/products/{missed.symbol}/trades", query)


def trades_page(venue: str, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade]:
    """The trades of a reply by their numbers; `sequence` is not told here. Raises FrameError."""
    return {
        (number := integer(trade, "trade_id")): build(
            PriceTrade,
            venue=venue,
            symbol=symbol,
            trade_id=str(number),
            price=decimal_text(trade.get("price")),
            size=decimal_text(trade.get("size")),
            side=taker_side(trade),
            time=rfc3339_micros(trade.get("time")),
            sequence=None,
            received=received,
        )
        for trade in json_list(reply)
    }


def _optional_decimal(frame: Mapping[str, Any], name: str) -> str | None:
    value = frame.get(name)
    return None if value is None else decimal_text(value)
