"""Tickers and changes of books straight to records, where nothing about them is out of the way.

What is made here is what the converters and the codec make by way of models; a property test
compares them. None means: in doubt, let the parser do it.
"""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import Any

import orjson

from streams.connectors.kalshi.delivery import LARGEST_RAW
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, rfc3339_micros
from streams.events import EncodedEvent, written
from streams.events.types import EARLIEST_TIME, LAST_TIME, MAX_INT64, Side

__all__ = ["Delta", "delta_of", "ticker_record"]

#: All keys of a ticker's message since October 2026, and of a delta's.
_TICKER = frozenset(
    {
        *("market_id", "market_ticker", "price_dollars", "yes_bid_dollars", "yes_ask_dollars"),
        *("yes_bid_size_fp", "yes_ask_size_fp", "last_trade_size_fp", "volume_fp"),
        *("open_interest_fp", "dollar_volume", "dollar_open_interest", "ts", "ts_ms", "time"),
    }
)
_PRICES = itemgetter("yes_bid_dollars", "yes_ask_dollars", "price_dollars")
_COUNTS = itemgetter(
    *("yes_bid_size_fp", "yes_ask_size_fp", "last_trade_size_fp", "volume_fp", "open_interest_fp")
)
_DELTA = frozenset(
    {"market_ticker", "market_id", "clock", "price_dollars", "delta_fp", "side", "ts", "ts_ms"}
)


def ticker_record(
    frame: Item, data: bytes, venue: str, received: int, trace: str
) -> EncodedEvent | None:
    """The MarketTicker of a frame of that type."""
    msg: Any = frame.get("msg")
    if (
        type(msg) is not dict
        or msg.keys() != _TICKER
        or not written.is_ticker(msg["market_ticker"])
    ):
        return None
    fields = _fields(msg)
    time = _time(msg["time"], msg["ts_ms"], msg["ts"])
    raw = _raw(data)
    if fields is None or time is None or raw is None:
        return None
    return written.market_ticker(venue, msg["market_ticker"], fields, time, received, raw, trace)


def _fields(msg: dict[str, Any]) -> str | None:
    """The fields from yes_bid to dollar_open_interest as JSON has them."""
    prices, counts = _PRICES(msg), _COUNTS(msg)
    dollars, dollar_interest = msg["dollar_volume"], msg["dollar_open_interest"]
    if not (
        written.are_quotes(prices, counts) and _is_whole(dollars) and _is_whole(dollar_interest)
    ):
        return None
    bid, ask, last = prices
    bid_size, ask_size, last_size, volume, interest = counts
    traded = "null" if written.is_zero(last) else f'"{last}"'
    return (
        f'"yes_bid":"{bid}","yes_ask":"{ask}","yes_bid_size":"{bid_size}",'
        f'"yes_ask_size":"{ask_size}","last_price":{traded},"last_size":"{last_size}",'
        f'"volume":"{volume}","open_interest":"{interest}","dollar_volume":"{dollars}",'
        f'"dollar_open_interest":"{dollar_interest}"'
    )


class Delta:
    """A change of a book whose fields are all as they should be."""

    __slots__ = ("clock", "delta", "msg", "price", "seq", "sid", "side", "ticker", "time")

    def __init__(self, frame: Item, msg: dict[str, Any], time: int) -> None:
        self.msg = msg
        self.ticker: str = msg["market_ticker"]
        self.side: Side = msg["side"]
        self.sid: int = frame["sid"]
        self.seq: int = frame["seq"]
        self.clock: int = msg["clock"]
        self.price = Decimal(msg["price_dollars"])
        self.delta = Decimal(msg["delta_fp"])
        self.time = time

    def record(
        self, data: bytes, venue: str, connection: str, received: int, previous: int, trace: str
    ) -> EncodedEvent | None:
        """Its BookDelta."""
        raw = _raw(data)
        if raw is None:
            return None
        msg = self.msg
        numbers = (self.sid, self.seq, self.clock, self.time, received)
        what = (raw, previous, self.side, msg["price_dollars"], msg["delta_fp"])
        return written.book_delta(venue, self.ticker, connection, *numbers, *what, trace)


def delta_of(frame: Item) -> Delta | None:
    """The change in a frame of type orderbook_delta."""
    msg: Any = frame.get("msg")
    if type(msg) is not dict or msg.keys() != _DELTA or not written.is_ticker(msg["market_ticker"]):
        return None
    clock, seq, sid = msg["clock"], frame.get("seq"), frame.get("sid")
    if not (_is_number(clock) and _is_number(seq) and _is_number(sid)):
        return None
    if not written.is_binary(msg["price_dollars"]) or not written.is_signed(msg["delta_fp"]):
        return None
    time = _time(msg["ts"], msg["ts_ms"], None)
    if time is None or msg["side"] not in ("yes", "no"):
        return None
    return Delta(frame, msg, time)


def _time(text: object, millis: object, seconds: object) -> int | None:
    """As `values.finest` of a time in text, in milliseconds and in seconds, where all agree."""
    if type(millis) is not int or not 0 < millis <= LAST_TIME // 1000:
        return None
    try:
        micros = rfc3339_micros(text)
    except FrameError:
        return None
    second = millis // 1000
    if micros // 1_000_000 != second or (seconds is not None and seconds != second):
        return None
    if type(seconds) not in (int, type(None)):
        return None
    time = max(micros, millis * 1000)
    return time if time >= EARLIEST_TIME else None


def _raw(data: bytes) -> str | None:
    """The frame as a JSON string, as JSON has it; None where it is too long to be kept."""
    text = orjson.dumps(data.decode()).decode()
    return text if len(text) <= LARGEST_RAW // 4 else None


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) <= MAX_INT64


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_INT64
