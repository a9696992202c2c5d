"""Reckoning the touched markets anew: facts in, and what changed of the derived rows out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from projections.account.facts import TRADING
from projections.account.market import Market, MarketFacts
from projections.account.reading import arguments, ask, facts_of
from projections.account.reckoning import Derived, reckon
from projections.account.store import as_json
from projections.account.tables import DERIVED, Held
from projections.base import Connection

#: So many markets are reckoned before their rows are sent to the server.
_MARKETS_AT_ONCE = 100

_OTHER_MARKETS = """
select distinct account, ticker from commands where kind = 'open' and ticket_id = any(%s)
"""

_OPENED_IN = """
select distinct ticket_id from commands where kind = 'open' and ticker = any(%s)
"""
#: See projections.base.Projection.related_keys.
RELATED_TICKERS = """
select distinct o.ticker
from commands as c
join commands as o using (ticket_id)
where c.ticker = any(%(keys)s) and c.kind = 'open' and o.kind = 'open'
"""

_ALL_MARKETS = " union ".join(f"select account, ticker from {name}" for name in sorted(TRADING))
#: Of so many markets the facts are held at once, when all are reckoned.
_MARKETS_READ = 1_000


async def other_markets(connection: Connection, tickets: Sequence[str]) -> set[Market]:
    """Every market that has an open command of one of these tickets."""
    cursor = await connection.execute(_OTHER_MARKETS, [tickets])
    return {Market(*row) for row in await cursor.fetchall()}


async def opened_in(connection: Connection, tickers: Sequence[str]) -> list[str]:
    """The tickets that the commands of these markets open."""
    cursor = await connection.execute(_OPENED_IN, [tickers])
    return sorted(ticket for (ticket,) in await cursor.fetchall())


async def all_markets(connection: Connection) -> AsyncIterator[list[Market]]:
    """Every market that has facts from which something follows, some at a time."""
    cursor = await connection.execute(_ALL_MARKETS)
    while rows := await cursor.fetchmany(_MARKETS_READ):
        yield [Market(*row) for row in rows]


async def derive(connection: Connection, markets: Iterable[Market]) -> None:
    """Bring the derived rows of these markets, whose locks are held, to what their facts say.

    In a pipeline the server writes the rows of some markets while the next are reckoned.
    """
    touched = sorted(markets)
    of_markets = arguments(touched)
    answers = await ask(connection, of_markets)
    cursors = [(table, await connection.execute(table.read, of_markets)) for table in DERIVED]
    facts = await facts_of(connection, touched, answers)
    held = [Held(table, await cursor.fetchall()) for table, cursor in cursors]
    for first in range(0, len(facts), _MARKETS_AT_ONCE):
        await _write(connection, held, facts[first : first + _MARKETS_AT_ONCE])
    for one in held:
        if gone := one.gone():
            await connection.execute(one.table.delete, [as_json(gone)])


async def _write(
    connection: Connection, held: Iterable[Held], markets: Iterable[MarketFacts]
) -> None:
    rows: Derived = {table.name: [] for table in DERIVED}
    for market in markets:
        for name, derived in reckon(market).items():
            rows[name] += derived
    for one in held:
        if changed := one.changed(rows[one.table.name]):
            await connection.execute(one.table.upsert, [as_json(changed)])
