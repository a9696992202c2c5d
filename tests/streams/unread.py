"""Frames that an older parser could not read, as it kept them."""

from __future__ import annotations

import json
from typing import Any

from streams.connectors.base import unparsed
from streams.events import Unparsed
from tests.streams.connectors.kalshi.said import TICKER, frame

OWNER = "kalshi/prod/main"
ACCOUNT, MARKET, BOOKS = (f"kalshi-{name}@{OWNER}" for name in ("account", "market", "books"))
#: 2026-09-21, in microseconds.
RECEIVED = 1_790_000_000_123_456
#: What a snapshot of an order book says.
BOOK = {"market_ticker": TICKER, "yes_dollars_fp": [["0.4000", "300.00"]], "no_dollars_fp": []}


def match(number: int, **changes: Any) -> bytes:
    """A frame of Coinbase with one trade."""
    fields = {
        "type": "match",
        "trade_id": number,
        "side": "sell",
        "size": "1",
        "price": "60000.01",
        "product_id": "BTC-USD",
        "sequence": number,
        "time": "2026-09-21T10:13:20.000001Z",
    }
    return json.dumps({**fields, **changes}).encode()


def kept(
    model: type[Unparsed],
    feed: str | None,
    data: bytes,
    error: str = "an older parser",
    **more: Any,
) -> Unparsed:
    """The event of a frame that an older parser could not read."""
    where: dict[str, Any] = {"connection": "c1", "arrival": 7, **more}
    event = unparsed(
        model, "coinbase", where["connection"], where["arrival"], data, error, RECEIVED
    )
    return event.model_copy(update={"feed": feed})


def lifecycle(event_type: str, **fields: Any) -> bytes:
    msg = {"market_ticker": TICKER, "event_type": event_type, **fields}
    return frame("market_lifecycle_v2", msg)
