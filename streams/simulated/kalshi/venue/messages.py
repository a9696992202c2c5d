"""What the venue says of a fact on the WebSocket: channel, type and the JSON of `msg`. Pure.

Source: asyncapi.yaml 3.34.0. Fields that it calls deprecated are there where it requires them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import orjson

from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Quote, Resolved, Settled
from streams.simulated.kalshi.orders import ONE, ZERO, Fill, Order
from streams.simulated.kalshi.positions import Position
from streams.simulated.kalshi.venue.depth import Depth
from streams.simulated.kalshi.venue.facts import (
    BookChange,
    Listed,
    PublicTrade,
    Rescheduled,
    Struck,
    Switched,
)
from streams.simulated.kalshi.venue.wire import (
    EXCHANGE_INDEX,
    USER,
    Json,
    contracts,
    cost,
    direction,
    millis,
    number,
    price,
    seconds,
)
from streams.simulated.market import rfc3339

__all__ = ["CHANNELS", "PRICE_RANGES", "Channel", "Lifecycle", "Message", "delta", "event_opened"]
__all__ += ["fill", "lifecycle", "order", "position", "snapshot", "ticker", "trade"]

Channel = Literal[
    "orderbook_delta",
    "ticker",
    "trade",
    "fill",
    "user_orders",
    "market_positions",
    "market_lifecycle_v2",
    "cfbenchmarks_value",
]
#: Channel → whether its messages are numbered.
CHANNELS: dict[Channel, bool] = {
    "orderbook_delta": True,
    "ticker": False,
    "trade": True,
    "fill": False,
    "user_orders": False,
    "market_positions": False,
    "market_lifecycle_v2": True,
    "cfbenchmarks_value": True,
}
PRICE_RANGES = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]

Lifecycle = Listed | Struck | Switched | Rescheduled | Resolved | Settled


class Message(NamedTuple):
    """A message for every subscription to its channel that wants `topic`, a ticker or an index."""

    channel: Channel
    kind: str
    topic: str
    body: bytes


def snapshot(ticker_: str, market_id: str, depth: Depth) -> Message:
    """The whole book of a market. The key of a side without bids is absent."""
    body: Json = {"market_ticker": ticker_, "market_id": market_id, "clock": depth.clock}
    if yes := depth.bids("yes"):
        body["yes_dollars_fp"] = _levels(yes)
    if no := depth.bids("no"):
        body["no_dollars_fp"] = _levels(no)
    return _message("orderbook_delta", "orderbook_snapshot", ticker_, body)


def delta(change: BookChange, market_id: str) -> Message:
    """The change of one level; the price is that of its own side (`use_yes_price` false)."""
    body: Json = {
        "market_ticker": change.ticker,
        "market_id": market_id,
        "clock": change.clock,
        "price_dollars": price(change.price),
        "delta_fp": contracts(change.delta),
        "side": change.side,
        "ts": rfc3339(change.time),
        "ts_ms": millis(change.time),
    }
    if change.client_order_id is not None:
        body["client_order_id"] = change.client_order_id
        body["subaccount"] = change.subaccount
    return _message("orderbook_delta", "orderbook_delta", change.ticker, body)


def ticker(quote: Quote) -> Message:
    """All that is quoted of a market. A price of zero says that it never traded."""
    body: Json = {
        "market_id": quote.market_id,
        "market_ticker": quote.ticker,
        "price_dollars": price(quote.last.price),
        "yes_bid_dollars": price(quote.bid.price),
        "yes_ask_dollars": price(quote.ask.price),
        "volume_fp": contracts(quote.volume),
        "open_interest_fp": contracts(quote.open_interest),
        "dollar_volume": int(quote.volume / 2),
        "dollar_open_interest": int(quote.open_interest / 2),
        "yes_bid_size_fp": contracts(quote.bid.size),
        "yes_ask_size_fp": contracts(quote.ask.size),
        "last_trade_size_fp": contracts(quote.last.size),
        "ts": seconds(quote.time),
        "ts_ms": millis(quote.time),
        "time": rfc3339(quote.time),
    }
    return _message("ticker", "ticker", quote.ticker, body)


def trade(made: PublicTrade) -> Message:
    """A public trade."""
    body: Json = {
        "trade_id": made.trade_id,
        "market_ticker": made.ticker,
        "yes_price_dollars": price(made.yes_price),
        "no_price_dollars": price(ONE - made.yes_price),
        "count_fp": contracts(made.count),
        "taker_side": made.taker,
        "taker_outcome_side": made.taker,
        "taker_book_side": direction(made.taker)["book_side"],
        "is_block_trade": False,
        "ts": seconds(made.time),
        "ts_ms": millis(made.time),
    }
    return _message("trade", "trade", made.ticker, body)


def fill(one: Fill, subaccount: int) -> Message:
    """An execution of an order of the account; only the price of YES is given."""
    body: Json = {
        "trade_id": one.trade_id,
        "order_id": one.order_id,
        "client_order_id": one.client_order_id,
        "market_ticker": one.ticker,
        "exchange_index": EXCHANGE_INDEX,
        "is_taker": one.is_taker,
        "side": one.side,
        "action": "buy",
        "purchased_side": one.side,
        **direction(one.side),
        "yes_price_dollars": price(one.yes_price),
        "count_fp": contracts(one.count),
        "fee_cost": cost(one.fee),
        "post_position_fp": contracts(one.post_position),
        "subaccount": subaccount,
        "ts": seconds(one.time),
        "ts_ms": millis(one.time),
    }
    return _message("fill", "fill", one.ticker, body)


def order(state: Order, subaccount: int) -> Message:
    """The full state of one order; its market is `ticker` here, not `market_ticker`."""
    body: Json = {
        "order_id": state.order_id,
        "user_id": USER,
        "ticker": state.ticker,
        "exchange_index": EXCHANGE_INDEX,
        "status": state.status,
        "side": state.side,
        "is_yes": state.side == "yes",
        **direction(state.side),
        "yes_price_dollars": price(state.limit if state.side == "yes" else ONE - state.limit),
        "initial_count_fp": contracts(state.initial),
        "fill_count_fp": contracts(state.filled),
        "remaining_count_fp": contracts(state.remaining),
        "taker_fill_cost_dollars": cost(state.taker_cost),
        "maker_fill_cost_dollars": cost(state.maker_cost),
        "taker_fees_dollars": cost(state.taker_fees),
        "maker_fees_dollars": cost(ZERO),
        "client_order_id": state.client_order_id,
        "self_trade_prevention_type": "taker_at_cross",
        "created_time": rfc3339(state.created),
        "created_ts_ms": millis(state.created),
        "last_updated_ts_ms": millis(state.updated),
        "subaccount_number": subaccount,
    }
    if state.reason is not None:
        body["last_update_reason"] = state.reason
    return _message("user_orders", "user_order", state.ticker, body)


def position(held: Position, subaccount: int) -> Message:
    """The full state of one position; it has no time but that of sending."""
    body: Json = {
        "user_id": USER,
        "market_ticker": held.ticker,
        "position_fp": contracts(held.net),
        "position_cost_dollars": cost(held.cost),
        "realized_pnl_dollars": cost(held.realized_pnl),
        "fees_paid_dollars": cost(held.fees),
        "position_fee_cost_dollars": cost(ZERO),
        "volume_fp": contracts(held.volume),
        "subaccount": subaccount,
    }
    return _message("market_positions", "market_position", held.ticker, body)


def event_opened(listed: Listed) -> Message:
    """The first market of an event tells of the event, on the markets' channel."""
    body: Json = {
        "event_ticker": listed.event,
        "exchange_index": EXCHANGE_INDEX,
        "title": listed.title,
        "subtitle": "",
        "collateral_return_type": "",
        "series_ticker": listed.series,
        "strike_date": seconds(listed.closes),
    }
    return _message("market_lifecycle_v2", "event_lifecycle", listed.ticker, body)


