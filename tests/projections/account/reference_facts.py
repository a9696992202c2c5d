"""The facts of the reference: which content of a key holds, and which ones lost.

Quotations are from docs/trades.md.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

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
from streams.events.types import micros_of, moment

#: A row by column names.
Row = dict[str, Any]

#: "A fact has a natural key and an origin."
KEYS: dict[str, tuple[str, ...]] = {
    "commands": ("account", "command_id"),
    "trade_events": ("event_id",),
    "fills": ("account", "trade_id"),
    "orders": ("account", "order_id"),
    "position_facts": ("account", "ticker"),
    "settlements": ("account", "ticker", "settled_time"),
    "balances": ("account", "time", "balance"),
    "transfers": ("account", "kind", "transfer_id", "status"),
}

#: "Fills are compared on market, side, price, count and the second."
FILL_COMPARED = ("ticker", "side", "yes_price", "count", "time")
#: "What one channel lacks (order, client order id, fee, taker, position after)."
FILL_LACKED = ("order_id", "client_order_id", "fee", "is_taker", "post_position")

COMMAND_KINDS: dict[type[Event], str] = {
    OpenTrade: "open",
    CloseTrade: "close",
    CancelTrade: "cancel",
    MarkError: "mark_error",
}
OUTCOME_KINDS: dict[type[Event], str] = {
    OrderAccepted: "order_accepted",
    OrderRejected: "order_rejected",
    CloseFailed: "close_failed",
    TradeExpired: "expired",
}


def in_json(value: object) -> object:
    """A value as the content has it: "decimals without trailing zeros"."""
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return micros_of(value) if isinstance(value, datetime) else value


def sha(values: Iterable[object]) -> str:
    """Page: "`content` is the SHA-256 of what is compared, as a JSON array"."""
    array = json.dumps([in_json(one) for one in values], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(array.encode()).hexdigest()


def content(table: str, row: Row) -> str:
    """The content of a fact: all its columns but the key and the origin, in their order.

    "The client order id [of an order] never changes and is no content."
    """
    if table == "fills":
        return sha({**row, "time": row["time"].replace(microsecond=0)}[c] for c in FILL_COMPARED)
    apart = {*KEYS[table], "origin"} | (ORDER_FILLED if table == "orders" else set())
    return sha(value for column, value in row.items() if column not in apart)


#: Rule: these never change "and are no content: they are filled from any state".
ORDER_FILLED = {"client_order_id", "kind", "created", "expires"}
#: The tables whose columns are the fields of one event.
PLAIN: dict[type[Event], str] = {
    Fill: "fills",
    Order: "orders",
    Position: "position_facts",
    Settlement: "settlements",
    Balance: "balances",
    Transfer: "transfers",
}
#: Their columns, in their order.
COLUMNS = {
    "fills": """account trade_id ticker order_id client_order_id side yes_price count fee is_taker
        post_position time origin""",
    "orders": """account order_id ticker client_order_id side status kind yes_price initial_count
        fill_count remaining_count fill_cost fees created updated expires reason origin""",
    "position_facts": "account ticker position cost realized_pnl fees time origin",
    "settlements": """account ticker time result value yes_count no_count yes_cost no_cost revenue
        fee origin""",
    "balances": "account time balance exact portfolio_value received origin",
    "transfers": """account kind transfer_id status method amount fee created finalized origin""",
}
TIMES = {"time", "created", "updated", "expires", "finalized", "received"}


def row_of(event: Event) -> tuple[str, Row] | None:
    """The table and the row of one event, columns in the order of the table. None for others."""
    if isinstance(event, TradeCommand):
        return "commands", command_row(event)
    if isinstance(event, TradeEvent):
        return "trade_events", outcome_row(event)
    if type(event) not in PLAIN:
        return None
    table = PLAIN[type(event)]
    row = plain_row(event, COLUMNS[table])
    if table == "settlements":
        row = {("settled_time" if name == "time" else name): value for name, value in row.items()}
    return table, row


def plain_row(event: Event, columns: str) -> Row:
    """The fields of these names; times as times."""
    return {
        name: moment(value) if name in TIMES and value is not None else value
        for name, value in ((name, getattr(event, name)) for name in columns.split())
    }


def command_row(event: TradeCommand) -> Row:
    def own(name: str) -> Any:
        return getattr(event, name, None)

    return {
        "command_id": event.command_id,
        "kind": COMMAND_KINDS[type(event)],
        "ticket_id": event.ticket_id,
        "account": event.account,
        "ticker": event.ticker,
        "time": moment(event.time),
        "side": own("side"),
        "count": own("count"),
        "price": own("price"),
        "symbol": own("symbol"),
        "market": own("market"),
        "trade_strategy": own("strategy"),
        "contract": own("contract"),
        "strike": own("strike"),
        "prob": own("prob"),
        "method": own("entry_method") or own("close_method"),
        "reason": own("reason"),
        "client_order_id": client_order_id(event.ticket_id, event.command_id),
        "origin": event.origin,
    }


def outcome_row(event: TradeEvent) -> Row:
    return {
        "event_id": event.event_id(),
        "kind": OUTCOME_KINDS[type(event)],
        "ticket_id": event.ticket_id,
        "account": event.account,
        "ticker": event.ticker,
        "time": moment(event.time),
        "command_id": getattr(event, "command_id", None),
        "order_id": getattr(event, "order_id", None),
        "reason": getattr(event, "reason", None),
        "origin": event.origin,
    }


# What holds among the rows of one key and origin


def one_of_commands_or_outcomes(table: str, rows: list[Row]) -> Row:
    """Rule: "the smaller of (time, content)"."""
    return min(rows, key=lambda row: (row["time"], content(table, row)))


def one_of_fills(rows: list[Row]) -> Row:
    """Rule: "the smaller of (time to the second, content)"; what it lacks is "filled from the
    other: the least, should they differ. The time is the latest given".
    """
    first = min(rows, key=lambda row: (row["time"].replace(microsecond=0), content("fills", row)))
    same = [row for row in rows if content("fills", row) == content("fills", first)]
    lacked = {name: least(row[name] for row in same) for name in FILL_LACKED}
    return {**first, **lacked, "time": max(row["time"] for row in same)}


def least(values: Iterable[Any]) -> Any:
    """The least that is not null."""
    return min((value for value in values if value is not None), default=None)


def one_of_smallest_content(table: str, rows: list[Row]) -> Row:
    """Of settlements and transfers, "the smaller content"."""
    return min(rows, key=lambda row: content(table, row))


def one_of_orders(rows: list[Row]) -> Row:
    """Rule: "the newest state: most filled, then final before resting, then last updated [to
    the millisecond], then by content". What never changes "is filled from any state: the least
    client order id and kind, the latest creation and expiry"."""
    newest: Row = max(rows, key=age_of_state)
    filled: Row = {name: least(row[name] for row in rows) for name in ("client_order_id", "kind")}
    for name in ("created", "expires"):
        filled[name] = max((row[name] for row in rows if row[name] is not None), default=None)
    return {**newest, **filled}


