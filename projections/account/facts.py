"""The tables of facts, and how rows of one key settle when they differ.

Every rule here is a choice of the least or the greatest, so that any order and any repetition of
the same events comes to the same row. See docs/trades.md, "Facts".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import Any

from projections.account.values import content

Row = dict[str, Any]
Key = tuple[Any, ...]

#: Where a row came from; outside every comparison.
AUDIT = ("topic", "partition", "offset")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FactTable:
    """A table of facts: its key, which ends with the origin, the columns that are compared, and
    how columns are filled that not every channel gives. `rank` orders rows of one key.

    With `is_latest` the greatest rank wins and the others are forgotten; else the least wins and
    the others are conflicts.
    """

    name: str
    key: tuple[str, ...]
    compared: tuple[str, ...]
    rank: Callable[[FactTable, Row], Key]
    joined: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    is_latest: bool = False
    #: Compared too, to the second only: the coarsest channel gives no more.
    time_to_second: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns but the audit's."""
        return (*self.key, *self.compared, *self.joined)

    @property
    def natural_key(self) -> tuple[str, ...]:
        """The key without the origin."""
        return self.key[:-1]

    @cached_property
    def key_of(self) -> Callable[[Row], Key]:
        """Gives a row's natural key and origin."""
        return itemgetter(*self.key)

    def core(self, row: Row) -> Key:
        """What is compared."""
        values = [_hashable(row[name]) for name in self.compared]
        if self.time_to_second:
            values.append(row[self.time_to_second].replace(microsecond=0))
        return tuple(values)

    def content(self, row: Row) -> str:
        """The hash of what is compared."""
        return content(self.core(row))

    def wins(self, row: Row, other: Row) -> bool:
        """Whether a row with another core wins over the one held."""
        mine, theirs = self.rank(self, row), self.rank(self, other)
        return mine > theirs if self.is_latest else mine < theirs

    def join(self, row: Row, other: Row) -> Row:
        """`row` with what it lacks filled from `other`."""
        filled = {name: choose(row[name], other[name]) for name, choose in self.joined.items()}
        return {**row, **filled}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def least(one: Any, other: Any) -> Any:
    """The smaller, where both are given."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def latest(one: Any, other: Any) -> Any:
    """The greater, where both are given."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _by_time(table: FactTable, row: Row) -> Key:
    return row["time"], table.content(row)


def _by_second(table: FactTable, row: Row) -> Key:
    return row["time"].replace(microsecond=0), table.content(row)


def _by_content(table: FactTable, row: Row) -> Key:
    return (table.content(row),)


def _by_progress(table: FactTable, row: Row) -> Key:
    """Orders: most filled, final before resting, last updated to the millisecond, content."""
    updated = row["updated"] or _NEVER
    return (
        row["fill_count"],
        row["status"] in {"canceled", "executed"},
        updated.replace(microsecond=updated.microsecond // 1000 * 1000),
        table.content(row),
    )


_TABLES = (
    FactTable(
        name="commands",
        key=("account", "command_id", "origin"),
        compared=(
            *("kind", "ticket_id", "ticker", "time", "side", "count", "price", "symbol", "market"),
            *("trade_strategy", "contract", "strike", "prob", "method", "reason"),
            "client_order_id",
        ),
        rank=_by_time,
    ),
    FactTable(
        name="trade_events",
        key=("event_id", "origin"),
        compared=(
            *("kind", "ticket_id", "account", "ticker", "time", "command_id", "order_id"),
            "reason",
        ),
        rank=_by_time,
    ),
    FactTable(
        name="fills",
        key=("account", "trade_id", "origin"),
        compared=("ticker", "side", "yes_price", "count"),
        time_to_second="time",
        joined={
            "order_id": least,
            "client_order_id": least,
            "fee": least,
            "is_taker": least,
            "post_position": least,
            "time": latest,
        },
        rank=_by_second,
    ),
    FactTable(
        name="orders",
        key=("account", "order_id", "origin"),
        compared=(
            *("ticker", "side", "status", "yes_price", "initial_count", "fill_count"),
            *("remaining_count", "fill_cost", "fees", "updated", "reason"),
        ),
        joined={
            "client_order_id": least,
            "kind": least,
            "created": latest,
            "expires": latest,
        },
        rank=_by_progress,
        is_latest=True,
    ),
    FactTable(
        name="position_facts",
        key=("account", "ticker", "origin"),
        compared=("position", "cost", "realized_pnl", "fees", "time"),
        rank=_by_time,
        is_latest=True,
    ),
    FactTable(
        name="settlements",
        key=("account", "ticker", "settled_time", "origin"),
        compared=(
            "result",
            "value",
            "yes_count",
            "no_count",
            "yes_cost",
            "no_cost",
            "revenue",
            "fee",
        ),
        rank=_by_content,
    ),
    FactTable(
        name="balances",
        key=("account", "time", "balance", "origin"),
        compared=(),
        joined={"exact": latest, "portfolio_value": least, "received": latest},
        rank=_by_content,
    ),
    FactTable(
        name="transfers",
        key=("account", "kind", "transfer_id", "status", "origin"),
        compared=("method", "amount", "fee", "created", "finalized"),
        rank=_by_content,
    ),
    FactTable(
        name="snapshots",
        key=("account", "snapshot_id", "bound", "origin"),
        compared=("time", "tickers"),
        rank=_by_time,
    ),
)

#: Every table of facts, by name.
TABLES: Mapping[str, FactTable] = {table.name: table for table in _TABLES}

#: Trades, positions and cash follow from these.
TRADING = frozenset({"commands", "trade_events", "orders", "fills", "settlements"})
