"""The WebSocket channels ticker and trade, and ticker_v2, which the former replaced in March 2026.

Field names: reference/connectors.md sections 3.2, 3.3 and 6.2; for ticker_v2 and whole cents,
reference/legacy-system.md section 4.2.2.
"""

from __future__ import annotations

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import DOLLARS, Item
from streams.events import MarketTicker, MarketTrade


def ticker(frame: Item, delivery: Delivery, raw: str | None) -> MarketTicker:
    """A `ticker` or `ticker_v2` frame: what it does not give is unchanged.

    `ticker` gives totals, and the same frame twice is one fact. `ticker_v2` gives changes, which
    count once for each frame, so its events carry connection, `sid` and arrival number. A price of
    zero says that the market never traded. Volume and open interest in dollars are whole dollars.
    Raises FrameError for what cannot be read, and nothing else.
    """
    msg = message(frame)
    changes = frame.get("type") == "ticker_v2"
    return build(
        MarketTicker,
        venue=delivery.venue,
        ticker=values.words(msg, "market_ticker"),
        yes_bid=values.money(msg, "yes_bid"),
        yes_ask=values.money(msg, "yes_ask"),
        yes_bid_size=values.count(msg, "yes_bid_size"),
        yes_ask_size=values.count(msg, "yes_ask_size"),
        last_price=values.money(msg, "price") or None,
        last_size=values.count(msg, "last_trade_size"),
        volume=values.count(msg, "volume"),
        open_interest=values.count(msg, "open_interest"),
        dollar_volume=values.money(msg, "dollar_volume", DOLLARS),
        dollar_open_interest=values.money(msg, "dollar_open_interest", DOLLARS),
        volume_delta=values.count(msg, "volume_delta"),
        open_interest_delta=values.count(msg, "open_interest_delta"),
        dollar_volume_delta=values.money(msg, "dollar_volume_delta", DOLLARS),
        dollar_open_interest_delta=values.money(msg, "dollar_open_interest_delta", DOLLARS),
        connection=delivery.connection if changes else None,
        sid=frame.get("sid") if changes else None,
        arrival=delivery.arrival if changes else None,
        time=_time(msg) or delivery.received,
        received=delivery.received,
        raw=raw,
    )


def trade(frame: Item, delivery: Delivery, raw: str | None) -> MarketTrade:
    """A `trade` frame. Raises FrameError for what cannot be read, and nothing else."""
    return public_trade(message(frame), delivery, raw)


def public_trade(item: Item, delivery: Delivery, raw: str | None) -> MarketTrade:
    """One public execution, by WebSocket or from GET /markets/trades.

    Of the time both channels give the second, and either its own finer digits. Raises FrameError
    for what cannot be read, and nothing else.
    """
    taker = {
        "outcome_side": item.get("taker_outcome_side"),
        "book_side": item.get("taker_book_side"),
        "purchased_side": item.get("taker_side"),
    }
    return build(
        MarketTrade,
        venue=delivery.venue,
        ticker=values.words(item, "market_ticker", "ticker"),
        trade_id=values.words(item, "trade_id"),
        yes_price=values.yes_price(item),
        count=values.count(item, "count"),
        taker_side=values.acquired(taker) if any(taker.values()) else None,
        is_block=values.flag(item, "is_block_trade"),
        time=values.finest(
            values.rfc3339(item, "created_time"),
            values.milliseconds(item, "ts_ms"),
            values.seconds(item, "ts"),
        ),
        received=delivery.received,
        raw=raw,
    )


def _time(msg: Item) -> int | None:
    return values.finest(
        values.rfc3339(msg, "time"), values.milliseconds(msg, "ts_ms"), values.seconds(msg, "ts")
    )
