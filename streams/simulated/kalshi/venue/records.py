"""What REST replies say of a fact. Pure. Source: openapi.yaml 3.34.0.

Fields that it calls deprecated, and requires not, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Cash, Quote
from streams.simulated.kalshi.orders import ONE, ZERO, Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement
from streams.simulated.kalshi.venue.depth import Depth
from streams.simulated.kalshi.venue.facts import PublicTrade, Transfer
from streams.simulated.kalshi.venue.markets import Market
from streams.simulated.kalshi.venue.messages import PRICE_RANGES
from streams.simulated.kalshi.venue.portfolio import Held
from streams.simulated.kalshi.venue.wire import (
    EXCHANGE_INDEX,
    USER,
    Json,
    cents,
    contracts,
    cost,
    direction,
    number,
    price,
    seconds,
)
from streams.simulated.market import rfc3339

__all__ = ["balance", "event_positions", "fill", "market", "market_position", "order", "orderbook"]
__all__ += ["settlement", "subaccount_balance", "trade", "transfer"]

_WEEK = 7 * 86_400_000_000


def market(one: Market, now: int) -> Json:
    """A market as it stands at `now`."""
    listed, strike = one.listed, one.struck or one.listed
    record: Json = {
        "ticker": listed.ticker,
        "event_ticker": listed.event,
        "market_type": "binary",
        "yes_sub_title": strike.subtitle,
        "no_sub_title": strike.subtitle,
        "created_time": rfc3339(listed.time),
        "updated_time": rfc3339(one.updated),
        "open_time": rfc3339(listed.opens),
        "close_time": rfc3339(one.closes),
        "expected_expiration_time": rfc3339(one.closes),
        "latest_expiration_time": rfc3339(one.closes + _WEEK),
        "settlement_timer_seconds": 60,
        "status": one.status(now),
        "notional_value_dollars": price(ONE),
        **_quoted(one.quotes[-1] if one.quotes else None),
        "previous_yes_bid_dollars": price(ZERO),
        "previous_yes_ask_dollars": price(ZERO),
        "previous_price_dollars": price(ZERO),
        "result": one.result,
        "expiration_value": "",
        "settlement_bounds_type": "default",
        "can_close_early": False,
        "rules_primary": "",
        "rules_secondary": "",
        "price_level_structure": "linear_cent",
        "price_ranges": PRICE_RANGES,
        "exchange_index": EXCHANGE_INDEX,
    }
    if strike.floor_strike is not None:
        record |= {"strike_type": "greater", "floor_strike": number(strike.floor_strike)}
    if one.settled is not None:
        value = ONE if one.result == "yes" else ZERO
        record |= {"settlement_value_dollars": price(value), "settlement_ts": rfc3339(one.settled)}
    return record


def orderbook(depth: Depth, levels: int) -> Json:
    """The book; the best `levels` of each side, all if 0. An empty side is an empty list here."""
    return {
        "orderbook_fp": {
            "yes_dollars": _levels(depth.bids("yes")[-levels:]),
            "no_dollars": _levels(depth.bids("no")[-levels:]),
        }
    }


def trade(made: PublicTrade) -> Json:
    """A public trade."""
    ways = direction(made.taker)
    return {
        "trade_id": made.trade_id,
        "ticker": made.ticker,
        "count_fp": contracts(made.count),
        "yes_price_dollars": price(made.yes_price),
        "no_price_dollars": price(ONE - made.yes_price),
        "taker_outcome_side": ways["outcome_side"],
        "taker_book_side": ways["book_side"],
        "created_time": rfc3339(made.time),
        "is_block_trade": False,
    }


def fill(held: Held[Fill]) -> Json:
    """An execution; there is no `client_order_id` here."""
    one = held.fact
    return {
        "fill_id": one.trade_id,
        "trade_id": one.trade_id,
        "order_id": one.order_id,
        "ticker": one.ticker,
        "market_ticker": one.ticker,
        "exchange_index": EXCHANGE_INDEX,
        **direction(one.side),
        "count_fp": contracts(one.count),
        "yes_price_dollars": price(one.yes_price),
        "no_price_dollars": price(ONE - one.yes_price),
        "is_taker": one.is_taker,
        "fee_cost": cost(one.fee),
        "created_time": rfc3339(one.time),
        "ts": seconds(one.time),
        "subaccount_number": held.subaccount,
    }


def order(held: Held[Order]) -> Json:
    """The state of one order."""
    one = held.fact
    yes_price = one.limit if one.side == "yes" else ONE - one.limit
    return {
        "order_id": one.order_id,
        "user_id": USER,
        "client_order_id": one.client_order_id,
        "ticker": one.ticker,
        **direction(one.side),
        "type": one.kind,
        "status": one.status,
        "yes_price_dollars": price(yes_price),
        "no_price_dollars": price(ONE - yes_price),
        "initial_count_fp": contracts(one.initial),
        "fill_count_fp": contracts(one.filled),
        "remaining_count_fp": contracts(one.remaining),
        "taker_fill_cost_dollars": cost(one.taker_cost),
        "maker_fill_cost_dollars": cost(one.maker_cost),
        "taker_fees_dollars": cost(one.taker_fees),
        "maker_fees_dollars": cost(ZERO),
        "created_time": rfc3339(one.created),
        "last_update_time": rfc3339(one.updated),
        "expiration_time": None,
        "self_trade_prevention_type": "taker_at_cross",
        "cancel_order_on_pause": False,
        "subaccount_number": held.subaccount,
        "exchange_index": EXCHANGE_INDEX,
    }


def market_position(held: Held[Position]) -> Json:
    """The position in one market, positive for YES. It does not say of which subaccount it is."""
    one = held.fact
    return {
        "ticker": one.ticker,
        "exchange_index": EXCHANGE_INDEX,
        "position_fp": contracts(one.net),
        "market_exposure_dollars": cost(one.cost),
        "total_traded_dollars": cost(one.yes_cost + one.no_cost),
        "realized_pnl_dollars": cost(one.realized_pnl),
        "fees_paid_dollars": cost(one.fees),
        "last_updated_ts": rfc3339(one.updated),
    }


def event_positions(positions: Sequence[tuple[str, Position]]) -> list[Json]:
    """The sums over the markets of an event, of pairs of event and position."""
    events: dict[str, list[Position]] = {}
    for event, one in positions:
        events.setdefault(event, []).append(one)
    return [
        {
            "event_ticker": event,
            "total_cost_dollars": cost(_sum(one.yes_cost + one.no_cost for one in held)),
            "total_cost_shares_fp": contracts(_sum(one.volume for one in held)),
            "event_exposure_dollars": cost(_sum(one.cost for one in held)),
            "realized_pnl_dollars": cost(_sum(one.realized_pnl for one in held)),
            "fees_paid_dollars": cost(_sum(one.fees for one in held)),
        }
        for event, held in events.items()
    ]


def settlement(held: Held[Settlement]) -> Json:
    """What a market paid. It does not say of which subaccount it is."""
    one, before = held.fact, held.fact.before
    return {
        "ticker": one.ticker,
        "exchange_index": EXCHANGE_INDEX,
        "event_ticker": one.event,
        "market_result": one.result,
        "yes_count_fp": contracts(before.yes_count),
        "yes_total_cost_dollars": cost(before.yes_cost),
        "no_count_fp": contracts(before.no_count),
        "no_total_cost_dollars": cost(before.no_cost),
        "revenue": cents(one.revenue),
        "value": 100 if one.result == "yes" else 0,
        "fee_cost": cost(before.fees),
        "settled_time": rfc3339(one.time),
    }


def transfer(one: Transfer) -> Json:
    """A deposit or withdrawal; its times are seconds, its amounts cents."""
    record: Json = {
        "id": one.transfer_id,
        "status": one.status,
        "type": "ach",
        "amount_cents": cents(one.amount),
        "fee_cents": cents(one.fee),
        "created_ts": seconds(one.created),
    }
    return record | ({} if one.finalized is None else {"finalized_ts": seconds(one.finalized)})


def balance(cash: Cash) -> Json:
    """The cash of one subaccount; `balance` is cut off below the cent, `balance_dollars` is not."""
    return {
        "balance": cents(cash.cash),
        "balance_dollars": price(cash.cash),
        "balance_breakdown": [{"exchange_index": EXCHANGE_INDEX, "balance": price(cash.cash)}],
        "portfolio_value": cents(cash.portfolio),
        "updated_ts": seconds(cash.time),
    }


def subaccount_balance(held: Held[Cash]) -> Json:
    """The cash of a subaccount, among those of all."""
    return {
        "subaccount_number": held.subaccount,
        "exchange_index": EXCHANGE_INDEX,
        "balance": price(held.fact.cash),
        "updated_ts": seconds(held.fact.time),
    }


def _quoted(quote: Quote | None) -> Json:
    bid, ask = (quote.bid, quote.ask) if quote else (Level(ZERO, ZERO), Level(ONE, ZERO))
    return {
        "yes_bid_dollars": price(bid.price),
        "yes_bid_size_fp": contracts(bid.size),
        "yes_ask_dollars": price(ask.price),
        "yes_ask_size_fp": contracts(ask.size),
        "no_bid_dollars": price(ONE - ask.price),
        "no_ask_dollars": price(ONE - bid.price),
        "last_price_dollars": price(quote.last.price if quote else ZERO),
        "volume_fp": contracts(quote.volume if quote else ZERO),
        "volume_24h_fp": contracts(quote.volume if quote else ZERO),
        "open_interest_fp": contracts(quote.open_interest if quote else ZERO),
    }


def _levels(levels: Sequence[Level]) -> list[tuple[str, str]]:
    return [(price(level.price), contracts(level.size)) for level in levels]


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
