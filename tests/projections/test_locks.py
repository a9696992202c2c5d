"""Seconds stay right where two partitions hold one symbol's records."""

from __future__ import annotations

import asyncio

from projections.database import connect
from projections.prices import Prices
from tests.projections.logs import log_of, rows, trade


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
