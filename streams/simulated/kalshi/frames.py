"""What the venue would say of each change: WebSocket frames and REST replies, in its JSON of today.

Sources: Kalshi's asyncapi.yaml and openapi.yaml 3.34.0 (autumn 2026). Fields that they call
deprecated are left out, unless they are required.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Literal, NamedTuple

import orjson

from streams.events.types import Side
from streams.simulated.kalshi.changes import (
    Cash,
    Change,
    Deposit,
    Opened,
    Quote,
    Resolved,
    Settled,
)
from streams.simulated.kalshi.markets import SECOND
from streams.simulated.kalshi.orders import ONE, ZERO, Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement
from streams.simulated.market import rfc3339

__all__ = ["Frames", "Said"]

_USER = str(uuid.UUID(int=1, version=4))
_EXCHANGE_INDEX = 0

Json = dict[str, object]
Channel = Literal["fill", "user_order", "market_position", "ticker", "market_lifecycle_v2"]
Reply = Literal["settlements", "balance", "deposits"]

_SIDS: dict[Channel, int] = {
    "fill": 1,
    "user_order": 2,
    "market_position": 3,
    "ticker": 4,
    "market_lifecycle_v2": 5,
}
_ACTIVATED: Json = {"event_type": "activated", "is_deactivated": False}


class Said(NamedTuple):
    """A frame of the WebSocket, by its type, or the reply to the REST request of that name."""

    kind: Channel | Reply
    data: bytes


class Frames:
    """Says the changes of one exchange, and numbers the frames where the venue does."""

    def __init__(self) -> None:
        self._sequence = 0

    def say(self, change: Change) -> list[Said]:
        """The frames or the reply that tell of a change."""
        match change:
            case Opened():
                return [
                    self._lifecycle(change, _created(change)),
                    self._lifecycle(change, _ACTIVATED),
                ]
            case Resolved():
                return [self._lifecycle(change, _determined(change))]
            case Settled():
                return [
                    self._lifecycle(
                        change, {"event_type": "settled", "settled_ts": change.time // SECOND}
                    )
                ]
            case Settlement() | Cash() | Deposit():
                return [_reply(change)]
            case _:
                return [_own_frame(change)]

    def _lifecycle(self, change: Opened | Resolved | Settled, message: Json) -> Said:
        self._sequence += 1
        message = {"market_ticker": change.ticker, **message}
        return _frame("market_lifecycle_v2", change.time, message, seq=self._sequence)


def _own_frame(change: Fill | Order | Position | Quote) -> Said:
    match change:
        case Fill():
            return _frame("fill", change.time, _fill(change))
        case Order():
            return _frame("user_order", change.updated, _order(change))
        case Position():
            return _frame("market_position", change.updated, _position(change))
        case Quote():
            return _frame("ticker", change.time, _ticker(change))


def _frame(channel: Channel, time: int, message: Json, **numbers: int) -> Said:
    head = {"type": channel, "sid": _SIDS[channel], **numbers, "sending_ts_ms": time // 1000}
    return Said(channel, orjson.dumps({**head, "msg": message}))


def _reply(change: Settlement | Cash | Deposit) -> Said:
    match change:
        case Settlement():
            body: Json = {"settlements": [_settlement(change)], "cursor": ""}
            return Said("settlements", orjson.dumps(body))
        case Deposit():
            body = {"deposits": [_deposit(change)], "cursor": ""}
            return Said("deposits", orjson.dumps(body))
        case Cash():
            return Said("balance", orjson.dumps(_balance(change)))


def _fill(fill: Fill) -> Json:
    return {
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "client_order_id": fill.client_order_id,
        "market_ticker": fill.ticker,
        "exchange_index": _EXCHANGE_INDEX,
        "is_taker": fill.is_taker,
        **_direction(fill.side),
        "yes_price_dollars": _price(fill.yes_price),
        "count_fp": _count(fill.count),
        "fee_cost": _cost(fill.fee),
        "post_position_fp": _count(fill.post_position),
        "subaccount": 0,
        "ts": fill.time // SECOND,
        "ts_ms": fill.time // 1000,
    }


def _order(order: Order) -> Json:
    yes_price = order.limit if order.side == "yes" else ONE - order.limit
    message: Json = {
        "order_id": order.order_id,
        "user_id": _USER,
        "ticker": order.ticker,
        "exchange_index": _EXCHANGE_INDEX,
        "status": order.status,
        **_direction(order.side),
        "yes_price_dollars": _price(yes_price),
        "initial_count_fp": _count(order.initial),
        "fill_count_fp": _count(order.filled),
        "remaining_count_fp": _count(order.remaining),
        "taker_fill_cost_dollars": _cost(order.taker_cost),
        "maker_fill_cost_dollars": _cost(order.maker_cost),
        "taker_fees_dollars": _cost(order.taker_fees),
        "maker_fees_dollars": _cost(ZERO),
        "client_order_id": order.client_order_id,
        "self_trade_prevention_type": "taker_at_cross",
        "created_ts_ms": order.created // 1000,
        "last_updated_ts_ms": order.updated // 1000,
        "subaccount_number": 0,
    }
    return message | ({"last_update_reason": order.reason} if order.reason else {})


def _position(position: Position) -> Json:
    return {
        "user_id": _USER,
        "market_ticker": position.ticker,
        "position_fp": _count(position.net),
        "position_cost_dollars": _cost(position.cost),
        "realized_pnl_dollars": _cost(position.realized_pnl),
        "fees_paid_dollars": _cost(position.fees),
        "position_fee_cost_dollars": _cost(ZERO),
        "volume_fp": _count(position.volume),
        "subaccount": 0,
    }


def _ticker(quote: Quote) -> Json:
    return {
        "market_id": quote.market_id,
        "market_ticker": quote.ticker,
        "price_dollars": _price(quote.last.price),
        "yes_bid_dollars": _price(quote.bid.price),
        "yes_ask_dollars": _price(quote.ask.price),
        "volume_fp": _count(quote.volume),
        "open_interest_fp": _count(quote.open_interest),
        "dollar_volume": int(quote.volume / 2),
        "dollar_open_interest": int(quote.open_interest / 2),
        "yes_bid_size_fp": _count(quote.bid.size),
        "yes_ask_size_fp": _count(quote.ask.size),
        "last_trade_size_fp": _count(quote.last.size),
        "ts": quote.time // SECOND,
        "ts_ms": quote.time // 1000,
        "time": rfc3339(quote.time),
    }


def _created(market: Opened) -> Json:
    return {
        "event_type": "created",
        "open_ts": market.time // SECOND,
        "close_ts": market.closes // SECOND,
        "exchange_index": _EXCHANGE_INDEX,
        "price_level_structure": "linear_cent",
        "additional_metadata": {
            "name": market.subtitle,
            "title": market.title,
            "yes_sub_title": market.subtitle,
            "no_sub_title": market.subtitle,
            "event_ticker": market.event,
            "can_close_early": False,
            "expected_expiration_ts": market.closes // SECOND,
            "strike_type": "greater",
            # A JSON number at this venue, written without passing through a float.
            "floor_strike": orjson.Fragment(str(market.floor_strike)),
        },
    }


def _determined(market: Resolved) -> Json:
    return {
        "event_type": "determined",
        "determination_ts": market.time // SECOND,
        "result": market.result,
        "settlement_value": _price(ONE if market.result == "yes" else ZERO),
    }


def _settlement(settlement: Settlement) -> Json:
    before = settlement.before
    return {
        "ticker": settlement.ticker,
        "exchange_index": _EXCHANGE_INDEX,
        "event_ticker": settlement.event,
        "market_result": settlement.result,
        "yes_count_fp": _count(before.yes_count),
        "yes_total_cost_dollars": _cost(before.yes_cost),
        "no_count_fp": _count(before.no_count),
        "no_total_cost_dollars": _cost(before.no_cost),
        "revenue": _cents(settlement.revenue),
        "value": 100 if settlement.result == "yes" else 0,
        "fee_cost": _cost(before.fees),
        "settled_time": rfc3339(settlement.time),
    }


def _balance(cash: Cash) -> Json:
    return {
        "balance": _cents(cash.cash),
        "balance_dollars": _price(cash.cash),
        "balance_breakdown": [{"exchange_index": _EXCHANGE_INDEX, "balance": _price(cash.cash)}],
        "portfolio_value": _cents(cash.portfolio),
        "updated_ts": cash.time // SECOND,
    }


def _deposit(deposit: Deposit) -> Json:
    return {
        "id": deposit.transfer_id,
        "status": "applied",
        "type": "ach",
        "amount_cents": _cents(deposit.amount),
        "fee_cents": 0,
        "created_ts": deposit.time // SECOND,
        "finalized_ts": deposit.time // SECOND,
    }


def _direction(side: Side) -> Json:
    return {"outcome_side": side, "book_side": "bid" if side == "yes" else "ask"}


def _price(dollars: Decimal) -> str:
    return f"{dollars:.4f}"


def _cost(dollars: Decimal) -> str:
    return f"{dollars:.6f}"


def _count(contracts: Decimal) -> str:
    return f"{contracts:.2f}"


def _cents(dollars: Decimal) -> int:
    """Whole cents; the venue cuts off what is less."""
    return int(dollars * 100)
