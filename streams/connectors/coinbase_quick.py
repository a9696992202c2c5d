"""Coinbase's matches and tickers straight to records, where nothing about them is out of the way.

What is made here is what the parser and the codec make by way of models; a property test compares
them. None means: in doubt, let the parser do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.connectors.values import FrameError, rfc3339_micros
from streams.events import EncodedEvent, written
from streams.events.types import EARLIEST_TIME, LAST_TIME, MAX_INT64

__all__ = ["Match", "match_of", "ticker_record"]

_TAKER_SIDE = {"buy": "sell", "sell": "buy"}


class Match:
    """A match whose fields are all as they should be."""

    __slots__ = ("number", "price", "sequence", "side", "size", "symbol", "time")

    def __init__(self, frame: Mapping[str, Any], side: str, time: int) -> None:
        self.symbol: str = frame["product_id"]
        self.number: int = frame["trade_id"]
        self.price: str = frame["price"]
        self.size: str = frame["size"]
        self.sequence: int = frame["sequence"]
        self.side = side
        self.time = time

    def record(self, venue: str, received: int, trace: str) -> EncodedEvent:
        """Its PriceTrade."""
        number = str(self.number)
        what = (venue, self.symbol, number, self.price, self.size, self.side)
        return written.price_trade(*what, self.time, self.sequence, received, trace)


def match_of(frame: Mapping[str, Any]) -> Match | None:
    """The match of a frame of that type."""
    maker_side = frame.get("side")
    side = _TAKER_SIDE.get(maker_side) if isinstance(maker_side, str) else None
    time = _time(frame)
    if (
        side is None
        or time is None
        or not written.is_symbol(frame.get("product_id"))
        or not written.is_positive(frame.get("price"))
        or not written.is_plain(frame.get("size"))
        or not _is_number(frame.get("trade_id"))
        or not _is_number(frame.get("sequence"))
    ):
        return None
    return Match(frame, side, time)


def ticker_record(
    frame: Mapping[str, Any], venue: str, received: int, trace: str
) -> EncodedEvent | None:
    """The PriceQuote of a frame of type ticker."""
    symbol: Any = frame.get("product_id")
    bid: Any = frame.get("best_bid")
    bid_size: Any = frame.get("best_bid_size")
    ask: Any = frame.get("best_ask")
    ask_size: Any = frame.get("best_ask_size")
    sequence: Any = frame.get("sequence")
    time = _time(frame)
    if (
        time is None
        or not written.is_symbol(symbol)
        or not written.is_positive(bid)
        or not written.is_positive(ask)
        or not written.is_plain(bid_size)
        or not written.is_plain(ask_size)
        or not _is_number(sequence)
    ):
        return None
    return written.price_quote(
        venue, symbol, bid, bid_size, ask, ask_size, time, sequence, received, trace
    )


def _time(frame: Mapping[str, Any]) -> int | None:
    try:
        time = rfc3339_micros(frame.get("time"))
    except FrameError:
        return None
    return time if EARLIEST_TIME <= time <= LAST_TIME else None


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_INT64
