"""The projection `account`: fills, orders, settlements and cash, and the trades that they make.

Under the locks of the markets: facts first; then all that follows from the facts of one account in
one market is reckoned anew, and what changed is written. docs/trades.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from projections.account.derived import (
    RELATED_TICKERS,
    all_markets,
    derive,
    opened_in,
    other_markets,
)
from projections.account.facts import TABLES, TRADING, Row
from projections.account.market import Market
from projections.account.rows import Rows, rows_of
from projections.account.store import Arrived, find, store
from projections.base import Batch, Connection, Decoded, Projection, read_events
from projections.database import BY_INDEX, pipelined
from projections.locks import lock_keys

__all__ = ["Account"]


class Account(Projection[Rows]):
    """What an account did, what it holds, and what became of each trade."""

    name = "account"
    version = 1
    topics = ("kalshi.account", "trade.commands", "trade.events")
    tables = (
        *("trades", "fills", "orders", "settlements", "balances", "transfers"),
        *("commands", "trade_events", "position_facts", "snapshots", "fact_conflicts"),
        *("trade_closes", "trade_fills", "positions", "cash_flows"),
    )
    kafka_keys: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(tables, "ticker"),
        **dict.fromkeys(("balances", "transfers", "snapshots"), "account"),
        "fact_conflicts": "coalesce(body ->> 'ticker', body ->> 'account')",
    }

    related_keys = RELATED_TICKERS

    def decode(self, batches: Sequence[Batch]) -> Decoded[Rows]:
        events = read_events(batches, Account.topics)
        return Decoded(rows_of(events.facts), events.refused)

    async def write(self, connection: Connection, facts: Rows) -> None:
        if not facts:
            return
        async with pipelined(connection):
            await connection.execute(BY_INDEX)
            await self._lock_facts(connection, facts)
            await self._write(connection, facts)

    async def load(self, connection: Connection, facts: Rows) -> None:
        """The facts alone. In a large transaction the plan of an empty table must not stay."""
        async with pipelined(connection):
            await connection.execute(BY_INDEX)
            await self._lock_facts(connection, facts)
            await lock_keys(connection, self.locks, _keys(facts))
            for arrived in await self._find(connection, facts):
                await store(connection, arrived)

    async def derive(self, connection: Connection) -> None:
        await connection.execute(BY_INDEX)
        async for markets in all_markets(connection):
            async with pipelined(connection):
                await derive(connection, markets)

    async def erase(self, connection: Connection, keys: Sequence[str]) -> int:
        """Where a ticket was opened in other markets too, these are reckoned without the erased."""
        tickets = await opened_in(connection, keys)
        deleted = await super().erase(connection, keys)
        if others := await other_markets(connection, tickets):
            await lock_keys(connection, self.locks, {*tickets, *(one.ticker for one in others)})
            await derive(connection, others)
        return deleted

    async def _write(self, connection: Connection, facts: Rows) -> None:
        locked = _keys(facts)
        await lock_keys(connection, self.locks, locked)
        touched: set[Market] = set()
        tickets: set[str] = set()
        for arrived in await self._find(connection, facts):
            written = await store(connection, arrived)
            if arrived.table.name in TRADING:
                touched |= {Market(row["account"], row["ticker"]) for row in written}
            if arrived.table.name == "commands":
                tickets = _opened(written)  # those too that a command no longer opens
        if further := tickets - locked:
            await lock_keys(connection, self.locks, further)
        if tickets:
            touched |= await other_markets(connection, sorted(tickets))
        if further := {market.ticker for market in touched} - locked - tickets:
            await lock_keys(connection, self.locks, further)
        if touched:
            await derive(connection, touched)

    async def _find(self, connection: Connection, facts: Rows) -> list[Arrived]:
        return [await find(connection, TABLES[name], facts[name]) for name in facts]

    async def _lock_facts(self, connection: Connection, rows: Rows) -> None:
        """A legacy row and the native one of its key may be of different markets.

        Neither unit would see the other's row; so a legacy one keeps all others of its key out.
        """
        native: set[str] = set()
        legacy: set[str] = set()
        for name in TRADING & rows.keys():
            for row in rows[name]:
                *key, origin = TABLES[name].key_of(row)
                (legacy if origin == "legacy" else native).add(f"{name}{key}")
        if legacy:
            await lock_keys(connection, f"{self.locks} facts", legacy)
        if native:
            await lock_keys(connection, f"{self.locks} facts", native, shared=True)


def _keys(rows: Rows) -> set[str]:
    """The Kafka keys of these rows, and the tickets that they open, in whichever market."""
    keys = {row.get("ticker") or row["account"] for arrived in rows.values() for row in arrived}
    return {*keys, *_opened(rows.get("commands", ()))}


def _opened(commands: Iterable[Row]) -> set[str]:
    return {row["ticket_id"] for row in commands if row["kind"] == "open"}
