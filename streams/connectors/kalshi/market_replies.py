"""The REST replies about public trades and candlesticks, of the live and the historical tier.

Field names: openapi.yaml 3.34.0, Trade, MarketCandlestick and MarketCandlestickHistorical. Live
candles have `open_dollars` and `volume_fp`; historical ones plain names with the same texts. The
live ones of January 2026 had whole cents beside the texts.

A function takes a reply's JSON object and its delivery and gives one event for each item; an item
that cannot be read is a MarketUnparsed. It raises `FrameError` where the reply has not what was
asked for, and nothing else.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.delivery import Delivery, each, list_of
from streams.connectors.kalshi.market_frames import public_trade
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import Event, MarketCandle, MarketUnparsed

__all__ = ["candles", "trades"]


def trades(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /markets/trades or /historical/trades: a MarketTrade for each."""
    return each(
        list_of(reply, "trades"), lambda *item: [public_trade(*item)], MarketUnparsed, delivery
    )


def candles(reply: Item, minutes: int, delivery: Delivery) -> list[Event]:
    """GET candlesticks of one market, of either tier: a MarketCandle for each.

    The reply does not say how long a period is.
    """
    convert = partial(_candles, values.words(reply, "ticker"), minutes)
    return each(list_of(reply, "candlesticks"), convert, MarketUnparsed, delivery)


def _candles(
    ticker: str | None, minutes: int, item: Item, delivery: Delivery, raw: str | None
) -> list[Event]:
    bid, ask, price = (_part(item, name) for name in ("yes_bid", "yes_ask", "price"))
    candle = build(
        MarketCandle,
        venue=delivery.venue,
        ticker=ticker,
        minutes=minutes,
        end=values.seconds(item, "end_period_ts"),
        yes_bid_open=_dollars(bid, "open"),
        yes_bid_high=_dollars(bid, "high"),
        yes_bid_low=_dollars(bid, "low"),
        yes_bid_close=_dollars(bid, "close"),
        yes_ask_open=_dollars(ask, "open"),
        yes_ask_high=_dollars(ask, "high"),
        yes_ask_low=_dollars(ask, "low"),
        yes_ask_close=_dollars(ask, "close"),
        open=_dollars(price, "open"),
        high=_dollars(price, "high"),
        low=_dollars(price, "low"),
        close=_dollars(price, "close"),
        mean=_dollars(price, "mean"),
        previous=_dollars(price, "previous"),
        volume=_contracts(item, "volume"),
        open_interest=_contracts(item, "open_interest"),
        received=delivery.received,
        raw=raw,
    )
    return [candle]


def _part(item: Item, name: str) -> Item:
    part = item.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise FrameError(f"{name}: not a JSON object: {shown(part)}")
    return part


def _dollars(item: Item, name: str) -> Decimal | None:
    """The text is plain in the historical tier, where a whole number is cents elsewhere."""
    if isinstance(item.get(name), str):
        return values.dollar_text(item, name)
    return values.money(item, name)


def _contracts(item: Item, name: str) -> Decimal | None:
    if isinstance(item.get(name), str):
        return values.dollar_text(item, name)
    return values.count(item, name)
