"""Writing `price_history`: COPY (few rows: one insert) while every trade is new.

Once one repeats, units are looked through for keys that are there already, for a while.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
from psycopg import errors

from projections.base import Connection
from projections.database import is_at_once
from projections.prices.facts import TRADE_COLUMNS

_COLUMNS = ", ".join(f'"{name}"' for name in TRADE_COLUMNS)
_COPY = f"copy price_history ({_COLUMNS}) from stdin (format csv)".encode()
_COPY_STAGED = f"copy staged_trades ({_COLUMNS}) from stdin (format csv)".encode()
_COPY_REPEATED = f"copy repeated_trades ({_COLUMNS}) from stdin (format csv)".encode()
_INSERT = f"""
insert into price_history ({_COLUMNS})
select {_COLUMNS} from json_populate_recordset(null::price_history, %s::json)
"""
_KEY = ["venue", "symbol", "time", "trade_id"]

_NEWEST = """
select v.venue, v.symbol,
    (select max(h.time) from price_history as h where h.venue = v.venue and h.symbol = v.symbol)
from unnest(%s::text[], %s::text[]) as v (venue, symbol)
"""

_STAGING = """
create temporary table if not exists staged_trades (like price_history including defaults)
on commit delete rows;
create temporary table if not exists repeated_trades (like price_history including defaults)
on commit delete rows;
delete from staged_trades;
delete from repeated_trades;
"""

# Looked up one by one, by the limit: the planner, who knows nothing of a temporary table, would
# otherwise read all of the history.
_FIND_REPEATED = f"""
insert into repeated_trades ({_COLUMNS})
select {", ".join("s." + name for name in _COLUMNS.split(", "))}
from staged_trades as s
cross join lateral (
    select from price_history as h
    where h.venue = s.venue and h.symbol = s.symbol and h.time = s.time
        and h.trade_id = s.trade_id
    limit 1
) as found
"""

_ADD_NEW = f"""
insert into price_history ({_COLUMNS})
select {_COLUMNS} from staged_trades as s
where not exists (
    select from repeated_trades as r
    where r."partition" = s."partition" and r."offset" = s."offset"
)
"""

# From here on the planner joins few rows with all of the history: by its key, and no other way.
_JOIN_BY_KEY = "set local enable_hashjoin = off; set local enable_mergejoin = off"
_JOIN_AS_USUAL = "set local enable_hashjoin = on; set local enable_mergejoin = on"

# What one channel lacks (a sequence) is filled from the other.
_FILL = """
update price_history as h
set sequence = s.sequence
from (
    select distinct on (venue, symbol, time, trade_id, price, size, side) *
    from repeated_trades
    where sequence is not null
    order by venue, symbol, time, trade_id, price, size, side, "partition", "offset"
) as s
where h.venue = s.venue and h.symbol = s.symbol and h.time = s.time and h.trade_id = s.trade_id
    and h.sequence is null
    and (s.price, s.size, s.side) is not distinct from (h.price, h.size, h.side)
"""

_KEPT = 'price, size, side, sequence, average, received, appended, "partition", "offset"'
# Every content of a key that differs from the one held, and the one held beside them.
_DIFFERENT = f"""
with differing as (
    select s.*
    from repeated_trades as s
    join price_history as h using (venue, symbol, time, trade_id)
    where (s.price, s.size, s.side) is distinct from (h.price, h.size, h.side)
),
contents as (
    select *, trade_content(price, size, side) as content
    from (
        select * from differing
        union all
        select h.*
        from price_history as h
        where (h.venue, h.symbol, h.time, h.trade_id) in (
            select venue, symbol, time, trade_id from differing
        )
    ) as candidates
)
insert into price_conflicts as c (venue, symbol, time, trade_id, content, {_KEPT})
select distinct on (venue, symbol, time, trade_id, content)
    venue, symbol, time, trade_id, content, price, size, side,
    first_value(sequence) over (
        partition by venue, symbol, time, trade_id, content
        order by sequence is null, "partition", "offset"
    ),
    average, received, appended, "partition", "offset"
from contents
order by venue, symbol, time, trade_id, content, "partition", "offset"
on conflict (venue, symbol, time, trade_id, content) do update
set sequence = coalesce(c.sequence, excluded.sequence)
"""

# The smallest content wins, whatever the order of arrival, and leaves the conflicts. A key is
# decided anew only when the content that it holds now has just been put among them.
_WINNERS = f"""
with least as (
    select distinct on (c.venue, c.symbol, c.time, c.trade_id) c.*
    from price_conflicts as c
    join price_history as h using (venue, symbol, time, trade_id)
    where (c.venue, c.symbol, c.time, c.trade_id) in (
            select venue, symbol, time, trade_id from repeated_trades
        )
        and exists (
            select from price_conflicts as o
            where o.venue = h.venue and o.symbol = h.symbol and o.time = h.time
                and o.trade_id = h.trade_id
                and o.content = trade_content(h.price, h.size, h.side)
        )
    order by c.venue, c.symbol, c.time, c.trade_id, c.content
),
removed as (
    delete from price_conflicts as c
    using least
    where c.venue = least.venue and c.symbol = least.symbol and c.time = least.time
        and c.trade_id = least.trade_id and c.content = least.content
)
update price_history as h
set ({_KEPT}) = (select {", ".join("least." + name for name in _KEPT.split(", "))})
from least
where h.venue = least.venue and h.symbol = least.symbol and h.time = least.time
    and h.trade_id = least.trade_id
