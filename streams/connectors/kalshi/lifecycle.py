"""What a market is, its result and its settlement: the WebSocket's lifecycle channel, and REST.

Field names: reference/connectors.md sections 3.7 and 6.2, openapi.yaml (Market), and for the
channel of 2025, `market_lifecycle`, reference/legacy-system.md section 4.2.4. A market's status is
named as in openapi.yaml. All functions raise `FrameError` for what cannot be read, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import Delivery, each, list_of
from streams.connectors.kalshi.values import PAYS, Item
from streams.connectors.values import FrameError, shown
from streams.events import (
    Event,
    LifecycleUnparsed,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
)
from streams.events.tickers import read_ticker

#: The status that a lifecycle message gives its market; None leaves it as it was.
_STATUS = {
    "created": "initialized",
    "activated": "active",
    "deactivated": "inactive",
    "close_date_updated": None,
    "metadata_updated": None,
    "price_level_structure_updated": None,
}


def frame(whole: Item, delivery: Delivery, raw: str | None) -> Event:
    """A `market_lifecycle_v2` frame (`multivariate_market_lifecycle` has the same body).

    Its times are seconds. Only determination and settlement have one of their own; else the time
    of sending stands in, else the receive time. Metadata lies in the message itself, and in
    `additional_metadata` where a market is created.
    """
    msg = message(whole)
    sent = values.milliseconds(whole, "sending_ts_ms") or delivery.received
    match values.words(msg, "event_type"):
        case "determined":
            value = partial(values.dollar_text, msg, "settlement_value")
            time = values.seconds(msg, "determination_ts") or sent
            return _determined(msg, value, time, delivery, raw)
        case "settled":
            return _settled(msg, values.seconds(msg, "settled_ts") or sent, delivery, raw)
        case str() as kind if kind in _STATUS:
            metadata = msg.get("additional_metadata")
            known = {**metadata, **msg} if isinstance(metadata, dict) else msg
            opens, closes = values.seconds(known, "open_ts"), values.seconds(known, "close_ts")
            return _described(known, opens, closes, _STATUS[kind], sent, delivery, raw)
        case kind:
            raise FrameError(f"event_type: not known: {shown(kind)}")


def markets(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /markets or /markets/{ticker}: the events of each market in it.

    A market that cannot be read is a LifecycleUnparsed. Raises FrameError for a reply without
    markets, such as an error's.
    """
    items = [reply["market"]] if "market" in reply else list_of(reply, "markets")
    return each(items, market, LifecycleUnparsed, delivery)


def market(item: Item, delivery: Delivery, raw: str | None) -> list[Event]:
    """A market record: MarketDescribed; with its result, MarketDetermined; once it paid out,
    MarketSettled.

    A record says how things stand when it is read: the description's time is the receive time.
    (`updated_time` is that of metadata alone: a change of status leaves it as it was.) Nor does a
    record say when the result came: the time of settlement stands in, else the receive time.
    """
    opens, closes = values.rfc3339(item, "open_time"), values.rfc3339(item, "close_time")
    status, now = values.words(item, "status"), delivery.received
    events: list[Event] = [_described(item, opens, closes, status, now, delivery, raw)]
    settled = values.rfc3339(item, "settlement_ts")
    if values.words(item, "result") is not None:
        value = partial(values.money, item, "settlement_value")
        events.append(_determined(item, value, settled or now, delivery, raw))
    if settled is not None:
        events.append(_settled(item, settled, delivery, raw))
    return events


def _described(
    item: Item,
    opens: int | None,
    closes: int | None,
    status: str | None,
    time: int,
    delivery: Delivery,
    raw: str | None,
) -> MarketDescribed:
    ticker = _ticker(item)
    return build(
        MarketDescribed,
        venue=delivery.venue,
        ticker=ticker,
        series=values.words(item, "series_ticker") or (ticker and read_ticker(ticker).series),
        event_ticker=values.words(item, "event_ticker"),
        title=values.words(item, "title", "name"),
        subtitle=values.words(item, "yes_sub_title", "subtitle"),
        strike_type=values.words(item, "strike_type"),
        floor_strike=values.number(item, "floor_strike"),
        cap_strike=values.number(item, "cap_strike"),
        opens=opens,
        closes=closes,
        status=status,
        time=time,
        received=delivery.received,
        raw=raw,
    )


def _determined(
    item: Item,
    scalar: Callable[[], Decimal | None],
    time: int,
    delivery: Delivery,
    raw: str | None,
) -> MarketDetermined:
    """What a contract pays follows from yes and no; `scalar` reads it for other results."""
    result = values.words(item, "result")
    return build(
        MarketDetermined,
        venue=delivery.venue,
        ticker=_ticker(item),
        result=result,
        value=PAYS[result] if result in PAYS else scalar(),
        time=time,
        received=delivery.received,
        raw=raw,
    )


def _settled(item: Item, time: int, delivery: Delivery, raw: str | None) -> MarketSettled:
    return build(
        MarketSettled,
        venue=delivery.venue,
        ticker=_ticker(item),
        time=time,
        received=delivery.received,
        raw=raw,
    )


def _ticker(item: Item) -> str | None:
    return values.words(item, "market_ticker", "ticker")
