"""The derived tables of the account, and what of them is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from projections.account.reading import OF_MARKETS


class DerivedTable:
    """A derived table: its key, its columns, its statements.

    `key_of` and `values_of` take a row as a dict, `key_in` one in the order of `columns`.
    """

    def __init__(self, name: str, key: Sequence[str], columns: Sequence[str]) -> None:
        self.name = name
        self.columns = columns
        self.key_of = itemgetter(*key)
        self.key_in = itemgetter(*(columns.index(column) for column in key))
        self.values_of = itemgetter(*columns)
        listed = ", ".join(columns)
        rest = [column for column in columns if column not in key]
        rows = f"json_populate_recordset(null::{name}, %s::json)"
        same = " and ".join(f"t.{column} = k.{column}" for column in key)
        self.read = (
            f"select {', '.join(f't.{column}' for column in columns)} from {OF_MARKETS} "
            f"join {name} as t on t.account = m.account and t.ticker = m.ticker"
        )
        self.upsert = (
            f"insert into {name} ({listed}) select {listed} from {rows} "
            f"on conflict ({', '.join(key)}) do update set ({', '.join(rest)}) = "
            f"row({', '.join(f'excluded.{column}' for column in rest)})"
        )
        self.delete = f"delete from {name} as t using {rows} as k where {same}"


class Held:
    """The rows of a derived table that are there, as far as no fact has led to them again."""

    def __init__(self, table: DerivedTable, rows: Iterable[tuple[Any, ...]]) -> None:
        self.table = table
        self._rows = {table.key_in(row): row for row in rows}
        self._wanted: set[Any] = set()

    def changed(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of these rows that are not there already, as they are."""
        table, held = self.table, self._rows
        result = []
        for row in rows:
            key = table.key_of(row)
            self._wanted.add(key)
            if key not in held or held[key] != table.values_of(row):
                result.append(row)
        return result

    def gone(self) -> list[dict[str, Any]]:
        """The rows that nothing has led to."""
        lost = (row for key, row in self._rows.items() if key not in self._wanted)
        return [dict(zip(self.table.columns, row, strict=True)) for row in lost]


DERIVED = (
    DerivedTable(
        "trades",
        ("ticket_id",),
        (
            *("ticket_id", "id", "account", "ticker", "status", "asked_at", "opened_at"),
            *("closed_at", "symbol", "market", "trade_strategy", "contract", "strike", "side"),
            *("prob", "diff", "requested", "position", "held", "canceled", "buy_price"),
            *("sell_price", "fees", "fee_estimated", "pnl", "win_loss", "entry_method"),
            *("close_method", "origin"),
        ),
    ),
    DerivedTable(
        "trade_closes",
        ("account", "command_id"),
        ("account", "command_id", "ticker", "ticket_id"),
    ),
    DerivedTable(
        "trade_fills",
        ("account", "trade_id", "part"),
        (
            *("account", "trade_id", "part", "ticker", "ticket_id", "role", "time", "side"),
            *("count", "price", "fee", "fee_source", "reason"),
        ),
    ),
    DerivedTable(
        "positions",
        ("account", "ticker"),
        (
            *("account", "ticker", "position", "cost", "realized_pnl", "fees_paid", "volume"),
            *("settled_at", "payout", "updated_at"),
        ),
    ),
    DerivedTable(
        "cash_flows",
        ("account", "ticker", "kind", "ref", "part"),
        ("account", "ticker", "kind", "ref", "part", "time", "amount"),
    ),
)