"""

# In a rebuild all are loaded first. The first of a key by its place in the log stays, as it does
# where units come one after the other.
_TAKE_REPEATED_OUT = f"""
insert into repeated_trades ({_COLUMNS})
select {", ".join("h." + name for name in _COLUMNS.split(", "))}
from price_history as h
join (
    select venue, symbol, time, trade_id from price_history group by 1, 2, 3, 4 having count(*) > 1
) as k using (venue, symbol, time, trade_id);

delete from price_history as h
using (select distinct venue, symbol, time, trade_id from repeated_trades) as k
where h.venue = k.venue and h.symbol = k.symbol and h.time = k.time and h.trade_id = k.trade_id;

insert into price_history ({_COLUMNS})
select distinct on (venue, symbol, time, trade_id) {_COLUMNS}
from repeated_trades
order by venue, symbol, time, trade_id, "partition", "offset";

delete from repeated_trades as r
using price_history as h
where h.venue = r.venue and h.symbol = r.symbol and h.time = r.time and h.trade_id = r.trade_id
    and h."partition" = r."partition" and h."offset" = r."offset";

analyze repeated_trades;
"""

#: After a repeat, this many units are looked through at once, for repeats come in swarms.
_UNITS_LOOKED_THROUGH = 32


class History:
    """The writer of one process; it remembers whether repeats are about."""

    def __init__(self) -> None:
        self._look_through_next = 0

    @property
    def expects_repeats(self) -> bool:
        """Whether the next units are looked through for repeats."""
        return self._look_through_next > 0

    async def write(
        self, connection: Connection, trades: pl.DataFrame, ready: bytes | None = None
    ) -> None:
        """Add trades (TRADE_COLUMNS, times as the table has them), in the caller's transaction.

        `ready` are the same trades as `lines` makes them, where that was done before. A repeat
        changes nothing, a contradiction is settled by content.
        """
        if not trades.height:
            return
        if is_at_once(connection):
            await connection.execute(_INSERT, [trades.write_json()])
            return
        if self.expects_repeats:
            self._look_through_next -= 1
            await _write_looking_through(connection, trades)
            return
        try:
            async with connection.transaction():
                await _copy_lines(connection, _COPY, ready or lines(trades))
        except errors.UniqueViolation:
            self._look_through_next = _UNITS_LOOKED_THROUGH
            await _write_looking_through(connection, trades)


async def load(connection: Connection, trades: pl.DataFrame, ready: bytes | None) -> None:
    """Add trades as they come, repeats and all, to a table without its key; `settle` does the rest.

    See History.write.
    """
    if trades.height:
        await _copy_lines(connection, _COPY, ready or lines(trades))


async def settle(connection: Connection) -> None:
    """Leave one row for each key of what was loaded, as if unit after unit had been written."""
    for statement in (_STAGING, _TAKE_REPEATED_OUT, _FILL, _DIFFERENT, _WINNERS):
        await connection.execute(statement)


async def _write_looking_through(connection: Connection, trades: pl.DataFrame) -> None:
    """The first of a key by offset becomes the row, unless there is one; all others are repeats.

    Only what is not younger than all that is held of its symbol is looked up.
    """
    trades = trades.sort("partition", "offset")
    is_first = trades.select(pl.struct(_KEY).is_first_distinct()).to_series()
    is_new = is_first & await _are_younger(connection, trades)
    await _copy(connection, _COPY, trades.filter(is_new))
    if is_new.all():
        return
    await connection.execute(_STAGING)
    await _copy(connection, _COPY_STAGED, trades.filter(is_first & ~is_new))
    repeated = (await connection.execute(_FIND_REPEATED)).rowcount
    await connection.execute(_ADD_NEW)
    if not is_first.all():
        later = trades.filter(~is_first)
        await _copy(connection, _COPY_REPEATED, later)
        repeated += later.height
    if repeated:
        await connection.execute(_JOIN_BY_KEY)
        await connection.execute(_FILL)
        if (await connection.execute(_DIFFERENT)).rowcount:
            await connection.execute(_WINNERS)
        await connection.execute(_JOIN_AS_USUAL)


async def _are_younger(connection: Connection, trades: pl.DataFrame) -> pl.Series:
    """Whether each trade is younger than all trades of its symbol that the history holds."""
    symbols = trades.select("venue", "symbol").unique()
    cursor = await connection.execute(
        _NEWEST, [symbols["venue"].to_list(), symbols["symbol"].to_list()]
    )
    # Times are as `Prices.timed` gives them.
    newest = pl.DataFrame(
        [
            (venue, symbol, time.replace(tzinfo=None) if isinstance(time, datetime) else time)
            for venue, symbol, time in await cursor.fetchall()
        ],
        schema={"venue": pl.String, "symbol": pl.String, "newest": trades.schema["time"]},
        orient="row",
    )
    held = trades.join(newest, on=["venue", "symbol"], how="left", maintain_order="left")
    return (held["time"] > held["newest"]).fill_null(True)


def lines(trades: pl.DataFrame) -> bytes:
    """CSV. No value of a trade holds a comma, a quote or a line end."""
    return trades.write_csv(include_header=False).encode()


async def _copy(connection: Connection, statement: bytes, trades: pl.DataFrame) -> None:
    if trades.height:
        await _copy_lines(connection, statement, lines(trades))


async def _copy_lines(connection: Connection, statement: bytes, rows: bytes) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(rows)