def lifecycle(fact: Lifecycle) -> Message:
    """A step of a market's life; only what the step says is there."""
    match fact:
        case Listed():
            body = _created(fact)
        case Struck():
            body = {
                "event_type": "metadata_updated",
                "strike_type": "greater",
                "floor_strike": number(fact.floor_strike),
                "yes_sub_title": fact.subtitle,
            }
        case Switched():
            kind = "activated" if fact.active else "deactivated"
            body = {"event_type": kind, "is_deactivated": not fact.active}
        case Rescheduled():
            body = {"event_type": "close_date_updated", "close_ts": seconds(fact.closes)}
        case Resolved():
            body = {
                "event_type": "determined",
                "determination_ts": seconds(fact.time),
                "result": fact.result,
                "settlement_value": price(ONE if fact.result == "yes" else ZERO),
            }
        case Settled():
            body = {"event_type": "settled", "settled_ts": seconds(fact.time)}
    body = {"market_ticker": fact.ticker, **body}
    return _message("market_lifecycle_v2", "market_lifecycle_v2", fact.ticker, body)


def _created(listed: Listed) -> Json:
    metadata: Json = {
        "name": listed.subtitle,
        "title": listed.title,
        "yes_sub_title": listed.subtitle,
        "no_sub_title": listed.subtitle,
        "rules_primary": "",
        "rules_secondary": "",
        "can_close_early": False,
        "event_ticker": listed.event,
        "expected_expiration_ts": seconds(listed.closes),
    }
    if listed.floor_strike is not None:
        metadata["strike_type"] = "greater"
        metadata["floor_strike"] = number(listed.floor_strike)
    return {
        "event_type": "created",
        "open_ts": seconds(listed.opens),
        "close_ts": seconds(listed.closes),
        "exchange_index": EXCHANGE_INDEX,
        "price_level_structure": "linear_cent",
        "price_ranges": PRICE_RANGES,
        "additional_metadata": metadata,
    }


def _levels(levels: list[Level]) -> list[tuple[str, str]]:
    return [(price(level.price), contracts(level.size)) for level in levels]


def _message(channel: Channel, kind: str, topic: str, body: Json) -> Message:
    return Message(channel, kind, topic, orjson.dumps(body))
