"""Where the order books lie: one row a market, read, folded and written as a whole.

Measured against a row for each level, with 50 markets of 100 levels: see docs/markets.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncCursor

from projections.base import Connection
from projections.market.book import Book, MarketKey, Message, fold
from streams.events.types import micros_of, moment

_FIND = """
select b.venue, b.ticker, b.connection, b.opened, b.sid, b.seq, b.clock, b.time, b.received,
    b.invalid_since, b.reason, b.yes::text, b.no::text
from json_to_recordset(%s::json) as k (venue text, ticker text)
join market_book_state as b using (venue, ticker)
"""

_COLUMNS = (
    "venue, ticker, connection, opened, sid, seq, clock, time, received, invalid_since, reason,"
    " yes, no"
)
_WRITE = f"""
insert into market_book_state ({_COLUMNS})
select {_COLUMNS} from json_populate_recordset(null::market_book_state, %s::json)
on conflict (venue, ticker) do update
set connection = excluded.connection, opened = excluded.opened, sid = excluded.sid,
    seq = excluded.seq, clock = excluded.clock, time = excluded.time,
    received = excluded.received, invalid_since = excluded.invalid_since,
    reason = excluded.reason, yes = excluded.yes, no = excluded.no
"""


async def find(connection: Connection, messages: Sequence[Message]) -> AsyncCursor[Any] | None:
    """Ask for the books that these messages are of."""
    if not messages:
        return None
    keys = sorted({(message.venue, message.ticker) for message in messages})
    rows = [{"venue": venue, "ticker": ticker} for venue, ticker in keys]
    return await connection.execute(_FIND, [orjson.dumps(rows).decode()])


async def store(
    connection: Connection, held: AsyncCursor[Any] | None, messages: Sequence[Message]
) -> None:
    """Fold messages, which come in offset order, into the books that were asked for."""
    if held is None:
        return
    books = {(venue, ticker): _book(*values) for venue, ticker, *values in await held.fetchall()}
    changed = fold(books, messages)
    if changed:
        rows = [_row(key, books[key]) for key in sorted(changed)]
        await connection.execute(_WRITE, [orjson.dumps(rows).decode()])


def _book(
    connection: str,
    opened: datetime,
    sid: int,
    seq: int,
    clock: int | None,
    time: datetime,
    received: datetime,
    invalid_since: datetime | None,
    reason: str | None,
    yes: str,
    no: str,
) -> Book:
    return Book(
        connection=connection,
        opened=micros_of(opened),
        sid=sid,
        seq=seq,
        clock=clock,
        time=micros_of(time),
        received=micros_of(received),
        invalid_since=None if invalid_since is None else micros_of(invalid_since),
        reason=reason,
        yes=orjson.loads(yes),
        no=orjson.loads(no),
    )


def _row(key: MarketKey, book: Book) -> Mapping[str, Any]:
    venue, ticker = key
    return {
        "venue": venue,
        "ticker": ticker,
        "connection": book.connection,
        "opened": moment(book.opened),
        "sid": book.sid,
        "seq": book.seq,
        "clock": book.clock,
        "time": moment(book.time),
        "received": moment(book.received),
        "invalid_since": None if book.invalid_since is None else moment(book.invalid_since),
        "reason": book.reason,
        "yes": book.yes,
        "no": book.no,
    }
