"""Rows of the old system's account tables, in SQLite and PostgreSQL.

Columns and units: reference/legacy-system.md sections 3.1.4 to 3.1.8 and 3.2.4. A row is a mapping
of column names. A REAL column of dollars becomes today's text field (`yes_price_dollars`), and the
converter of the REST item reads the rest: the tables were filled from it.

All functions give a fact of origin `legacy`, keep the row as JSON, and raise `FrameError` for what
cannot be read, and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from streams.connectors.base import build, json_object
from streams.connectors.kalshi import account_replies, records, values
from streams.connectors.kalshi.delivery import Delivery, json_bytes, kept
from streams.connectors.kalshi.legacy_values import local_time, rounded
from streams.connectors.kalshi.values import CENTI_CENTS, CENTS, Item
from streams.events import Balance, Fill, Order, Position, Settlement


def fill(row: Item, delivery: Delivery) -> Fill:
    """A row of `fills`: prices are REAL dollars."""
    item = _with_dollars(row, "yes_price", "no_price")
    return records.fill(item, _legacy(delivery), _raw(row))


def order(row: Item, delivery: Delivery) -> Order:
    """A row of `orders`: prices, costs and fees are whole cents.

    Rows were inserted and never updated, so the state may be an early one.
    """
    return records.order(row, _legacy(delivery), _raw(row))


def settlement(row: Item, delivery: Delivery) -> Settlement:
    """A row of `settlements`: costs and revenue are REAL dollars."""
    item = _with_dollars(row, "yes_total_cost", "no_total_cost", "revenue")
    return account_replies.settlement(item, _legacy(delivery), _raw(row))


def balance(row: Item, delivery: Delivery) -> Balance:
    """A row of `balance_history` or `account_balance_0001`: `balance` is whole cents, in REAL.

    `timestamp` is local time, which was Eastern, or has its offset; without it, the receive time.
    """
    cents = rounded(row, "balance", Decimal(1))
    return build(
        Balance,
        account=delivery.account_of(row),
        origin="legacy",
        balance=cents if cents is None else cents.scaleb(CENTS),
        exact=False,
        portfolio_value=None,
        time=_time(row, "timestamp") or delivery.received,
        received=delivery.received,
        raw=_raw(row),
    )


def position(row: Item, delivery: Delivery) -> Position:
    """A row of `positions`. Its money is read from `raw_json`, and unknown without it.

    The columns of money hold cents, dollars or centi-cents, depending on the channel that wrote
    the row last; `raw_json` is that channel's message, in the units of the channel.
    """
    text = values.words(row, "raw_json")
    source = json_object(text.encode(errors="replace")) if text else {}
    message = source["msg"] if isinstance(source.get("msg"), dict) else source
    by_websocket = "position_cost" in message
    unit = CENTI_CENTS if by_websocket else CENTS
    return build(
        Position,
        account=delivery.account_of(row),
        origin="legacy",
        ticker=values.words(row, "ticker"),
        position=values.count(row, "position"),
        cost=values.money(message, "position_cost" if by_websocket else "market_exposure", unit),
        realized_pnl=values.money(message, "realized_pnl", unit),
        fees=values.money(message, "fees_paid", unit),
        time=_time(row, "last_updated_ts") or delivery.received,
        received=delivery.received,
        raw=_raw(row),
    )


def _legacy(delivery: Delivery) -> Delivery:
    return replace(delivery, origin="legacy")


def _raw(row: Item) -> str | None:
    return kept(json_bytes(dict(row)).decode())


def _with_dollars(row: Item, *names: str) -> Item:
    """The row with the REAL columns `names` as text of dollars besides."""
    amounts = {name: rounded(row, name) for name in names}
    texts = {
        f"{name}_dollars": str(amount) for name, amount in amounts.items() if amount is not None
    }
    return {**row, **texts}


def _time(row: Item, name: str) -> int | None:
    text = values.words(row, name)
    return None if text is None else local_time(text)