def age_of_state(row: Row) -> tuple[Decimal, bool, int, str]:
    final = row["status"] in {"canceled", "executed"}
    milliseconds = micros_of(row["updated"]) // 1000 if row["updated"] else 0
    return row["fill_count"], final, milliseconds, content("orders", row)


def one_of_positions(rows: list[Row]) -> Row:
    """Rule: "the newest by the venue's own time, then by content"."""
    return max(rows, key=lambda row: (row["time"], content("position_facts", row)))


def one_of_balances(rows: list[Row]) -> Row:
    """Rule: "every observation"; one that came twice is exact if either is."""
    values = [row["portfolio_value"] for row in rows if row["portfolio_value"] is not None]
    return {
        **rows[0],
        "exact": any(row["exact"] for row in rows),
        "portfolio_value": min(values, default=None),
        "received": max(row["received"] for row in rows),
    }


def one_of(table: str, rows: list[Row]) -> Row:
    """The row that holds among those of one key and origin."""
    if table in {"commands", "trade_events"}:
        return one_of_commands_or_outcomes(table, rows)
    if table in {"settlements", "transfers"}:
        return one_of_smallest_content(table, rows)
    if table == "fills":
        return one_of_fills(rows)
    if table == "orders":
        return one_of_orders(rows)
    if table == "position_facts":
        return one_of_positions(rows)
    return one_of_balances(rows)


#: Where another content is a conflict: not where states follow each other, or all are kept.
CONTESTED = {"commands", "trade_events", "fills", "settlements", "transfers"}


def lost(table: str, key: tuple[Any, ...], rows: list[Row]) -> list[Row]:
    """Rule: "The other contents of a key"."""
    held = content(table, one_of(table, rows))
    others = {content(table, row) for row in rows} - {held}
    return [{"fact": table, "key": key, "content": other} for other in sorted(others)]


def key_of(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in KEYS[table])


def facts(events: Iterable[Event]) -> tuple[dict[str, list[Row]], list[Row]]:
    """The rows of all fact tables, and the contents that lost."""
    came: dict[tuple[str, tuple[Any, ...]], list[Row]] = defaultdict(list)
    events = list(events)
    for table, row in filter(None, map(row_of, events)):
        came[table, (*key_of(table, row), row["origin"])].append(row)
    tables: dict[str, list[Row]] = {table: [] for table in KEYS}
    conflicts = []
    for (table, key), rows in came.items():
        # The same event twice, or one that differs in nothing that is kept, in any order.
        rows.sort(key=repr)
        tables[table].append(one_of(table, rows))
        conflicts += lost(table, key, rows) if table in CONTESTED else []
    tables["snapshots"], lost_bounds = snapshots(events)
    return tables, [*conflicts, *lost_bounds]


Bound = SnapshotStarted | SnapshotFinished


def snapshots(events: Iterable[Event]) -> tuple[list[Row], list[Row]]:
    """Rule: "started and finished; the smaller of (time, content)"."""
    bounds: dict[tuple[str, str, str, str], list[Bound]] = defaultdict(list)
    for event in events:
        if isinstance(event, Bound):
            bound = "started" if isinstance(event, SnapshotStarted) else "finished"
            bounds[event.account, event.snapshot_id, bound, event.origin].append(event)
    rows = []
    conflicts = []
    for key, came in bounds.items():
        first = min(came, key=bound_order)
        tickers = sorted(first.tickers) if isinstance(first, SnapshotFinished) else None
        named = dict(zip(("account", "snapshot_id", "bound", "origin"), key, strict=True))
        rows.append({**named, "time": moment(first.time), "tickers": tickers})
        conflicts += [
            {"fact": "snapshots", "key": key, "content": content}
            for _, content in sorted(set(map(bound_order, came)))[1:]
        ]
    return rows, conflicts


def bound_order(event: Bound) -> tuple[int, str]:
    """Rule: "null for what is not there", such as the tickers of a start."""
    tickers = sorted(event.tickers) if isinstance(event, SnapshotFinished) else None
    return event.time, sha([moment(event.time), tickers])


def native_first(table: str, rows: Iterable[Row]) -> list[Row]:
    """Rule: "Where both origins have a key, what follows takes the native row alone"."""
    taken: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row["origin"] == "native"):
        taken[key_of(table, row)] = row
    return list(taken.values())
