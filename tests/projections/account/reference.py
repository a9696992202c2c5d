"""What the tables of `account` must hold, from the facts alone: plain, slow, in memory.

It is written from docs/trades.md and shares no code with `projections`: what the two agree on was
thought out twice. Every function quotes the rule that it implements; numbers are exact fractions
until they become a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streams.events import Event
from tests.projections.account.reference_cash import cash_flows, positions
from tests.projections.account.reference_facts import Row, facts, in_json, native_first
from tests.projections.account.reference_links import Market, first_of_ticket, trades_of_all
from tests.projections.account.reference_trades import Reckoned

DERIVED = ("trades", "trade_closes", "trade_fills", "positions", "cash_flows")


def reference(events: Iterable[Event]) -> dict[str, list[Row]]:
    """The rows of every table, and `conflicts`, in any order.

    Rows are without topic, partition and offset. A conflict is the name of the fact, its key (a
    tuple, with the origin at its end) and the content that lost; for a ticket that was opened
    again the fact is `tickets`, the key the ticket, the content the command id.
    """
    tables, conflicts = facts(events)
    taken = {
        table: native_first(table, tables[table])
        for table in ("commands", "trade_events", "fills", "orders", "settlements")
    }
    made = trades_of_all(taken["commands"])
    for name in DERIVED:
        tables[name] = []
    for market in markets(taken, made):
        reckoned = Reckoned(market)
        tables["trades"] += reckoned.trades()
        tables["trade_closes"] += reckoned.trade_closes()
        tables["trade_fills"] += reckoned.trade_fills()
        tables["positions"] += positions(market)
        tables["cash_flows"] += cash_flows(market)
    return {**tables, "conflicts": conflicts + opened_again(taken["commands"], made)}


def opened_again(commands: Iterable[Row], made: dict[str, Row]) -> list[Row]:
    """Rule: "Other opens with the same ticket are rows in `account_conflicts`"."""
    return [
        {"fact": "tickets", "key": (command["ticket_id"],), "content": command["command_id"]}
        for command in sorted(commands, key=first_of_ticket)
        if command["kind"] == "open" and command is not made[command["ticket_id"]]
    ]


def markets(taken: dict[str, list[Row]], made: dict[str, Row]) -> list[Market]:
    """The facts dealt out: "reckoned for one account and one market at a time"."""
    found: dict[tuple[str, str], Market] = {}

    def market(row: Row) -> Market:
        return found.setdefault(
            (row["account"], row["ticker"]), Market(row["account"], row["ticker"])
        )

    for command in taken["commands"]:
        market(command).commands.append(command)
    for report in taken["trade_events"]:
        market(report).reports.append(report)
    for order in taken["orders"]:
        market(order).orders[order["order_id"]] = order
    for fill in sorted(taken["fills"], key=lambda fill: (fill["time"], fill["trade_id"])):
        market(fill).fills.append(fill)
    for settlement in taken["settlements"]:
        market(settlement).settlements.append(settlement)
    for ticket, command in made.items():
        market(command).trades[ticket] = command
    return list(found.values())


def canonical(tables: Mapping[str, Iterable[Row]]) -> dict[str, list[tuple[Any, ...]]]:
    """Tables in a form that compares whatever the order of rows and the zeros of decimals."""
    return {
        name: sorted((tuple(sorted(map(_cell, row.items()))) for row in rows), key=repr)
        for name, rows in tables.items()
    }


def _cell(item: tuple[str, Any]) -> tuple[str, Any]:
    column, value = item
    return column, repr(in_json(value))
