"""Frames as the venues send them, each with numbers, prices and times of its own. Pure.

They begin at a time in microseconds since 1970 UTC and are 30 microseconds apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

from streams.simulated.market import Market, rfc3339

__all__ = ["MARKETS", "SERIES", "SIDS", "coinbase", "deltas", "listing", "tickers"]

SERIES = "KXBTCD"
_EVENT = f"{SERIES}-26NOV2317"
#: Fifty strikes of one hour.
MARKETS = tuple(f"{_EVENT}-T{88_000 + 250 * number - 1}.99" for number in range(50))
#: Which subscription of a connection each of Kalshi's channels is.
SIDS = {
    "market_lifecycle_v2": 1,
    "cfbenchmarks_value": 2,
    "ticker": 3,
    "trade": 4,
    "orderbook_delta": 5,
}

_SEED = 20_261_123
_APART = 30
_MARKET_ID = "9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1"
#: Levels of each side of a book, in cents, and the contracts of one level at first.
_LEVELS = range(1, 46)
_DEEPEST = 50_000


def coinbase(began: int) -> Iterator[bytes]:
    """Matches of two products, each followed by its ticker."""
    market = Market(_SEED, began)
    now = began
    while True:
        step = market.step(now)
        for frame in (step.match, step.ticker):
            # A copy: what `dumps` gives keeps its first room, of several kilobytes.
            yield bytes(memoryview(orjson.dumps(frame)))
        now += 2 * _APART


def tickers(began: int) -> Iterator[bytes]:
    """Quotes of all markets in no order, each a walk of its own."""
    chance = random.Random(_SEED)
    bids = {market: chance.randint(20, 70) for market in MARKETS}
    volumes = dict.fromkeys(MARKETS, 10_000)
    now = began
    while True:
        market = chance.choice(MARKETS)
        bid = bids[market] = min(94, max(2, bids[market] + chance.randint(-1, 1)))
        volume = volumes[market] = volumes[market] + chance.randint(1, 40)
        message: dict[str, object] = {
            "market_id": _MARKET_ID,
            "market_ticker": market,
            "price_dollars": _dollars(bid + chance.randint(0, 3)),
            "yes_bid_dollars": _dollars(bid),
            "yes_ask_dollars": _dollars(bid + chance.randint(1, 4)),
            "volume_fp": f"{volume}.00",
            "open_interest_fp": f"{volume // 2}.00",
            "dollar_volume": volume // 2,
            "dollar_open_interest": volume // 4,
            "yes_bid_size_fp": f"{chance.randint(1, 5_000)}.00",
            "yes_ask_size_fp": f"{chance.randint(1, 5_000)}.00",
            "last_trade_size_fp": f"{chance.randint(1, 200)}.00",
            "ts": now // 1_000_000,
            "ts_ms": now // 1000,
            "time": rfc3339(now),
        }
        yield _frame({"type": "ticker", "sid": SIDS["ticker"]}, message, now)
        now += _APART


def deltas(began: int) -> Iterator[bytes]:
    """A snapshot of each market's book, then changes of all books in no order."""
    chance = random.Random(_SEED)
    now, sequence = began, 0
    books: dict[tuple[str, str], dict[int, int]] = {}
    for market in MARKETS:
        for side in ("yes", "no"):
            books[market, side] = {level: chance.randint(1, _DEEPEST) for level in _LEVELS}
        sequence += 1
        levels: dict[str, object] = {
            f"{side}_dollars_fp": [
                [_dollars(level), f"{size}.00"] for level, size in books[market, side].items()
            ]
            for side in ("yes", "no")
        }
        yield _book_frame("orderbook_snapshot", market, levels, sequence, now)
    while True:
        now += _APART
        sequence += 1
        market, side = chance.choice(MARKETS), chance.choice(("yes", "no"))
        level = chance.choice(_LEVELS)
        held = books[market, side][level]
        # One in ten empties its level, as a cancelled order does.
        empties = held > 0 and chance.random() < 0.1
        change = -held if empties else chance.randint(-min(held, 500), 500) or 1
        books[market, side][level] = held + change
        message: dict[str, object] = {
            "price_dollars": _dollars(level),
            "delta_fp": f"{change}.00",
            "side": side,
            "ts": rfc3339(now),
            "ts_ms": now // 1000,
        }
        yield _book_frame("orderbook_delta", market, message, sequence, now)


def listing(markets: tuple[str, ...]) -> bytes:
    """The reply to GET /markets that names these."""
    items = [
        {
            "ticker": market,
            "event_ticker": _EVENT,
            "title": "Bitcoin price on Nov 23, 2026 at 5pm EST?",
            "status": "active",
            "strike_type": "greater",
            "open_time": "2026-11-23T21:00:00Z",
            "close_time": "2026-11-23T22:00:00Z",
        }
        for market in markets
    ]
    return orjson.dumps({"markets": items, "cursor": ""})


def _book_frame(
    kind: str, market: str, message: dict[str, object], sequence: int, now: int
) -> bytes:
    head: dict[str, object] = {"type": kind, "sid": SIDS["orderbook_delta"], "seq": sequence}
    about = {"market_ticker": market, "market_id": _MARKET_ID, "clock": 4_182_057 + sequence}
    return _frame(head, {**about, **message}, now)


def _frame(head: dict[str, object], message: dict[str, object], now: int) -> bytes:
    """Kalshi's frames end with a newline."""
    return orjson.dumps({**head, "sending_ts_ms": now // 1000, "msg": message}) + b"\n"


def _dollars(cents: int) -> str:
    return f"0.{cents:02d}00"
