"""What of a dead letter may be written behind later records of its market.

Trades and candlesticks are the same rows in any order. Quotes are folded in offset order: one that
nothing followed is in order, and one whose follower says all that it says, at no older time, is
superseded. Of a market's life each field has a time of its own. Anything else is out of place.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from psycopg.rows import dict_row

from projections.base import Connection, OutOfPlace
from projections.market.log import LogRow
from projections.market.markets import Life
from projections.market.quotes import FIELDS, TOTALS
from projections.market.reading import Facts
from streams.events import MarketDescribed, MarketDetermined, MarketSettled, MarketTicker
from streams.events.types import moment

_OF_BOOK = (
    "a message of an order book is of no use out of its place: the book was told to be invalid, "
    "and takes its next snapshot"
)
_UNLOGGED = "the day of its appending is no longer in market_log, which would say what followed it"
_FOLLOWED = "newer quotes of its market followed, which do not say all that it says"
_MOVES = "it moves a total, which counts in its place only, and newer quotes of its market followed"
_NEWS = "newer descriptions of its market followed"
_TIED = "what its market was told of the same time may have followed it"
_RESOLVED = "a newer status of its market followed, which may not stand behind a settlement"
_CONTRADICTED = "another result of its market was told"

# What was refused is not in the log.
_FOLLOWER = """
select time, event::json as event
from market_log
where venue = %(venue)s and ticker = %(ticker)s and partition = %(partition)s
    and appended >= %(appended)s and "offset" > %(offset)s and type like 'market.ticker.v%%'
order by "offset"
limit 1
"""
_LIFE = """
select status_at, result, result_at, updated_at
from markets
where venue = %s and ticker = %s
"""


async def in_place(connection: Connection, facts: Facts) -> Facts:
    """What is to be written of one record; raises OutOfPlace.

    Live units of the record's partition are held off.
    """
    if facts.book:
        raise OutOfPlace(_OF_BOOK)
    for life in facts.lives:
        await _check_life(connection, life)
    if not facts.quotes:
        return facts
    [quote] = facts.quotes
    if not facts.log:
        raise OutOfPlace(_UNLOGGED)
    [[row]] = facts.log.values()
    is_superseded = await _is_superseded(connection, quote, row)
    return dataclasses.replace(facts, quotes=[]) if is_superseded else facts


async def _is_superseded(connection: Connection, quote: MarketTicker, row: LogRow) -> bool:
    """Whether the quote must leave no trace, for the next one says all of it."""
    cursor = await connection.execute(_FOLLOWER, row._asdict())
    found = await cursor.fetchone()
    if found is None:
        return False
    time, event = found
    if any(_moves(quote, name) for name in TOTALS):
        raise OutOfPlace(_MOVES)
    told = [name for name in FIELDS if getattr(quote, name) is not None]
    if time < moment(quote.time) or any(event.get(name) is None for name in told):
        raise OutOfPlace(_FOLLOWED)
    return True


def _moves(quote: MarketTicker, name: str) -> bool:
    return getattr(quote, f"{name}_delta") is not None and getattr(quote, name) is None


async def _check_life(connection: Connection, life: Life) -> None:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_LIFE, [life.venue, life.ticker])
    known: dict[str, Any] | None = await cursor.fetchone()
    if known is None or known["updated_at"] is None:
        return
    time = moment(life.time)
    if isinstance(life, MarketDescribed):
        if time <= known["updated_at"]:
            raise OutOfPlace(_NEWS)
    elif time in {known["status_at"], known["result_at"]}:
        raise OutOfPlace(_TIED)
    elif isinstance(life, MarketSettled) and (known["status_at"] or time) > time:
        raise OutOfPlace(_RESOLVED)
    elif isinstance(life, MarketDetermined) and known["result"] not in {None, life.result}:
        raise OutOfPlace(_CONTRADICTED)
