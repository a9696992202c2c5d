"""Single facts for the tests of the reference, with everything that an example leaves open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from streams.events import CloseTrade, Event, Fill, OpenTrade, Order, Settlement
from streams.events.trade_commands import client_order_id
from tests.projections.account.reference import reference

MARKET = {"account": "kalshi/prod/main/0", "ticker": "KXBTCD-25AUG0619-T114749.99"}
START = 1_754_518_200_000_000
SECOND = 1_000_000
NATIVE = {**MARKET, "origin": "native"}
FROM_VENUE = {**NATIVE, "received": START, "raw": None}

#: An open and a close command of one ticket, and the client order ids of their orders.
OPENS = client_order_id("T", "open")
CLOSES = client_order_id("T", "close")


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def asked(**fields: Any) -> OpenTrade:
    values: dict[str, Any] = {
        **NATIVE,
        "command_id": "open",
        "ticket_id": "T",
        "time": START,
        "side": "no",
        "price": None,
        **dict.fromkeys(["symbol", "market", "strategy", "contract", "strike", "prob"]),
        "entry_method": "auto",
        "count": Decimal(20),
    }
    return OpenTrade(**{**values, **fields})


def close(**fields: Any) -> CloseTrade:
    values: dict[str, Any] = {
        **NATIVE,
        "command_id": "close",
        "ticket_id": "T",
        "time": at(100),
        "side": "yes",
        "count": None,
        "price": None,
        "close_method": "manual",
    }
    return CloseTrade(**{**values, **fields})


def fill(trade_id: str, count: object, price: str, side: str = "no", /, **fields: Any) -> Fill:
    """So many contracts of a side at the price of that side, by the opening order."""
    own = Decimal(price)
    values: dict[str, Any] = {
        **FROM_VENUE,
        **dict.fromkeys(["order_id", "client_order_id", "fee", "is_taker", "post_position"]),
        "trade_id": trade_id,
        "side": side,
        "count": Decimal(str(count)),
        "time": at(1),
        "yes_price": own if side == "yes" else 1 - own,
    }
    if side == "no":
        values |= {"order_id": "O1", "client_order_id": OPENS}
    else:
        values |= {"order_id": "O2", "client_order_id": CLOSES, "time": at(101)}
    return Fill(**{**values, **fields})


def order(order_id: str, status: str, **fields: Any) -> Order:
    nothing = ["client_order_id", "kind", "yes_price", "fill_cost", "fees", "reason"]
    values: dict[str, Any] = {
        **FROM_VENUE,
        **dict.fromkeys([*nothing, "created", "updated", "expires"]),
        "order_id": order_id,
        "status": status,
        "side": "no",
        "remaining_count": Decimal(0),
        "initial_count": Decimal(20),
        "fill_count": Decimal(0),
    }
    if order_id == "O1":
        values["client_order_id"] = OPENS
    return Order(**{**values, **fields})


def settlement(result: str, **fields: Any) -> Settlement:
    values: dict[str, Any] = {
        **FROM_VENUE,
        "result": result,
        "yes_count": Decimal(0),
        "no_count": Decimal(0),
        **dict.fromkeys(["value", "yes_cost", "no_cost", "fee"]),
        "revenue": Decimal(0),
        "time": at(3600),
    }
    return Settlement(**{**values, **fields})


def report(kind: type[Event], **fields: Any) -> Event:
    return kind(**{**NATIVE, "ticket_id": "T", "time": at(102), **fields})


def trade(*events: Event, ticket: str = "T") -> dict[str, Any]:
    (row,) = (row for row in reference(events)["trades"] if row["ticket_id"] == ticket)
    return row


def limit(order_id: str, status: str, side: str, count: int, **fields: Any) -> Order:
    values: dict[str, Any] = {
        "client_order_id": None,
        "side": side,
        "yes_price": Decimal("0.40"),
        "initial_count": Decimal(count),
        "created": at(10),
    }
    return order(order_id, status, **{**values, **fields})


# Imported ones

LEGACY = {"origin": "legacy"}
UNLINKED: dict[str, Any] = {"order_id": None, "client_order_id": None}


def imported(ticket: str, seconds: float, count: int, **fields: Any) -> OpenTrade:
    return asked(
        **{**LEGACY, "ticket_id": ticket, "command_id": ticket, "time": at(seconds)},
        **{"count": Decimal(count), **fields},
    )


def stop(command: str, seconds: float, **fields: Any) -> CloseTrade:
    """A close of the old system, which has a ticket of its own."""
    return close(
        **{**LEGACY, "ticket_id": "auto", "command_id": command, "time": at(seconds)} | fields
    )


# What comes of them


def shares(*events: Event) -> list[tuple[Any, ...]]:
    """What each trade got of each fill."""
    rows = reference(events)["trade_fills"]
    rows.sort(key=lambda row: (row["trade_id"], row["part"]))
    return [(r["trade_id"], r["ticket_id"], r["role"] or r["reason"], r["count"]) for r in rows]


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


def flows(kind: str, *events: Event) -> list[tuple[str, int, Decimal]]:
    rows = [row for row in reference(events)["cash_flows"] if row["kind"] == kind]
    return sorted((row["ref"], row["part"], row["amount"]) for row in rows)
