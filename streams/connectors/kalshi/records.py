"""What the WebSocket and REST say of an account in one shape: fills and orders.

Field names: reference/connectors.md sections 3.4, 3.5 and 6.1, reference/legacy-system.md sections
4.3 and 4.4. The two channels name the market and the times differently, and are read alike.

Every function takes one message, its delivery and its JSON text, and raises `FrameError` for what
cannot be read, and nothing else.
"""

from __future__ import annotations

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import Item
from streams.events import Fill, Order

_STATUSES = frozenset({"resting", "canceled", "executed"})
_KINDS = frozenset({"limit", "market"})


def fill(item: Item, delivery: Delivery, raw: str | None) -> Fill:
    """One fill. Its id is `fill_id`, which older formats and the WebSocket call `trade_id`.

    `price` (January 2026, a JSON number) repeats one of the prices and is not read. There is no
    fee in the formats of 2025; only the WebSocket gives client order id and position.
    """
    return build(
        Fill,
        account=delivery.account_of(item),
        origin=delivery.origin,
        ticker=values.words(item, "ticker", "market_ticker"),
        trade_id=values.words(item, "fill_id", "trade_id"),
        order_id=values.words(item, "order_id"),
        client_order_id=values.words(item, "client_order_id"),
        side=values.acquired(item),
        yes_price=values.yes_price(item),
        count=values.count(item, "count"),
        fee=values.dollar_text(item, "fee_cost"),
        is_taker=values.flag(item, "is_taker"),
        post_position=values.count(item, "post_position"),
        time=values.finest(
            values.rfc3339(item, "created_time"),
            values.milliseconds(item, "ts_ms"),
            values.seconds(item, "ts"),
        ),
        received=delivery.received,
        raw=raw,
    )


def order(item: Item, delivery: Delivery, raw: str | None) -> Order:
    """The full state of one order. Costs and fees are the sums of the taker's and the maker's.

    A status that is not known becomes `unknown`, a type that is not known None: both lists are the
    venue's to extend. `updated` is None where the message does not say it.
    """
    status, kind = values.words(item, "status"), values.words(item, "type")
    return build(
        Order,
        account=delivery.account_of(item),
        origin=delivery.origin,
        ticker=values.words(item, "ticker", "market_ticker"),
        order_id=values.words(item, "order_id"),
        client_order_id=values.words(item, "client_order_id"),
        side=values.acquired(item),
        status=status if status in _STATUSES or status is None else "unknown",
        kind=kind if kind in _KINDS else None,
        yes_price=values.yes_price(item),
        initial_count=values.count(item, "initial_count"),
        fill_count=values.count(item, "fill_count"),
        remaining_count=values.count(item, "remaining_count"),
        fill_cost=values.total(
            values.money(item, "taker_fill_cost"), values.money(item, "maker_fill_cost")
        ),
        fees=values.total(values.money(item, "taker_fees"), values.money(item, "maker_fees")),
        created=values.finest(
            values.rfc3339(item, "created_time"), values.milliseconds(item, "created_ts_ms")
        ),
        updated=values.finest(
            values.rfc3339(item, "last_update_time"),
            values.milliseconds(item, "last_updated_ts_ms"),
        ),
        expires=values.finest(
            values.rfc3339(item, "expiration_time"), values.milliseconds(item, "expiration_ts_ms")
        ),
        reason=values.words(item, "last_update_reason"),
        received=delivery.received,
        raw=raw,
    )
