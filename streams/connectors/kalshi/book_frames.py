"""The messages of the channel orderbook_delta: a market's whole book, and changes of it.

Field names: reference/connectors.md section 3.1, after asyncapi.yaml. Prices are of the leg of
their side, because the feed subscribes with `use_yes_price` false. Raises `FrameError` for what
cannot be read, and nothing else.
"""

from __future__ import annotations

from decimal import Decimal

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, decimal_text, shown
from streams.events import BookDelta, BookSnapshot

_Levels = list[tuple[Decimal, Decimal]]


def snapshot(frame: Item, delivery: Delivery, raw: str | None, opened: int) -> BookSnapshot:
    """An `orderbook_snapshot`; a side without bids has no key."""
    msg = message(frame)
    return build(
        BookSnapshot,
        venue=delivery.venue,
        ticker=values.words(msg, "market_ticker"),
        connection=delivery.connection,
        opened=opened,
        sid=frame.get("sid"),
        seq=frame.get("seq"),
        clock=msg.get("clock"),
        yes=_levels(msg, "yes_dollars_fp"),
        no=_levels(msg, "no_dollars_fp"),
        time=values.milliseconds(frame, "sending_ts_ms") or delivery.received,
        received=delivery.received,
        raw=raw,
    )


def delta(frame: Item, delivery: Delivery, raw: str | None, previous: int) -> BookDelta:
    """An `orderbook_delta`; `previous` is the number of the market's message before it."""
    msg = message(frame)
    time = values.finest(values.rfc3339(msg, "ts"), values.milliseconds(msg, "ts_ms"))
    return build(
        BookDelta,
        venue=delivery.venue,
        ticker=values.words(msg, "market_ticker"),
        connection=delivery.connection,
        sid=frame.get("sid"),
        seq=frame.get("seq"),
        previous=previous,
        clock=msg.get("clock"),
        side=values.side(msg, "side"),
        price=values.money(msg, "price"),
        delta=values.count(msg, "delta"),
        time=time or values.milliseconds(frame, "sending_ts_ms") or delivery.received,
        received=delivery.received,
        raw=raw,
    )


def _levels(msg: Item, name: str) -> _Levels:
    levels = msg.get(name)
    if levels is None:
        return []
    if not isinstance(levels, list):
        raise FrameError(f"{name}: not a list: {shown(levels)}")
    return [_level(name, level) for level in levels]


def _level(name: str, level: object) -> tuple[Decimal, Decimal]:
    match level:
        case [str() as price, str() as size]:
            return Decimal(decimal_text(price)), Decimal(decimal_text(size))
    raise FrameError(f"{name}: no pair of price and size: {shown(level)}")
