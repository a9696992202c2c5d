"""The records that changed a row are found by halves: the same as one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import changes
from projections.base import Batch, Record
from projections.changes import Change, newest_changes
from projections.prices import Prices
from projections.row import Column, RowKey, Seen
from projections.scratch import Scratch, scratch
from streams.events import PriceTrade
from tests.projections.logs import TICKS, log_of, trade
from tests.strategies import few

SECOND = RowKey(
    "price_seconds",
    {
        Column("venue", "text"): "coinbase",
        Column("symbol", "text"): "BTC-USD",
        Column("second", "timestamp with time zone"): "2026-11-15 12:00:00+00",
    },
)


class Log:
    """Records in memory."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def read(self, first: int, until: int) -> list[Batch]:
        return [Batch(TICKS, self._records[first:until])]


class Counted(Scratch):
    """Counts how often something was written."""

    writes = 0

    async def write(self, batches: Sequence[Batch]) -> None:
        self.writes += 1
        await super().write(batches)


async def one_by_one(tables: Scratch, log: Log) -> list[Change]:
    found, before = [], Seen(None, None)
    for place in range(len(log)):
        await tables.write(log.read(place, place + 1))
        after = await tables.look(SECOND)
        if after.row != before.row:
            found.append(Change(place, before.row, after.row))
        before = after
    return found[::-1]


#: Within the second and beside it; the same trade again; one that contradicts another.
events = st.builds(
    lambda number, size, late: trade(
        number + (2000 if late else 0), trade_id=str(number), size=Decimal(size)
    ),
    st.integers(0, 6),
    st.integers(1, 2),
    st.booleans(),
)


@few
@given(told=st.lists(events, max_size=25), unit=st.integers(1, 9), limit=st.integers(1, 25))
def test_the_changes_found_are_those_that_are_found_one_by_one(
    migrated_dsn: str, told: list[PriceTrade], unit: int, limit: int
) -> None:
    log = Log(log_of(told).records)

    async def run() -> tuple[list[Change], list[Change]]:
        async with scratch(Prices, migrated_dsn) as tables:
            expected = await one_by_one(tables, log)
        async with scratch(Prices, migrated_dsn) as tables:
            return expected, await newest_changes(tables, log, SECOND, limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "UNIT", unit)
        expected, found = asyncio.run(run())
    assert found == expected[:limit]


def test_a_few_among_many_are_found_without_writing_each_by_itself(migrated_dsn: str) -> None:
    """Of 6,000 trades two are in the second."""
    told = [trade(number + 2000) for number in range(6000)]
    told[1234] = trade(1)
    told[5678] = trade(2)
    log = Log(log_of(told).records)

    async def run() -> tuple[list[Change], int]:
        async with scratch(Prices, migrated_dsn) as tables:
            counted = Counted(tables._connection, tables._projection)
            return await newest_changes(counted, log, SECOND, 10), counted.writes

    found, writes = asyncio.run(run())
    assert [one.place for one in found] == [5678, 1234]
    assert writes < 80
