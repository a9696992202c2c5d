"""Quotes of markets, as a connector would hand them to the producer."""

from __future__ import annotations

import time
from decimal import Decimal

import orjson

from streams.events import MarketTicker

_LOWEST_BID = Decimal("0.2")
_STEP = Decimal("0.00001")
_SPREAD = Decimal("0.01")


def quote(ticker: str, number: int) -> MarketTicker:
    """Quote `number` of a market: its bid tells the number."""
    now = time.time_ns() // 1000
    bid = _LOWEST_BID + number * _STEP
    ask = bid + _SPREAD
    return MarketTicker.model_validate(
        {
            **dict.fromkeys(MarketTicker.model_fields),
            "venue": "kalshi",
            "ticker": ticker,
            "yes_bid": bid,
            "yes_ask": ask,
            "yes_bid_size": "300.00",
            "yes_ask_size": "120.00",
            "last_price": bid,
            "volume": f"{100_000 + number}.00",
            "open_interest": "33900.00",
            "time": now,
            "received": now,
            "raw": _frame(ticker, bid, ask, number, now),
        }
    )


def number_of(mark: str) -> int:
    """The number of the quote that gave a YES trade this mark."""
    return int((Decimal(mark) - _LOWEST_BID) / _STEP)


def _frame(ticker: str, bid: Decimal, ask: Decimal, number: int, now: int) -> str:
    """The frame of the channel `ticker`."""
    message = {
        "market_ticker": ticker,
        "market_id": "9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1",
        "price_dollars": str(bid),
        "yes_bid_dollars": str(bid),
        "yes_ask_dollars": str(ask),
        "volume_fp": f"{100_000 + number}.00",
        "open_interest_fp": "33900.00",
        "dollar_volume": 16_950,
        "dollar_open_interest": 16_950,
        "yes_bid_size_fp": "300.00",
        "yes_ask_size_fp": "120.00",
        "last_trade_size_fp": "25.00",
        "ts": now // 1_000_000,
        "ts_ms": now // 1000,
        "time": "2026-04-16T01:00:00.123456Z",
    }
    return orjson.dumps({"type": "ticker", "sid": 11, "msg": message}).decode()
