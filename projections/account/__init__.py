"""The projection `account`: fills, orders, settlements and cash, and the trades that they make.

Facts first; then, under the locks of the touched markets, all that follows from the facts of one
account in one market is reckoned anew and what changed is written. docs/trades.md has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from projections.account.derived import derive, other_markets
from projections.account.facts import TABLES, Row
from projections.account.market import Market
from projections.account.rows import fact_of
from projections.account.store import BY_INDEX, store
from projections.base import Connection, EventProjection, Recorded
from projections.locks import lock_keys

__all__ = ["Account"]

#: Trades, positions and cash follow from these.
_TRADING = frozenset({"commands", "trade_events", "orders", "fills", "settlements"})


class Account(EventProjection):
    """What an account did, what it holds, and what became of each trade."""

    name = "account"
    version = 1
    topics = ("kalshi.account", "trade.commands", "trade.events")
    tables = (
        *("trades", "fills", "orders", "settlements", "balances", "transfers"),
        *("commands", "trade_events", "position_facts", "snapshots", "fact_conflicts"),
        *("trade_closes", "trade_fills", "positions", "cash_flows"),
    )

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        rows: dict[str, list[Row]] = {}
        for recorded in facts:
            if (fact := fact_of(recorded)) is not None:
                rows.setdefault(fact[0].name, []).append(fact[1])
        if not rows:
            return
        await connection.execute(BY_INDEX)
        locked = _keys(rows)
        await lock_keys(connection, self.name, locked)
        touched: set[Market] = set()
        for name, arrived in rows.items():
            written = await store(connection, TABLES[name], arrived)
            if name in _TRADING:
                touched |= {Market(row["account"], row["ticker"]) for row in written}
        if tickets := _opened(rows):
            touched |= await other_markets(connection, tickets)
        if further := {market.ticker for market in touched} - locked:
            await lock_keys(connection, self.name, further)
        if touched:
            await derive(connection, touched)


def _keys(rows: Mapping[str, list[Row]]) -> set[str]:
    """The Kafka keys of these rows, and the tickets that they open, in whichever market."""
    keys = {row.get("ticker") or row["account"] for arrived in rows.values() for row in arrived}
    return {*keys, *_opened(rows)}


def _opened(rows: Mapping[str, list[Row]]) -> list[str]:
    return sorted({row["ticket_id"] for row in rows.get("commands", ()) if row["kind"] == "open"})
