"""Coinbase Advanced Trade's public WebSocket feed: market_trades, ticker, heartbeats.

It is the exchange of `coinbase` by another door: the same trades with the same numbers. As a venue
of its own, `coinbase_advanced`, both feeds can run at once, and neither fills or contradicts the
other. What it missed is asked of the exchange's REST API, which has those numbers.

Source of the rules: docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket. A product in
USDC is answered with the one in USD, whose book it shares, and is known by that name here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.connectors.base import Address, ConnectorError, Request, build
from streams.connectors.coinbase import REST_URL, taker_side, trades_page, trades_request
from streams.connectors.missed import Missed, Recovery
from streams.connectors.prices import PriceConnector, PriceParser
from streams.connectors.values import FrameError, decimal_text, integer, rfc3339_micros, shown, text
from streams.events import Event, PriceQuote, PriceTrade

__all__ = ["AdvancedConnector", "AdvancedParser"]

#: One subscription each; without heartbeats the venue closes channels on which little happens.
_CHANNELS = ("market_trades", "ticker", "heartbeats")
_IGNORED = frozenset(
    {
        *("candles", "futures_balance_summary", "heartbeats", "l2_data", "status"),
        *("subscriptions", "ticker_batch", "user"),
    }
)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass
class AdvancedConnector(PriceConnector):
    """Coinbase Advanced Trade."""

    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")
    url: str = "wss://advanced-trade-ws.coinbase.com"
    rest_url: str | None = REST_URL
    feed: str = "coinbase-advanced"
    venue: str = "coinbase_advanced"

    def connect(self) -> Address:
        return Address(self.url)

    def price_parser(
        self, connection: str, opened: int, recovery: Recovery | None
    ) -> AdvancedParser:
        parser = AdvancedParser(self.venue, connection, self.trades, recovery)
        for channel in _CHANNELS:
            parser.say(self._subscription(channel))
        return parser

    def _subscription(self, channel: str) -> str:
        request = {"type": "subscribe", "product_ids": list(self.symbols), "channel": channel}
        return orjson.dumps(request).decode()


@dataclass
class AdvancedParser(PriceParser):
    """Advanced Trade's frames, numbered by `sequence_num` over all channels of a connection.

    A number skipped ends the connection: the next one begins with the newest trades, whose own
    numbers tell which were missed.
    """

    #: The next frame's number; None before the first.
    _expected: int | None = field(default=None, init=False)

    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        if frame.get("type") == "error":
            raise ConnectorError(
                f"{self.venue} answered with an error: {shown(frame.get('message'))}"
            )
        channel = text(frame, "channel")
        if not self._is_next(integer(frame, "sequence_num")):
            return []
        match channel:
            case "market_trades":
                items = _items(frame, "trades")
                return self.arrived([self._trade(item, received) for item in items], received)
            case "ticker":
                time = rfc3339_micros(frame.get("timestamp"))
                return [self._quote(item, time, received) for item in _items(frame, "tickers")]
            case _ if channel in _IGNORED:
                return []
            case _:
                raise FrameError(f"unknown channel {shown(channel)}")

    def _is_next(self, number: int) -> bool:
        """False for a frame that came already. Raises ConnectorError where some were skipped."""
        expected = number if self._expected is None else self._expected
        if number < expected:
            return False
        self._expected = number + 1
        if number > expected:
            raise ConnectorError(
                f"{self.venue} skipped {number - expected} frames from number {expected} on"
            )
        return True

    def _trade(self, item: Mapping[str, Any], received: int) -> tuple[int, PriceTrade]:
        number = text(item, "trade_id")
        if _NUMBER.fullmatch(number) is None:
            raise FrameError(f"trade_id: not a number: {shown(number)}")
        return int(number), build(
            PriceTrade,
            venue=self.venue,
            symbol=text(item, "product_id"),
            trade_id=number,
            price=decimal_text(item.get("price")),
            size=decimal_text(item.get("size")),
            side=taker_side(item),
            time=rfc3339_micros(item.get("time")),
            sequence=None,
            received=received,
        )

    def _quote(self, item: Mapping[str, Any], time: int, received: int) -> PriceQuote:
        """The venue dates the frame, not the single quote."""
        return build(
            PriceQuote,
            venue=self.venue,
            symbol=text(item, "product_id"),
            bid=decimal_text(item.get("best_bid")),
            bid_size=decimal_text(item.get("best_bid_quantity")),
            ask=decimal_text(item.get("best_ask")),
            ask_size=decimal_text(item.get("best_ask_quantity")),
            time=time,
            sequence=None,
            received=received,
        )

    def request(self, missed: Missed) -> Request:
        return trades_request(missed)

    def page(self, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade]:
        return trades_page(self.venue, reply, symbol, received)


def _items(frame: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The trades or tickers of all events of a frame. Raises FrameError."""
    return [item for event in _objects(frame, "events") for item in _objects(event, name)]


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = holder.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FrameError(f"{name}: not a list of JSON objects")
    return found
