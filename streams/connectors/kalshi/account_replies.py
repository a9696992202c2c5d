"""The REST replies about an account, in every format since 2025.

Field names: reference/connectors.md section 6.1 and openapi.yaml; for whole numbers (cents,
contracts), reference/legacy-system.md section 4.4.

A function of a reply takes its JSON object and its delivery and gives one event for each item; an
item that cannot be read is an AccountUnparsed. It raises `FrameError` where the reply has not what
was asked for, as an error has not, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from streams.connectors.base import build
from streams.connectors.kalshi import records, values
from streams.connectors.kalshi.delivery import Converter, Delivery, each, json_bytes, kept, list_of
from streams.connectors.kalshi.values import PAYS, Item
from streams.events import AccountUnparsed, Balance, Event, Position, Settlement, Transfer


def fills(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /portfolio/fills: a Fill for each."""
    return _each(list_of(reply, "fills"), records.fill, delivery)


def orders(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /portfolio/orders, one order, and the replies of January 2026 to creating, amending,
    decreasing and canceling: an Order for each state in it.

    Those for batches say of each whether it worked; where it did not, there is no state.
    """
    states = [reply[name] for name in ("old_order", "order") if name in reply]
    if not states:
        of_batch = [_order_of_batch(item) for item in list_of(reply, "orders")]
        states = [state for state in of_batch if state is not None]
    return _each(states, records.order, delivery)


def positions(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /portfolio/positions: a Position for each market; those of events are their sums."""
    return _each(list_of(reply, "market_positions"), position, delivery)


def settlements(reply: Item, delivery: Delivery) -> list[Event]:
    """GET /portfolio/settlements: a Settlement for each."""
    return _each(list_of(reply, "settlements"), settlement, delivery)


def transfers(
    reply: Item, kind: Literal["deposit", "withdrawal"], delivery: Delivery
) -> list[Event]:
    """GET /portfolio/deposits or /withdrawals: a Transfer for each, in its present state."""
    return _each(list_of(reply, f"{kind}s"), partial(_transfer, kind), delivery)


def balance(reply: Item, delivery: Delivery) -> Balance:
    """GET /portfolio/balance. Without `balance_dollars`, `balance` is cents, cut off below them.

    Raises FrameError for a reply that cannot be read, and nothing else.
    """
    exact = values.dollar_text(reply, "balance_dollars")
    return build(
        Balance,
        account=delivery.account_of(reply),
        origin=delivery.origin,
        balance=values.money(reply, "balance"),
        exact=exact is not None,
        portfolio_value=values.money(reply, "portfolio_value"),
        time=values.seconds(reply, "updated_ts") or delivery.received,
        received=delivery.received,
        raw=kept(json_bytes(reply).decode()),
    )


def position(item: Item, delivery: Delivery, raw: str | None) -> Position:
    """One market position, positive for YES. Raises FrameError only."""
    return build(
        Position,
        account=delivery.account_of(item),
        origin=delivery.origin,
        ticker=values.words(item, "ticker"),
        position=values.count(item, "position"),
        cost=values.money(item, "market_exposure"),
        realized_pnl=values.money(item, "realized_pnl"),
        fees=values.money(item, "fees_paid"),
        time=values.rfc3339(item, "last_updated_ts") or delivery.received,
        received=delivery.received,
        raw=raw,
    )


def settlement(item: Item, delivery: Delivery, raw: str | None) -> Settlement:
    """One settlement. `revenue` is cents in all formats, `value` what one YES contract pays, in
    cents; it is read for a scalar market only. Raises FrameError only."""
    result = values.words(item, "market_result")
    return build(
        Settlement,
        account=delivery.account_of(item),
        origin=delivery.origin,
        ticker=values.words(item, "ticker"),
        result=result,
        value=PAYS[result] if result in PAYS else values.money(item, "value"),
        yes_count=values.count(item, "yes_count"),
        no_count=values.count(item, "no_count"),
        yes_cost=values.money(item, "yes_total_cost"),
        no_cost=values.money(item, "no_total_cost"),
        revenue=values.money(item, "revenue"),
        fee=values.dollar_text(item, "fee_cost"),
        time=values.rfc3339(item, "settled_time"),
        received=delivery.received,
        raw=raw,
    )


def _transfer(kind: str, item: Item, delivery: Delivery, raw: str | None) -> Transfer:
    return build(
        Transfer,
        account=delivery.account_of(item),
        origin=delivery.origin,
        kind=kind,
        transfer_id=values.words(item, "id"),
        status=values.words(item, "status"),
        method=values.words(item, "type"),
        amount=values.money(item, "amount_cents"),
        fee=values.money(item, "fee_cents"),
        created=values.seconds(item, "created_ts"),
        finalized=values.seconds(item, "finalized_ts"),
        received=delivery.received,
        raw=raw,
    )


def _each(items: Sequence[object], convert: Converter, delivery: Delivery) -> list[Event]:
    return each(items, lambda *item: [convert(*item)], AccountUnparsed, delivery)


def _order_of_batch(item: object) -> object:
    """An item of a list of orders is one, or holds one, which is null if it failed."""
    return item["order"] if isinstance(item, dict) and "order" in item else item
