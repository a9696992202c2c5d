"""One WebSocket frame, whatever channel it is of, to its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.connectors.base import json_object
from streams.connectors.kalshi import account_frames, lifecycle, market_frames
from streams.connectors.kalshi.delivery import Converter, Delivery, kept
from streams.connectors.values import FrameError, shown
from streams.events import AccountUnparsed, Event, LifecycleUnparsed, MarketUnparsed, Unparsed


@dataclass(frozen=True, slots=True)
class _Type:
    convert: Converter
    unread: type[Unparsed]


_LIFECYCLE = _Type(lifecycle.frame, LifecycleUnparsed)
_TICKER = _Type(market_frames.ticker, MarketUnparsed)
_TYPES: Mapping[str, _Type] = {
    "fill": _Type(account_frames.fill, AccountUnparsed),
    "market_lifecycle": _LIFECYCLE,
    "market_lifecycle_v2": _LIFECYCLE,
    "market_position": _Type(account_frames.position, AccountUnparsed),
    "multivariate_market_lifecycle": _LIFECYCLE,
    "ticker": _TICKER,
    "ticker_v2": _TICKER,
    "user_order": _Type(account_frames.order, AccountUnparsed),
}

#: Types that hold no fact of ours: answers to commands (the connection's own matter), order books,
#: public trades, events (sets of markets) and their fees, order groups, requests for quotes,
#: indexes. Source: asyncapi.yaml.
_IGNORED = frozenset(
    {
        *("subscribed", "unsubscribed", "ok", "error"),
        *("orderbook_snapshot", "orderbook_delta", "trade"),
        *("event_lifecycle", "event_fee_update", "order_group_updates"),
        *("rfq_created", "rfq_deleted", "quote_created", "quote_accepted", "quote_executed"),
        *("rfq_batch_created", "rfq_batch_deleted", "rfq_batch_best_quotes", "rfq_batch_executed"),
        *("batch_quote_created", "batch_quote_accepted", "batch_quote_executed"),
        *("cfbenchmarks_value", "cfbenchmarks_value_indexlist"),
        *("cfbenchmarks_value_5hz", "cfbenchmarks_value_5hz_indexlist"),
        *("pyth_value", "pyth_value_underlying_list"),
    }
)


def frame_events(data: bytes, delivery: Delivery) -> list[Event]:
    """The events of one frame; none for types that hold no fact of ours.

    A frame that cannot be read becomes one Unparsed of its own topic. One of which not even the
    type is known becomes an AccountUnparsed: that topic is kept for ever, and the frame may be
    about money. Raises nothing.
    """
    try:
        frame = json_object(data)
    except FrameError as error:
        return [delivery.unread(AccountUnparsed, data, str(error))]
    kind = frame.get("type")
    if not isinstance(kind, str) or (kind not in _IGNORED and kind not in _TYPES):
        reason = f"unknown message type {shown(kind)}"
        return [delivery.unread(AccountUnparsed, data, reason)]
    if kind in _IGNORED:
        return []
    known = _TYPES[kind]
    try:
        return [known.convert(frame, delivery, kept(data.decode()))]
    except FrameError as error:
        return [delivery.unread(known.unread, data, str(error))]
