"""The projection `prices`: history, seconds, and the latest price and quote of each symbol."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import polars as pl
from psycopg import errors

from projections import periods
from projections.base import SMALL_UNIT, Batch, Connection, Decoded, Projection, Refused
from projections.prices import columns, derived, history
from projections.prices.facts import Facts, as_timestamps, months_of
from projections.prices.history import History, lines
from projections.prices.months import MONTHS, Months, close_old

__all__ = ["Prices"]

_CLOSED = "its month is closed: detached from price_history, and its seconds are final"

# By the columns of the table's key: an expression of them would have all of it read.
_OF_KEYS = """
(venue, symbol) in (
    select split_part(k.key, ':', 1), substr(k.key, strpos(k.key, ':') + 1)
    from unnest(%(keys)s::text[]) as k (key)
)
"""
#: What follows from trades, and the time that tells of which month's.
_TIMES_OF_MONTHS = {"price_seconds": "second", "price_conflicts": "time", "latest_price": "time"}
_IS_OPEN = """
not exists (
    select from price_months as m
    where m.closed and m.month = date_trunc('month', {time} at time zone 'UTC')::date
)
"""


class MonthClosed(Exception):
    """There is no partition for a trade's month any more."""


class Prices(Projection[Facts]):
    """Every trade and index value, and what follows from them."""

    name = "prices"
    version = 1
    topics = ("price.ticks",)
    tables = (
        "price_history",
        "price_seconds",
        "latest_price",
        "latest_quote",
        "price_conflicts",
        "price_months",
    )
    kafka_keys = dict.fromkeys(
        ("price_history", "price_seconds", "latest_price", "latest_quote", "price_conflicts"),
        "venue || ':' || symbol",
    )
    uncompared = Projection.uncompared | {"received", "appended"}
    bulk_tables = ("price_history",)

    #: Gives the times of trades as the table has them (the benchmarks' table has integers).
    timed = staticmethod(as_timestamps)

    def __init__(self) -> None:
        self._months = Months()
        self._history = History()

    def decode(self, batches: Sequence[Batch]) -> Decoded[Facts]:
        decoded = columns.read(batches)
        trades = decoded.facts.trades
        if trades.height > SMALL_UNIT:
            decoded.facts = dataclasses.replace(decoded.facts, lines=lines(self.timed(trades)))
        return decoded

    async def prepare(
        self, connection: Connection, batches: Sequence[Batch], decoded: Decoded[Facts]
    ) -> Decoded[Facts]:
        """Attach the months of the trades; refuse the trades of closed months."""
        trades = decoded.facts.trades
        if not trades.height:
            return decoded
        closed = await self._months.make_ready(connection, months_of(trades))
        if not closed:
            return decoded
        month = pl.from_epoch(pl.col("time"), time_unit="us").dt.date().dt.month_start()
        is_late = month.is_in(list(closed))
        late = set(trades.filter(is_late).select("partition", "offset").iter_rows())
        refused = [
            Refused(batch.source, record, _CLOSED, is_closed=True)
            for batch in batches
            for record in batch.records
            if (batch.source.partition, record.offset) in late
        ]
        facts = dataclasses.replace(decoded.facts, trades=trades.filter(~is_late), lines=None)
        return Decoded(facts, [*decoded.refused, *refused])

    def is_ready(self, facts: Facts) -> bool:
        """Whether all months are known to be open, and no repeats are expected."""
        if not facts.trades.height:
            return True
        return not self._history.expects_repeats and self._months.are_open(months_of(facts.trades))

    def forget(self) -> None:
        self._months.forget()

    async def close_like(self, connection: Connection, live: str) -> None:
        await periods.close_like(connection, MONTHS, live)

    @classmethod
    def of_keys(cls, table: str) -> str:
        time = _TIMES_OF_MONTHS.get(table)
        return _OF_KEYS if time is None else f"{_OF_KEYS} and {_IS_OPEN.format(time=time)}"

    async def hold_periods(self, connection: Connection) -> None:
        await periods.hold(connection, MONTHS)

    async def maintain(self, connection: Connection, history_days: int | None) -> None:
        if history_days is not None:
            await close_old(connection, history_days)

    async def write_late(self, connection: Connection, facts: Facts) -> None:
        await derived.check_untied(connection, facts.trades, facts.quotes)
        await self.write(connection, facts)

    async def write(self, connection: Connection, facts: Facts) -> None:
        try:
            await self._history.write(connection, self.timed(facts.trades), facts.lines)
        except errors.CheckViolation as error:
            # A month was closed since it was made ready: ask again, and refuse its trades.
            self._months.forget()
            raise MonthClosed(_CLOSED) from error
        await derived.write_seconds(connection, self.locks, facts.trades)
        await derived.write_latest(connection, facts.trades, facts.quotes)

    async def load(self, connection: Connection, facts: Facts) -> None:
        await history.load(connection, self.timed(facts.trades), facts.lines)
        await derived.write_latest(connection, facts.trades, facts.quotes)

    async def settle(self, connection: Connection) -> None:
        await history.settle(connection)

    async def derive(self, connection: Connection) -> None:
        await derived.write_all_seconds(connection)
