"""What follows from the trades: the seconds, and the latest price and quote of each symbol."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from projections.base import Connection, OutOfPlace
from projections.locks import lock_keys
from streams.events.types import moment

_SECOND_US = 1_000_000

# What a second has of its trades `h`.
_OF_SECOND = """
        (array_agg(h.time order by h.time, h.sequence, h.trade_id collate "C"))[1],
        (array_agg(h.trade_id order by h.time, h.sequence, h.trade_id collate "C"))[1],
        (array_agg(h.price order by h.time, h.sequence, h.trade_id collate "C"))[1],
        max(h.price),
        min(h.price),
        (array_agg(h.price order by h.time, h.sequence, h.trade_id collate "C"))[count(*)::integer],
        coalesce(sum(h.size), 0),
        count(*)
"""
_COLUMNS = (
    "venue, symbol, second, first_time, first_trade_id, open, high, low, close, volume, trades"
)

# Recomputed from the facts, so that any order of arrival gives the same row.
_SECONDS = f"""
insert into price_seconds ({_COLUMNS})
select t.venue, t.symbol, t.second, f.*
from json_to_recordset(%s::json) as v (venue text, symbol text, epoch bigint)
cross join lateral (select v.venue, v.symbol, to_timestamp(v.epoch) as second) as t
cross join lateral (
    select {_OF_SECOND}
    from price_history as h
    where h.venue = t.venue and h.symbol = t.symbol
        and h.time >= t.second and h.time < t.second + interval '1 second'
) as f
on conflict (venue, symbol, second) do update
set first_time = excluded.first_time, first_trade_id = excluded.first_trade_id,
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, trades = excluded.trades
"""

_ALL_SECONDS = f"""
insert into price_seconds ({_COLUMNS})
select h.venue, h.symbol, date_trunc('second', h.time), {_OF_SECOND}
from price_history as h
group by 1, 2, 3
"""

# Folded forward in offset order: a later record wins unless its own time is older.
_LATEST_PRICE = """
insert into latest_price as l
    (venue, symbol, time, sequence, trade_id, price, size, side, received)
select venue, symbol, time, sequence, trade_id, price, size, side, received
from json_populate_recordset(null::latest_price, %s::json)
on conflict (venue, symbol) do update
set time = excluded.time, sequence = excluded.sequence, trade_id = excluded.trade_id,
    price = excluded.price, size = excluded.size, side = excluded.side,
    received = excluded.received
where (excluded.time, coalesce(excluded.sequence, -1)) >= (l.time, coalesce(l.sequence, -1))
"""

_LATEST_QUOTE = """
insert into latest_quote as l
    (venue, symbol, time, sequence, bid, bid_size, ask, ask_size, received)
select venue, symbol, time, sequence, bid, bid_size, ask, ask_size, received
from json_populate_recordset(null::latest_quote, %s::json)
on conflict (venue, symbol) do update
set time = excluded.time, sequence = excluded.sequence, bid = excluded.bid,
    bid_size = excluded.bid_size, ask = excluded.ask, ask_size = excluded.ask_size,
    received = excluded.received
where (excluded.time, coalesce(excluded.sequence, -1)) >= (l.time, coalesce(l.sequence, -1))
"""

_TIED_PRICE = """
select from latest_price
where venue = %s and symbol = %s and time = %s and coalesce(sequence, -1) = %s
"""
_TIED_QUOTE = """
select from latest_quote
where venue = %s and symbol = %s and time = %s and coalesce(sequence, -1) = %s
"""


async def check_untied(connection: Connection, trades: pl.DataFrame, quotes: pl.DataFrame) -> None:
    """Raise OutOfPlace where one of these has the very time and sequence of the latest.

    Which of them is the later record, the row does not say.
    """
    for statement, frame in ((_TIED_PRICE, trades), (_TIED_QUOTE, quotes)):
        for row in frame.iter_rows(named=True):
            sequence = -1 if row["sequence"] is None else row["sequence"]
            key = [row["venue"], row["symbol"], moment(row["time"]), sequence]
            if await (await connection.execute(statement, key)).fetchone() is not None:
                raise OutOfPlace(
                    f"the latest of {row['venue']}:{row['symbol']} is of the same time and may have"
                    " followed it; retry once a newer one came"
                )


async def write_seconds(connection: Connection, projection: str, trades: pl.DataFrame) -> None:
    """Recompute every second that these trades fall into.

    The lock makes that right even where a symbol's records are in two partitions, as happens when
    two clients partition keys differently.
    """
    if not trades.height:
        return
    columns = (trades[name].to_list() for name in ("venue", "symbol", "time"))
    touched = sorted(
        {(venue, symbol, time // _SECOND_US) for venue, symbol, time in zip(*columns, strict=True)}
    )
    keys = {f"{venue}:{symbol}" for venue, symbol, _ in touched}
    await lock_keys(connection, projection, keys)
    seconds = [
        {"venue": venue, "symbol": symbol, "epoch": epoch} for venue, symbol, epoch in touched
    ]
    await connection.execute(_SECONDS, [orjson.dumps(seconds).decode()])


async def write_all_seconds(connection: Connection) -> None:
    """Fill the empty table of seconds from the whole history."""
    await connection.execute(_ALL_SECONDS)


async def write_latest(connection: Connection, trades: pl.DataFrame, quotes: pl.DataFrame) -> None:
    """Fold the newest of these trades and quotes into the latest of their symbols."""
    for statement, frame in ((_LATEST_PRICE, trades), (_LATEST_QUOTE, quotes)):
        if frame.height:
            newest = [_timed(frame.row(index, named=True)) for index in newest_of_each(frame)]
            await connection.execute(statement, [orjson.dumps(newest).decode()])


def newest_of_each(frame: pl.DataFrame) -> list[int]:
    """The index of each symbol's last row by time, then sequence, then offset; sorted by symbol.

    In plain Python: most units are small, and setting up data frame operations outlasts them.
    """
    names = ("venue", "symbol", "time", "sequence", "offset")
    newest: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    rows = zip(*(frame[name].to_list() for name in names), strict=True)
    for index, (venue, symbol, time, sequence, offset) in enumerate(rows):
        rank = (time, -1 if sequence is None else sequence, offset, index)
        key = (venue, symbol)
        if key not in newest or newest[key] < rank:
            newest[key] = rank
    return [newest[key][-1] for key in sorted(newest)]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: moment(row[name]) for name in ("time", "received")}
    return row | times
