"""Reading all facts of some markets, and which tickets are trades in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from psycopg import AsyncCursor

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
from projections.base import Connection

#: What is of some markets; `arguments` makes its parameters.
OF_MARKETS = "unnest(%s::text[], %s::text[]) as m (account, ticker)"


def _standing(table: FactTable) -> str:
    """Where both origins have a key, the native row alone, wherever it is.

    `offset 0` keeps the planner from reading the keys of all native rows at once.
    """
    same = " and ".join(f"n.{name} = t.{name}" for name in table.natural_key)
    return (
        f"(t.origin = 'native' or not exists (select from {table.name} as n "
        f"where {same} and n.origin = 'native' offset 0))"
    )


_OPENS = f"""
select t.ticket_id, t.account, t.ticker, t.command_id
from commands as t
where t.kind = 'open' and t.ticket_id = any(%s) and {_standing(TABLES["commands"])}
order by t.ticket_id, t.origin = 'legacy', t.time, t.command_id collate "C", t.account collate "C"
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
        """The statement for some markets."""
        columns = ", ".join(f"t.{column}" for column in self.columns)
        return (
            f"select m.account, m.ticker, {columns} from {OF_MARKETS} "
            f"join {self.table.name} as t on t.account = m.account and t.ticker = m.ticker "
            f"where {_standing(self.table)}"
        )


Answer = tuple[_Facts, AsyncCursor[Any]]


def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


_FACTS = (
    _Facts(TABLES["commands"], Command, _fields(Command), "command_id"),
    _Facts(TABLES["trade_events"], Outcome, _fields(Outcome), "event_id"),
    _Facts(TABLES["orders"], OrderState, _fields(OrderState), "order_id"),
    _Facts(TABLES["fills"], Fill, _fields(Fill), "trade_id"),
    _Facts(TABLES["settlements"], Settlement, _fields(Settlement), "settled_time"),
)


async def ask(connection: Connection, arguments: Sequence[str]) -> list[Answer]:
    """Ask for all facts of some markets; `facts_of` takes the answers."""
    return [(source, await connection.execute(source.read, arguments)) for source in _FACTS]


async def facts_of(
    connection: Connection, markets: Iterable[Market], answers: Iterable[Answer]
) -> list[MarketFacts]:
    """The facts of each market, in the order given."""
    facts = {market: MarketFacts(market) for market in markets}
    for source, cursor in answers:
        found: dict[Market, dict[Any, Any]] = {}
        kind, name_of = source.kind, attrgetter(source.name)
        for row in await cursor.fetchall():
            fact = kind(*row[2:])
            found.setdefault(Market._make(row[:2]), {})[name_of(fact)] = fact
        for market, named in found.items():
            _put(facts[market], source.table.name, named)
    await _find_tickets(connection, facts)
    return list(facts.values())


async def _find_tickets(connection: Connection, facts: Mapping[Market, MarketFacts]) -> None:
    """Where each ticket is a trade: in the market of the first command that opens it."""
    opened = {
        one.ticket_id for market in facts.values() for one in market.commands if one.kind == "open"
    }
    if not opened:
        return
    cursor = await connection.execute(_OPENS, [sorted(opened)])
    decided = set()
    for ticket, account, ticker, command_id in await cursor.fetchall():
        market = facts.get(Market(account, ticker))
        if ticket not in decided and market is not None:
            opens = (one for one in market.commands if one.command_id == command_id)
            market.tickets[ticket] = next(opens)
        decided.add(ticket)


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


def arguments(markets: Iterable[Market]) -> list[str]:
    """The array literals of OF_MARKETS, made once for ten statements.

    No account and no ticker holds a quote or a backslash (`streams.events.types`).
    """
    pairs = list(markets)
    accounts = ",".join(f'"{market.account}"' for market in pairs)
    tickers = ",".join(f'"{market.ticker}"' for market in pairs)
    return [f"{{{accounts}}}", f"{{{tickers}}}"]
