"""Reckoning the touched markets anew: facts in, and what changed of the derived rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any

from projections.account.facts import TABLES, FactTable
from projections.account.market import (
    Command,
    Fill,
    Market,
    MarketFacts,
    OrderState,
    Outcome,
    Settlement,
)
from projections.account.reckoning import Derived, reckon
from projections.account.store import as_json
from projections.base import Connection

_MARKETS = "unnest(%s::text[], %s::text[]) as m (account, ticker)"

_OTHER_MARKETS = """
select distinct account, ticker from commands where kind = 'open' and ticket_id = any(%s)
"""

# Every open command of the tickets that these markets know of, in whichever market it is.
_OPENS = f"""
select o.ticket_id, o.account, o.ticker, o.command_id
from commands as o
where o.kind = 'open' and (
    o.origin = 'native' or not exists (
        select from commands as n
        where n.command_id = o.command_id and n.account = o.account and n.origin = 'native'
    )
) and o.ticket_id in (
    select c.ticket_id
    from {_MARKETS}
    join commands as c on c.account = m.account and c.ticker = m.ticker
    where c.kind = 'open'
)
order by o.ticket_id, o.origin = 'legacy', o.time, o.command_id collate "C", o.account collate "C"
"""


@dataclass(frozen=True)
class _Facts:
    """How the facts of a table are read: its columns make a `kind`, `name` tells them apart."""

    table: FactTable
    kind: Callable[..., Any]
    columns: Sequence[str]
    name: str

    @property
    def read(self) -> str:
        """Where both origins have a key, the native row alone, wherever it is."""
        table = self.table.name
        same = " and ".join(f"n.{name} = t.{name}" for name in self.table.natural_key)
        columns = ", ".join(f"t.{column}" for column in self.columns)
        return (
            f"select m.account, m.ticker, {columns} from {_MARKETS} "
            f"join {table} as t on t.account = m.account and t.ticker = m.ticker "
            "where t.origin = 'native' or not exists ("
            f"select from {table} as n where {same} and n.origin = 'native')"
        )


def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


_FACTS = (
    _Facts(TABLES["commands"], Command, _fields(Command), "command_id"),
    _Facts(TABLES["trade_events"], Outcome, _fields(Outcome), "event_id"),
    _Facts(TABLES["orders"], OrderState, _fields(OrderState), "order_id"),
    _Facts(TABLES["fills"], Fill, _fields(Fill), "trade_id"),
    _Facts(TABLES["settlements"], Settlement, _fields(Settlement), "settled_time"),
)


class DerivedTable:
    """A derived table: its key, its columns, its statements.

    `values_of` makes a row of a dict, in the order of `columns`; `key_of` is the key of such a row.
    """

    def __init__(self, name: str, key: Sequence[str], columns: Sequence[str]) -> None:
        self.name = name
        self.key = key
        self.columns = columns
        self.key_of = itemgetter(*(columns.index(column) for column in key))
        self.values_of = itemgetter(*columns)
        listed = ", ".join(columns)
        rest = [column for column in columns if column not in key]
        rows = f"json_populate_recordset(null::{name}, %s::json)"
        same = " and ".join(f"t.{column} = k.{column}" for column in key)
        self.read = (
            f"select {', '.join(f't.{column}' for column in columns)} from {_MARKETS} "
            f"join {name} as t on t.account = m.account and t.ticker = m.ticker"
        )
        self.upsert = (
            f"insert into {name} ({listed}) select {listed} from {rows} "
            f"on conflict ({', '.join(key)}) do update set ({', '.join(rest)}) = "
            f"row({', '.join(f'excluded.{column}' for column in rest)})"
        )
        self.delete = f"delete from {name} as t using {rows} as k where {same}"


async def other_markets(connection: Connection, tickets: Sequence[str]) -> set[Market]:
    """Every market that has an open command of one of these tickets."""
    cursor = await connection.execute(_OTHER_MARKETS, [tickets])
    return {Market(*row) for row in await cursor.fetchall()}


async def derive(connection: Connection, markets: Iterable[Market]) -> None:
    """Bring the derived rows of these markets, whose locks are held, to what their facts say."""
    touched = sorted(markets)
    arguments = _arguments(touched)
    facts = await _read_facts(connection, touched, arguments)
    rows: Derived = {table.name: [] for table in DERIVED}
    for market in facts.values():
        for name, derived in reckon(market).items():
            rows[name] += derived
    for table in DERIVED:
        cursor = await connection.execute(table.read, arguments)
        held = {table.key_of(row): row for row in await cursor.fetchall()}
        wanted = {table.key_of(row): row for row in map(table.values_of, rows[table.name])}
        changed = [row for key, row in wanted.items() if held.get(key) != row]
        gone = [key for key in held if key not in wanted]
        if gone:
            keys = [dict(zip(table.columns, held[key], strict=True)) for key in gone]
            await connection.execute(table.delete, [as_json(keys)])
        if changed:
            named = [dict(zip(table.columns, row, strict=True)) for row in changed]
            await connection.execute(table.upsert, [as_json(named)])


async def _read_facts(
    connection: Connection, markets: Sequence[Market], arguments: list[str]
) -> dict[Market, MarketFacts]:
    facts = {market: MarketFacts(market) for market in markets}
    for source in _FACTS:
        cursor = await connection.execute(source.read, arguments)
        found: dict[Market, dict[Any, Any]] = {}
        for account, ticker, *values in await cursor.fetchall():
            fact = source.kind(*values)
            found.setdefault(Market(account, ticker), {})[getattr(fact, source.name)] = fact
        for market, named in found.items():
            _put(facts[market], source.table.name, named)
    cursor = await connection.execute(_OPENS, arguments)
    decided = set()
    for ticket, account, ticker, command_id in await cursor.fetchall():
        market = Market(account, ticker)
        if ticket not in decided and market in facts:
            opens = (one for one in facts[market].commands if one.command_id == command_id)
            facts[market].tickets[ticket] = next(opens)
        decided.add(ticket)
    return facts


def _put(facts: MarketFacts, table: str, named: dict[Any, Any]) -> None:
    match table:
        case "commands":
            facts.commands = sorted(named.values(), key=lambda one: one.rank)
        case "trade_events":
            facts.outcomes = list(named.values())
        case "orders":
            facts.orders = named
        case "fills":
            facts.fills = sorted(named.values(), key=lambda one: one.rank)
        case "settlements":
            facts.settlements = list(named.values())


def _arguments(markets: Sequence[Market]) -> list[str]:
    """The array literals of _MARKETS, made once for ten statements.

    No account and no ticker holds a quote or a backslash (`streams.events.types`).
    """
    accounts = ",".join(f'"{market.account}"' for market in markets)
    tickers = ",".join(f'"{market.ticker}"' for market in markets)
    return [f"{{{accounts}}}", f"{{{tickers}}}"]


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
