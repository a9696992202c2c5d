"""The private part of the REST API: what the account owns and did. Pure.

Source: openapi.yaml 3.34.0. Balance and positions are of subaccount 0 unless another is named;
fills, orders and settlements of all. Which of an order's times `min_ts` means is not documented:
that of its creation here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from streams.simulated.kalshi.changes import Cash
from streams.simulated.kalshi.orders import ZERO, Fill, Order
from streams.simulated.kalshi.positions import Position
from streams.simulated.kalshi.venue import records
from streams.simulated.kalshi.venue.query import Asked, Query, Refused, error
from streams.simulated.kalshi.venue.state import Venue
from streams.simulated.kalshi.venue.wire import EXCHANGE_INDEX, Json

__all__ = ["archived_fills", "archived_orders", "archived_positions", "balance", "deposits"]
__all__ += ["fills", "order", "orders", "positions", "settlements", "subaccount_balances"]
__all__ += ["withdrawals"]

_STATUSES = {"resting": "resting", "canceled": "canceled", "executed": "executed"}
#: Name in `count_filter` → what must not be zero.
_COUNTS: dict[str, Callable[[Position], Decimal]] = {
    "position": lambda one: one.net,
    "total_traded": lambda one: one.volume,
}
_SETTLEMENT = {"unsettled": (False,), "settled": (True,), "all": (False, True)}


def balance(asked: Asked) -> Json:
    """GET /portfolio/balance."""
    subaccount = asked.query.whole("subaccount") or 0
    for held in asked.venue.portfolio.cash.seen(asked.venue.as_of):
        if held.subaccount == subaccount:
            return records.balance(held.fact)
    return records.balance(Cash(ZERO, ZERO, asked.venue.as_of))


def subaccount_balances(asked: Asked) -> Json:
    """GET /portfolio/subaccounts/balances."""
    seen = asked.venue.portfolio.cash.seen(asked.venue.as_of)
    return {"subaccount_balances": [records.subaccount_balance(held) for held in seen]}


def fills(asked: Asked) -> Json:
    """GET /portfolio/fills."""
    return _fills(asked, lambda fill: fill.time >= asked.venue.cutoffs.trades)


def archived_fills(asked: Asked) -> Json:
    """GET /historical/fills."""
    return _fills(asked, lambda fill: fill.time < asked.venue.cutoffs.trades)


def orders(asked: Asked) -> Json:
    """GET /portfolio/orders."""
    return _orders(asked, lambda order: not _is_archived(asked.venue, order))


def archived_orders(asked: Asked) -> Json:
    """GET /historical/orders."""
    return _orders(asked, lambda order: _is_archived(asked.venue, order))


def order(asked: Asked, order_id: str) -> Json:
    """GET /portfolio/orders/{order_id}."""
    for held in asked.venue.portfolio.orders.seen(asked.venue.as_of):
        if held.fact.order_id == order_id and not _is_archived(asked.venue, held.fact):
            return {"order": records.order(held)}
    raise Refused(error(404, "not_found"))


def positions(asked: Asked) -> Json:
    """GET /portfolio/positions: those of markets that are not settled, unless it is asked for."""
    wanted = asked.query.one_of("settlement_status", _SETTLEMENT, (False,))
    named = asked.query.words("count_filter")
    if not set(named) <= set(_COUNTS):
        raise Refused(error(400, "bad_request", "invalid count_filter filter"))

    def is_shown(one: Position) -> bool:
        return (
            _is_settled(asked.venue, one) in wanted
            and not _is_archived_position(asked.venue, one)
            and all(_COUNTS[name](one) for name in named)
        )

    return _positions(asked, is_shown)


def archived_positions(asked: Asked) -> Json:
    """GET /historical/positions."""
    return _positions(asked, lambda one: _is_archived_position(asked.venue, one))


def settlements(asked: Asked) -> Json:
    """GET /portfolio/settlements; they have no historical tier."""
    tickers, event = asked.query.words("ticker"), asked.query.word("event_ticker")
    is_within, is_of = asked.query.within("min_ts", "max_ts"), _subaccount(asked.query)
    found = [
        held
        for held in asked.venue.portfolio.settlements.seen(asked.venue.as_of)
        if is_of(held.subaccount)
        and (not tickers or held.fact.ticker in tickers)
        and event in (None, held.fact.event)
        and is_within(held.fact.time)
    ]
    page, cursor = asked.query.page(
        found, lambda held: (held.fact.time, f"{held.fact.ticker}/{held.subaccount}")
    )
    return {"settlements": [records.settlement(held) for held in page], "cursor": cursor}


def deposits(asked: Asked) -> Json:
    """GET /portfolio/deposits."""
    return _transfers(asked, "deposit")


def withdrawals(asked: Asked) -> Json:
    """GET /portfolio/withdrawals."""
    return _transfers(asked, "withdrawal")


def _fills(asked: Asked, is_here: Callable[[Fill], bool]) -> Json:
    venue, query = asked
    tickers, order_id = query.words("ticker"), query.word("order_id")
    is_within, is_of = query.within("min_ts", "max_ts"), _owned(query)
    found = [
        held
        for held in venue.portfolio.fills.seen(venue.as_of)
        if is_of(held.subaccount)
        and is_here(held.fact)
        and (not tickers or held.fact.ticker in tickers)
        and order_id in (None, held.fact.order_id)
        and is_within(held.fact.time)
    ]
    page, cursor = query.page(found, lambda held: (held.fact.time, held.fact.trade_id))
    return {"fills": [records.fill(held) for held in page], "cursor": cursor}


def _orders(asked: Asked, is_here: Callable[[Order], bool]) -> Json:
    venue, query = asked
    ticker, events = query.word("ticker"), query.words("event_ticker")
    status = query.one_of("status", _STATUSES, None)
    is_within, is_of = query.within("min_ts", "max_ts"), _owned(query)
    found = [
        held
        for held in venue.portfolio.orders.seen(venue.as_of)
        if is_of(held.subaccount)
        and is_here(held.fact)
        and ticker in (None, held.fact.ticker)
        and (not events or _event(venue, held.fact.ticker) in events)
        and status in (None, held.fact.status)
        and is_within(held.fact.created)
    ]
    page, cursor = query.page(found, lambda held: (held.fact.created, held.fact.order_id))
    return {"orders": [records.order(held) for held in page], "cursor": cursor}


def _positions(asked: Asked, is_shown: Callable[[Position], bool]) -> Json:
    venue, query = asked
    ticker, event = query.word("ticker"), query.word("event_ticker")
    subaccount = query.whole("subaccount") or 0
    found = [
        held
        for held in venue.portfolio.positions.seen(venue.as_of)
        if held.subaccount == subaccount
        and is_shown(held.fact)
        and ticker in (None, held.fact.ticker)
        and event in (None, _event(venue, held.fact.ticker))
    ]
    page, cursor = query.page(found, lambda held: (0, held.fact.ticker))
    return {
        "market_positions": [records.market_position(held) for held in page],
        "event_positions": records.event_positions(
            [(_event(venue, held.fact.ticker), held.fact) for held in page]
        ),
        "cursor": cursor,
    }


def _transfers(asked: Asked, kind: Literal["deposit", "withdrawal"]) -> Json:
    venue, query = asked
    seen = venue.portfolio.transfers.seen(venue.as_of)
    found = [held.fact for held in seen if held.fact.kind == kind]
    page, cursor = query.page(found, lambda one: (one.created, one.transfer_id), most=500)
    return {f"{kind}s": [records.transfer(one) for one in page], "cursor": cursor}


def _subaccount(query: Query) -> Callable[[int], bool]:
    asked = query.whole("subaccount")
    return lambda subaccount: asked in (None, subaccount)


def _owned(query: Query) -> Callable[[int], bool]:
    """By subaccount and by shard, of which there is one."""
    is_of, shard = _subaccount(query), query.whole("exchange_index")
    return lambda subaccount: is_of(subaccount) and shard in (None, EXCHANGE_INDEX)


def _event(venue: Venue, ticker: str) -> str:
    return venue.markets[ticker].listed.event


def _is_archived(venue: Venue, one: Order) -> bool:
    """An order that rests is always live."""
    return one.status != "resting" and one.updated < venue.cutoffs.orders


def _is_settled(venue: Venue, one: Position) -> bool:
    settled = venue.markets[one.ticker].settled
    return settled is not None and settled <= venue.as_of


def _is_archived_position(venue: Venue, one: Position) -> bool:
    return _is_settled(venue, one) and one.updated < venue.cutoffs.positions
