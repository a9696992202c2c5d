"""Records of the commonest events, written as text without making a model first.

A model costs several times as much as all else that becomes of a frame. What is written here must
be what `encode` makes of the model, to the byte (a property test compares them); the arguments are
texts in wire form that were checked by `plain` and its like, and numbers within bounds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Any

from streams.events.codec import SPEC_VERSION, TRACE_HEADER, EncodedEvent
from streams.events.kalshi_market import BookDelta, MarketTicker
from streams.events.price import PriceQuote, PriceTrade
from streams.events.types import SIGNED_DECIMAL, SYMBOL, TICKER, UNSIGNED_DECIMAL

__all__ = ["book_delta", "is_binary", "is_plain", "is_positive", "is_signed", "is_symbol"]
__all__ += ["are_quotes", "is_ticker", "is_zero", "market_ticker", "price_quote"]
__all__ += ["price_trade"]

_PLAIN = re.compile(UNSIGNED_DECIMAL)
_SIGNED = re.compile(SIGNED_DECIMAL)
_BINARY = re.compile(r"0(?:\.[0-9]{1,10})?|1(?:\.0{1,10})?")
#: Three prices and five counts; none of them holds a comma.
_PRICES_AND_COUNTS = re.compile(
    ",".join([f"(?:{_BINARY.pattern})"] * 3 + [f"(?:{UNSIGNED_DECIMAL})"] * 5)
)
_SYMBOL = re.compile(SYMBOL)
_TICKER = re.compile(TICKER)
_SPEC = ("ce_specversion", SPEC_VERSION)
_QUOTE = ("ce_type", PriceQuote.ce_type().encode())
_TRADE = ("ce_type", PriceTrade.ce_type().encode())
_TICKER_TYPE = ("ce_type", MarketTicker.ce_type().encode())
_DELTA = ("ce_type", BookDelta.ce_type().encode())
#: The same names come again and again.
_REMEMBERED = 16_384


def is_plain(text: object) -> bool:
    """Whether it is an unsigned decimal in wire form."""
    return isinstance(text, str) and _PLAIN.fullmatch(text) is not None


def is_positive(text: object) -> bool:
    """The same, and above zero."""
    return isinstance(text, str) and _PLAIN.fullmatch(text) is not None and not is_zero(text)


def is_signed(text: object) -> bool:
    """Whether it is a decimal in wire form, of either sign."""
    if not isinstance(text, str) or _SIGNED.fullmatch(text) is None:
        return False
    return text[0] != "-" or not is_zero(text)


def is_binary(text: object) -> bool:
    """Whether it is a decimal of zero to one in wire form."""
    return isinstance(text, str) and _BINARY.fullmatch(text) is not None


def are_quotes(prices: tuple[Any, Any, Any], counts: tuple[Any, ...]) -> bool:
    """The same of three, and `is_plain` of five: one search costs half of eight."""
    try:
        return _PRICES_AND_COUNTS.fullmatch(",".join(prices + counts)) is not None
    except TypeError:
        return False


def is_zero(text: str) -> bool:
    """Whether a decimal in wire form is zero."""
    return not text.strip("-0.")


def is_symbol(text: object) -> bool:
    """Whether it is a canonical symbol."""
    return isinstance(text, str) and _matches(_SYMBOL, text)


def is_ticker(text: object) -> bool:
    """Whether it is a market's ticker."""
    return isinstance(text, str) and _matches(_TICKER, text)


@lru_cache(_REMEMBERED)
def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


def price_trade(
    venue: str,
    symbol: str,
    trade_id: str,
    price: str,
    size: str,
    side: str,
    time: int,
    sequence: int,
    received: int,
    trace: str,
) -> EncodedEvent:
    """The record of a PriceTrade."""
    value = (
        f'{{"venue":"{venue}","symbol":"{symbol}","trade_id":"{trade_id}","price":"{price}",'
        f'"size":"{size}","side":"{side}","time":{time},"sequence":{sequence},'
        f'"received":{received}}}'
    )
    key = f"{venue}:{symbol}"
    return _record("price.ticks", key, value, f"{key}:{trade_id}", _TRADE, venue, trace)


def price_quote(
    venue: str,
    symbol: str,
    bid: str,
    bid_size: str,
    ask: str,
    ask_size: str,
    time: int,
    sequence: int,
    received: int,
    trace: str,
) -> EncodedEvent:
    """The record of a PriceQuote that has sizes and a sequence number."""
    content = (
        f'{{"venue":"{venue}","symbol":"{symbol}","bid":"{bid}","bid_size":"{bid_size}",'
        f'"ask":"{ask}","ask_size":"{ask_size}","time":{time},"sequence":{sequence}'
    )
    key = f"{venue}:{symbol}"
    event_id = f"{key}:quote:{time}:{_digest(content)}"
    value = f'{content},"received":{received}}}'
    return _record("price.ticks", key, value, event_id, _QUOTE, venue, trace)


def market_ticker(
    venue: str,
    ticker: str,
    fields: str,
    time: int,
    received: int,
    raw: str,
    trace: str,
) -> EncodedEvent:
    """The record of a MarketTicker of totals; `fields` are those from yes_bid to
    dollar_open_interest and `raw` is a JSON string, both as JSON has them."""
    content = (
        f'{{"venue":"{venue}","ticker":"{ticker}",{fields},"volume_delta":null,'
        '"open_interest_delta":null,"dollar_volume_delta":null,"dollar_open_interest_delta":null,'
        f'"connection":null,"sid":null,"arrival":null,"time":{time}'
    )
    event_id = f"{venue}:ticker:{ticker}:{time}:{_digest(content)}"
    value = f'{content},"received":{received},"raw":{raw}}}'
    return _record("kalshi.market", ticker, value, event_id, _TICKER_TYPE, venue, trace)


def book_delta(
    venue: str,
    ticker: str,
    connection: str,
    sid: int,
    seq: int,
    clock: int | None,
    time: int,
    received: int,
    raw: str,
    previous: int,
    side: str,
    price: str,
    delta: str,
    trace: str,
) -> EncodedEvent:
    """The record of a BookDelta; `raw` is a JSON string as JSON has it."""
    value = (
        f'{{"venue":"{venue}","ticker":"{ticker}","connection":"{connection}","sid":{sid},'
        f'"seq":{seq},"clock":{"null" if clock is None else clock},"time":{time},'
        f'"received":{received},"raw":{raw},"previous":{previous},"side":"{side}",'
        f'"price":"{price}","delta":"{delta}"}}'
    )
    event_id = f"{venue}:{connection}:{sid}:{seq}"
    return _record("kalshi.market", ticker, value, event_id, _DELTA, venue, trace)


def _digest(content: str) -> str:
    """As `Event.content_id` makes it; `content` lacks the closing brace."""
    return sha256(f"{content}}}".encode()).hexdigest()[:16]


def _record(
    topic: str,
    key: str,
    value: str,
    event_id: str,
    kind: tuple[str, bytes],
    venue: str,
    trace: str,
) -> EncodedEvent:
    headers = [
        _SPEC,
        ("ce_id", event_id.encode()),
        kind,
        ("ce_source", f"/venues/{venue}".encode()),
        (TRACE_HEADER, trace.encode()),
    ]
    return EncodedEvent(topic, key.encode(), value.encode(), headers)
