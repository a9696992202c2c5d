"""Kraken's WebSocket v2: trades, and the best bid and ask of a book whose checksum is verified.

Source of the rules: docs.kraken.com/api/docs/websocket-v2 (trade, book, status, heartbeat) and, for
missed trades, docs.kraken.com/api/docs/rest-api/get-recent-trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
import structlog

from streams.connectors.base import Address, ConnectorError, Request, build
from streams.connectors.exact_json import exact_json, json_mapping
from streams.connectors.http_replies import venue_error
from streams.connectors.kraken_book import DEPTH, Book, Level, levels, number_text
from streams.connectors.kraken_former import former_format
from streams.connectors.missed import Missed, Recovery
from streams.connectors.prices import LONGEST_PAGE, PriceConnector, PriceParser
from streams.connectors.values import (
    FrameError,
    integer,
    rfc3339_micros,
    seconds_micros,
    shown,
    text,
)
from streams.events import Event, PriceQuote, PriceTrade

__all__ = ["KrakenConnector", "KrakenParser"]

log = structlog.get_logger(__name__)

#: A book that was subscribed to begins within this. Microseconds.
_SNAPSHOT_WITHIN = 10_000_000
_IGNORED = frozenset({"heartbeat", "instrument", "level3", "ohlc", "status", "ticker"})
_REPLIES = frozenset({"ping", "pong", "subscribe", "unsubscribe"})
#: Errors of the REST API that pass by themselves: limits of its use, and the service being away.
_PASSING_ERRORS = ("Rate limit", "Too many requests", "EService")
_REST_SIDE = {"b": "buy", "s": "sell"}
#: What the REST API calls otherwise than WebSocket v2.
_REST_ASSET = {"BTC": "XBT", "DOGE": "XDG"}


@dataclass
class KrakenConnector(PriceConnector):
    """Kraken spot."""

    symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD")
    url: str = "wss://ws.kraken.com/v2"
    rest_url: str | None = "https://api.kraken.com"
    feed: str = "kraken"
    venue: str = "kraken"
    #: Its limit for those without a key.
    rest_rate: float = 1.0

    def connect(self) -> Address:
        return Address(self.url)

    def price_parser(self, connection: str, opened: int, recovery: Recovery | None) -> KrakenParser:
        parser = KrakenParser(self.venue, connection, self.trades, recovery)
        parser.subscribe(self.symbols)
        return parser


@dataclass
class KrakenParser(PriceParser):
    """Kraken's frames. No frame is numbered: missed trades show by their trade_id, which steps by
    one per symbol, and missed changes of a book by its checksum."""

    #: Symbol → its book since the last snapshot.
    _books: dict[str, Book] = field(default_factory=dict, init=False)
    #: Symbol → the first tick at which its snapshot was waited for, in microseconds since 1970 UTC;
    #: None before it. How long it took to connect is another matter.
    _awaited: dict[str, int | None] = field(default_factory=dict, init=False)
    #: Symbol → the best levels of its last quote.
    _quoted: dict[str, tuple[Level, Level]] = field(default_factory=dict, init=False)
    _requests: Iterator[int] = field(default_factory=lambda: count(1), init=False)

    def subscribe(self, symbols: tuple[str, ...]) -> None:
        """Follow these. The snapshot of trades, the last 50, shows what was missed before it."""
        names = [_name(symbol) for symbol in symbols]
        self._send("subscribe", channel="trade", symbol=names, snapshot=True)
        self._send("subscribe", channel="book", symbol=names, depth=DEPTH, snapshot=True)
        self._awaited |= dict.fromkeys(symbols)

    def tick(self, now: int) -> None:
        super().tick(now)
        for symbol, since in self._awaited.items():
            if since is None:
                self._awaited[symbol] = now
            elif now - since > _SNAPSHOT_WITHIN:
                raise ConnectorError(f"{self.venue} sends no snapshot of the book of {symbol}")

    def json_object(self, frame: bytes) -> Mapping[str, Any]:
        value = exact_json(frame)
        if former := former_format(value):
            raise ConnectorError(
                f"{former} is not read; the address of {self.venue} is one of WebSocket v2, such "
                "as wss://ws.kraken.com/v2"
            )
        return json_mapping(value)

    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        if frame.get("success") is False or "error" in frame:
            raise ConnectorError(
                f"{self.venue} answered with an error: {shown(frame.get('error'))}"
            )
        match frame.get("channel"):
            case "trade":
                return self.arrived(
                    [self._trade(entry, received) for entry in _entries(frame)], received
                )
            case "book":
                return self._book(frame, received)
            case str() as channel if channel in _IGNORED:
                return []
            case None if str(frame.get("method")) in _REPLIES:
                return []
            case channel:
                raise FrameError(f"unknown channel {shown(channel)}")

    def _trade(self, entry: Mapping[str, Any], received: int) -> tuple[int, PriceTrade]:
        number = integer(entry, "trade_id")
        time = rfc3339_micros(entry.get("timestamp"))
        self.sent = received, time
        return number, build(
            PriceTrade,
            venue=self.venue,
            symbol=_symbol(entry),
            trade_id=str(number),
            price=number_text(entry.get("price")),
            size=number_text(entry.get("qty")),
            side=text(entry, "side"),
            time=time,
            sequence=number,
            received=received,
        )

    def _book(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """A quote where the best bid or ask, or the size of one, is another than before."""
        kind = text(frame, "type")
        entries = _entries(frame)
        if len(entries) != 1:
            raise FrameError(f"data: {len(entries)} books where one is expected")
        [entry] = entries
        symbol = _symbol(entry)
        bids, asks, checksum = (
            levels(entry, "bids"),
            levels(entry, "asks"),
            integer(entry, "checksum"),
        )
        time = rfc3339_micros(entry["timestamp"]) if "timestamp" in entry else received
        if kind == "snapshot":
            self._books[symbol] = Book()
            self._awaited.pop(symbol, None)
        book = self._books.get(symbol)
        if book is None:
            return []  # of the subscription that was given up
        book.update(bids, asks)
        if book.checksum() != checksum:
            self._distrust(symbol, kind)
            return []
        best = book.best()
        if best is None or best == self._quoted.get(symbol):
            return []
        self._quoted[symbol] = best
        return [self._quote(symbol, best, time, received)]

    def _quote(
        self, symbol: str, best: tuple[Level, Level], time: int, received: int
    ) -> PriceQuote:
        bid, ask = best
        return build(
            PriceQuote,
            venue=self.venue,
            symbol=symbol,
            bid=bid.price,
            bid_size=bid.quantity,
            ask=ask.price,
            ask_size=ask.quantity,
            time=time,
            sequence=None,
            received=received,
        )

    def _distrust(self, symbol: str, kind: str) -> None:
        """Nothing more of this book is told until a new snapshot. Raises ConnectorError where
        a snapshot is wrong by itself: to ask for the next at once would be of no use."""
        del self._books[symbol]
        if kind == "snapshot":
            raise ConnectorError(f"{self.venue} sent a snapshot of {symbol} with a wrong checksum")
        log.warning("book not valid", venue=self.venue, connection=self.connection, symbol=symbol)
        self._awaited[symbol] = None
        for method in ("unsubscribe", "subscribe"):
            self._send(method, channel="book", symbol=[_name(symbol)], depth=DEPTH)

    def _send(self, method: str, **params: object) -> None:
        message = {"method": method, "params": params, "req_id": next(self._requests)}
        self.say(orjson.dumps(message).decode())

    def request(self, missed: Missed) -> Request:
        """By time, in nanoseconds, exclusive: so begin before the microsecond of the last trade."""
        base, _, quote = missed.symbol.partition("-")
        pair = f"{_REST_ASSET.get(base, base)}{_REST_ASSET.get(quote, quote)}"
        since = max(0, missed.since * 1000 - 1)
        query = (("pair", pair), ("since", str(since)), ("count", str(LONGEST_PAGE)))
        return Request("/0/public/Trades", query)

    def page(self, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade] | None:
        """`{"error": [], "result": {<pair>: [[price, volume, seconds, side, type, misc, id]]}}`.

        Errors have the status of a success.
        """
        body = json_mapping(exact_json(reply))
        if body.get("error"):
            reason = str(venue_error(reply))
            if any(passing in reason for passing in _PASSING_ERRORS):
                return None
            raise ConnectorError(f"{self.venue} refused to tell trades of {symbol}: {reason}")
        result = json_mapping(body.get("result"))
        lists = [one for one in result.values() if isinstance(one, list)]
        if len(lists) != 1:
            raise FrameError("result: not the trades of one pair")
        return dict(self._rest_trade(item, symbol, received) for item in lists[0])

    def _rest_trade(self, item: object, symbol: str, received: int) -> tuple[int, PriceTrade]:
        if not isinstance(item, list) or len(item) < 7:
            raise FrameError(f"a trade is a list of 7, not {shown(item)}")
        number = integer({"trade_id": item[6]}, "trade_id")
        return number, build(
            PriceTrade,
            venue=self.venue,
            symbol=symbol,
            trade_id=str(number),
            price=number_text(item[0]),
            size=number_text(item[1]),
            side=_REST_SIDE.get(item[3]) if isinstance(item[3], str) else None,
            time=seconds_micros(str(item[2])),
            sequence=number,
            received=received,
        )


def _entries(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = frame.get("data")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise FrameError("data: not a list of JSON objects")
    return data


def _symbol(entry: Mapping[str, Any]) -> str:
    """BTC/USD → BTC-USD."""
    return text(entry, "symbol").replace("/", "-")


def _name(symbol: str) -> str:
    """BTC-USD → BTC/USD."""
    return symbol.replace("-", "/")
