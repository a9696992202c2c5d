"""The private WebSocket channels: fill, user_orders, market_positions.

Field names: reference/connectors.md sections 3.4 to 3.6; for whole numbers, in which money was
cents for fills and centi-cents for positions, reference/legacy-system.md section 4.3. The type of a
message is not the channel's name: `user_order`, `market_position`.

Every function takes the frame with its envelope, its delivery and its JSON text, and raises
`FrameError` for what cannot be read, and nothing else.
"""

from __future__ import annotations

from streams.connectors.base import build
from streams.connectors.kalshi import records, values
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import CENTI_CENTS, Item
from streams.connectors.values import FrameError, shown
from streams.events import Fill, Order, Position


def message(frame: Item) -> Item:
    """What is in the envelope."""
    msg = frame.get("msg")
    if not isinstance(msg, dict):
        raise FrameError(f"msg: not a JSON object: {shown(msg)}")
    return msg


def fill(frame: Item, delivery: Delivery, raw: str | None) -> Fill:
    """A `fill` frame."""
    return records.fill(message(frame), delivery, raw)


def order(frame: Item, delivery: Delivery, raw: str | None) -> Order:
    """A `user_order` frame: the full state of one order."""
    return records.order(message(frame), delivery, raw)


def position(frame: Item, delivery: Delivery, raw: str | None) -> Position:
    """A `market_position` frame: the full state of one position, positive for YES.

    It has no time of its own: that of sending stands in, which the envelope gives since September
    2026, else the receive time. Whole numbers of money are centi-cents (1,920,000 is 192 dollars).
    """
    msg = message(frame)
    return build(
        Position,
        account=delivery.account_of(msg),
        origin=delivery.origin,
        ticker=values.words(msg, "market_ticker"),
        position=values.count(msg, "position"),
        cost=values.money(msg, "position_cost", CENTI_CENTS),
        realized_pnl=values.money(msg, "realized_pnl", CENTI_CENTS),
        fees=values.money(msg, "fees_paid", CENTI_CENTS),
        time=values.milliseconds(frame, "sending_ts_ms") or delivery.received,
        received=delivery.received,
        raw=raw,
    )
