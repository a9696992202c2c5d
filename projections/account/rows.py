"""From events to rows of facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from projections.account.facts import TABLES, Row
from projections.account.values import trimmed
from projections.base import Recorded
from streams.events import (
    Balance,
    CancelTrade,
    CloseFailed,
    CloseTrade,
    Event,
    Fill,
    MarkError,
    OpenTrade,
    Order,
    OrderAccepted,
    OrderRejected,
    Position,
    Settlement,
    SnapshotFinished,
    SnapshotStarted,
    TradeCommand,
    TradeEvent,
    TradeExpired,
    Transfer,
)
from streams.events.trade_commands import client_order_id
from streams.events.types import moment

#: Rows of each table of facts, by its name; a table without rows is not there.
Rows = dict[str, list[Row]]


def rows_of(facts: Iterable[Recorded]) -> Rows:
    """The rows that events of the account's topics are."""
    rows: Rows = {}
    for recorded in facts:
        table, read = _READERS[type(recorded.event)]
        row = read(recorded.event)
        for name, value in row.items():
            if type(value) is Decimal:
                row[name] = trimmed(value)
        row["topic"], row["partition"] = recorded.source
        row["offset"] = recorded.offset
        rows.setdefault(table, []).append(row)
    return rows


def _optional(micros: int | None) -> datetime | None:
    return None if micros is None else moment(micros)


def _command(event: TradeCommand) -> Row:
    return {
        **dict.fromkeys(TABLES["commands"].columns),
        "command_id": event.command_id,
        "ticket_id": event.ticket_id,
        "account": event.account,
        "ticker": event.ticker,
        "time": moment(event.time),
        "client_order_id": client_order_id(event.ticket_id, event.command_id),
        "origin": event.origin,
    }


def _open(event: OpenTrade) -> Row:
    return {
        **_command(event),
        "kind": "open",
        "side": event.side,
        "count": event.count,
        "price": event.price,
        "symbol": event.symbol,
        "market": event.market,
        "trade_strategy": event.strategy,
        "contract": event.contract,
        "strike": event.strike,
        "prob": event.prob,
        "method": event.entry_method,
    }


def _close(event: CloseTrade) -> Row:
    return {
        **_command(event),
        "kind": "close",
        "side": event.side,
        "count": event.count,
        "price": event.price,
        "method": event.close_method,
    }


def _cancel(event: CancelTrade) -> Row:
    return {**_command(event), "kind": "cancel", "reason": event.reason}


def _mark_error(event: MarkError) -> Row:
    return {**_command(event), "kind": "mark_error", "reason": event.reason}


def _outcome(kind: str, event: TradeEvent) -> Row:
    return {
        "event_id": event.event_id(),
        "kind": kind,
        "ticket_id": event.ticket_id,
        "account": event.account,
        "ticker": event.ticker,
        "time": moment(event.time),
        "command_id": getattr(event, "command_id", None),
        "order_id": getattr(event, "order_id", None),
        "reason": getattr(event, "reason", None),
        "origin": event.origin,
    }


def _fill(event: Fill) -> Row:
    return {
        "account": event.account,
        "trade_id": event.trade_id,
        "origin": event.origin,
        "ticker": event.ticker,
        "side": event.side,
        "yes_price": event.yes_price,
        "count": event.count,
        "order_id": event.order_id,
        "client_order_id": event.client_order_id,
        "fee": event.fee,
        "is_taker": event.is_taker,
        "post_position": event.post_position,
        "time": moment(event.time),
    }


def _order(event: Order) -> Row:
    return {
        "account": event.account,
        "order_id": event.order_id,
        "origin": event.origin,
        "ticker": event.ticker,
        "side": event.side,
        "status": event.status,
        "kind": event.kind,
        "yes_price": event.yes_price,
        "initial_count": event.initial_count,
        "fill_count": event.fill_count,
        "remaining_count": event.remaining_count,
        "fill_cost": event.fill_cost,
        "fees": event.fees,
        "created": _optional(event.created),
        "updated": _optional(event.updated),
        "expires": _optional(event.expires),
        "reason": event.reason,
        "client_order_id": event.client_order_id,
    }


def _position(event: Position) -> Row:
    return {
        "account": event.account,
        "ticker": event.ticker,
        "origin": event.origin,
        "position": event.position,
        "cost": event.cost,
        "realized_pnl": event.realized_pnl,
        "fees": event.fees,
        "time": moment(event.time),
    }


def _settlement(event: Settlement) -> Row:
    return {
        "account": event.account,
        "ticker": event.ticker,
        "settled_time": moment(event.time),
        "origin": event.origin,
        "result": event.result,
        "value": event.value,
        "yes_count": event.yes_count,
        "no_count": event.no_count,
        "yes_cost": event.yes_cost,
        "no_cost": event.no_cost,
        "revenue": event.revenue,
        "fee": event.fee,
    }


def _balance(event: Balance) -> Row:
    return {
        "account": event.account,
        "time": moment(event.time),
        "balance": event.balance,
        "origin": event.origin,
        "exact": event.exact,
        "portfolio_value": event.portfolio_value,
        "received": moment(event.received),
    }


def _transfer(event: Transfer) -> Row:
    return {
        "account": event.account,
        "kind": event.kind,
        "transfer_id": event.transfer_id,
        "status": event.status,
        "origin": event.origin,
        "method": event.method,
        "amount": event.amount,
        "fee": event.fee,
        "created": moment(event.created),
        "finalized": _optional(event.finalized),
    }


def _snapshot(event: SnapshotStarted | SnapshotFinished) -> Row:
    is_finished = isinstance(event, SnapshotFinished)
    return {
        "account": event.account,
        "snapshot_id": event.snapshot_id,
        "bound": "finished" if is_finished else "started",
        "time": moment(event.time),
        "tickers": sorted(event.tickers) if isinstance(event, SnapshotFinished) else None,
        "origin": event.origin,
    }


_READERS: Mapping[type[Event], tuple[str, Callable[[Any], Row]]] = {
    OpenTrade: ("commands", _open),
    CloseTrade: ("commands", _close),
    CancelTrade: ("commands", _cancel),
    MarkError: ("commands", _mark_error),
    OrderAccepted: ("trade_events", partial(_outcome, "order_accepted")),
    OrderRejected: ("trade_events", partial(_outcome, "order_rejected")),
    CloseFailed: ("trade_events", partial(_outcome, "close_failed")),
    TradeExpired: ("trade_events", partial(_outcome, "expired")),
    Fill: ("fills", _fill),
    Order: ("orders", _order),
    Position: ("position_facts", _position),
    Settlement: ("settlements", _settlement),
    Balance: ("balances", _balance),
    Transfer: ("transfers", _transfer),
    SnapshotStarted: ("snapshots", _snapshot),
    SnapshotFinished: ("snapshots", _snapshot),
}
