"""What the tests of Kalshi's converters share: a delivery, and messages written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.frames import frame_events
from streams.events import Event

RECEIVED = 1_800_000_000_123_456
DELIVERY = Delivery(
    account="kalshi/prod/main",
    origin="native",
    connection="c1",
    arrival=7,
    received=RECEIVED,
)
TICKER = "KXBTCD-25AUG0711-T116749.99"

FILL: dict[str, Any] = {
    "trade_id": "t-1",
    "order_id": "o-1",
    "client_order_id": "mine-1",
    "market_ticker": TICKER,
    "is_taker": True,
    "yes_price_dollars": "0.0400",
    "count_fp": "200.00",
    "fee_cost": "0.540000",
    "post_position_fp": "-200.00",
    "outcome_side": "no",
    "book_side": "ask",
    "ts": 1_754_578_138,
    "ts_ms": 1_754_578_138_250,
}
#: The same in whole numbers, as in 2025.
OLD_FILL: dict[str, Any] = {
    "trade_id": "t-1",
    "order_id": "o-1",
    "market_ticker": TICKER,
    "is_taker": True,
    "side": "no",
    "action": "buy",
    "yes_price": 4,
    "no_price": 96,
    "count": 200,
    "ts": 1_754_578_138,
    "post_position": -200,
}
ORDER: dict[str, Any] = {
    "order_id": "o-1",
    "ticker": TICKER,
    "status": "resting",
    "outcome_side": "no",
    "book_side": "ask",
    "yes_price_dollars": "0.3500",
    "initial_count_fp": "10.00",
    "fill_count_fp": "4.00",
    "remaining_count_fp": "6.00",
    "taker_fill_cost_dollars": "1.300000",
    "maker_fill_cost_dollars": "1.300000",
    "taker_fees_dollars": "0.031900",
    "maker_fees_dollars": "0.000000",
    "client_order_id": "mine-1",
    "created_ts_ms": 1_754_578_138_250,
}
POSITION: dict[str, Any] = {
    "market_ticker": TICKER,
    "position_fp": "-200.00",
    "position_cost_dollars": "192.0000",
    "realized_pnl_dollars": "-1.5000",
    "fees_paid_dollars": "0.5400",
}
OLD_POSITION: dict[str, Any] = {
    "user_id": "u",
    "market_ticker": TICKER,
    "position": -200,
    "position_cost": 1_920_000,
    "realized_pnl": 0,
    "fees_paid": 5400,
    "volume": 200,
}
TICK: dict[str, Any] = {
    "market_ticker": TICKER,
    "price_dollars": "0.4800",
    "yes_bid_dollars": "0.4500",
    "yes_ask_dollars": "0.5300",
    "yes_bid_size_fp": "300.00",
    "yes_ask_size_fp": "150.25",
    "last_trade_size_fp": "25.00",
    "volume_fp": "33896.00",
    "open_interest_fp": "20422.00",
    "dollar_volume": 16948,
    "dollar_open_interest": -10211,
    "ts": 1_754_578_138,
    "ts_ms": 1_754_578_138_250,
}
SETTLEMENT: dict[str, Any] = {
    "ticker": TICKER,
    "market_result": "no",
    "yes_count_fp": "2.00",
    "yes_total_cost_dollars": "0.080000",
    "no_count_fp": "200.00",
    "no_total_cost_dollars": "192.000000",
    "revenue": 19800,
    "value": 0,
    "fee_cost": "0.540000",
    "settled_time": "2025-08-07T15:04:19.85602Z",
}
REST_POSITION: dict[str, Any] = {
    "ticker": TICKER,
    "position_fp": "-200.00",
    "market_exposure_dollars": "192.0000",
    "realized_pnl_dollars": "-1.5000",
    "fees_paid_dollars": "0.5400",
    "last_updated_ts": "2025-08-07T15:00:27.586015Z",
}
MARKET: dict[str, Any] = {
    "ticker": TICKER,
    "event_ticker": "KXBTCD-25AUG0711",
    "yes_sub_title": "$116,750 or above",
    "open_time": "2025-08-07T14:00:00Z",
    "close_time": "2025-08-07T15:00:00Z",
    "updated_time": "2025-08-06T00:00:00Z",
    "status": "active",
    "result": "",
    "strike_type": "greater",
    "floor_strike": 116749.99,
}


def frame(kind: str, msg: dict[str, Any], **envelope: Any) -> bytes:
    """A WebSocket frame."""
    return json.dumps({"type": kind, "sid": 5, **envelope, "msg": msg}).encode()


def read(kind: str, msg: dict[str, Any], **envelope: Any) -> Event:
    """The one event of a frame."""
    [event] = frame_events(frame(kind, msg, **envelope), DELIVERY)
    return event


def response(samples: Path, name: str) -> dict[str, Any]:
    """A recorded REST reply."""
    path = samples / "kalshi-starter-code-python-Apache2" / f"{name}_response.json"
    body: dict[str, Any] = json.loads(path.read_text())["response"]
    return body
