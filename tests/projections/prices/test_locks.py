"""Seconds stay right where two partitions hold one symbol's records."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import polars as pl
import pytest

from projections.base import Batch, Connection, Partition
from projections.checkpoint import LogStart
from projections.database import connect
from projections.prices import Prices, history
from projections.unit import Projector
from tests.projections.logs import TICKS, TOPIC_ID, LogRecord, claim, log_of, rows, trade


async def test_two_units_at_once_do_not_forget_each_others_trades(
    migrated_dsn: str,
) -> None:
    async def write(number: int, go: asyncio.Event, done: asyncio.Event) -> None:
        projection = Prices()
        batches = [log_of([trade(number)])]
        decoded = await projection.prepare(side_of[number], batches, projection.decode(batches))
        async with units[number].transaction():
            await projection.write(units[number], decoded.facts)
            done.set()
            await go.wait()

    units = [await connect(migrated_dsn, "unit", {"search_path": "prices_1"}) for _ in range(2)]
    side_of = [await connect(migrated_dsn, "side", {"search_path": "prices_1"}) for _ in range(2)]
    first_may_commit, first_wrote, second_wrote = asyncio.Event(), asyncio.Event(), asyncio.Event()
    second_may_commit = asyncio.Event()
    second_may_commit.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(write(0, first_may_commit, first_wrote))
        await first_wrote.wait()
        group.create_task(write(1, second_may_commit, second_wrote))
        await asyncio.sleep(0.3)
        assert not second_wrote.is_set(), "it must wait for the first to commit"
        first_may_commit.set()
    for connection in (*units, *side_of):
        await connection.close()
    (second,) = rows(migrated_dsn, "price_seconds")
    assert second["trades"] == 2


@pytest.mark.usefixtures("both_ways")
async def test_a_trade_that_another_worker_adds_while_it_is_looked_for_is_a_repeat(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit of that one trade fails then, and must not make a dead letter of it."""
    look = history._are_younger
    record = cast(LogRecord, log_of([trade(2)]).records[0])
    other = Partition(TICKS.topic, 1)

    async def look_too_early(connection: Connection, trades: pl.DataFrame) -> pl.Series:
        found = await look(connection, trades)
        if not seen:
            seen.append(True)
            await first.commit([Batch(other, [replace(record, offset=0)])])
        return found

    seen: list[bool] = []
    first, second = Projector(Prices(), migrated_dsn), Projector(Prices(), migrated_dsn)
    await first.claim({other: LogStart(TOPIC_ID, 0)})
    await claim(second)
    repeated = log_of([trade(1), trade(1)])
    await second.commit([repeated])  # from now on it looks for repeats
    monkeypatch.setattr(history, "_are_younger", look_too_early)
    await second.commit([Batch(TICKS, [replace(record, offset=2)])])
    await first.close()
    await second.close()
    assert rows(migrated_dsn, "dead_letters") == []
    assert [row["trade_id"] for row in rows(migrated_dsn, "price_history")] == ["1", "2"]
