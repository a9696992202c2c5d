"""Read-your-writes: waiting until the checkpoints have passed a record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from projections.base import Partition
from projections.errors import Refusal
from projections.waiting import Late, Mark, wait_for
from tests.projections.logs import TICKS, TOPIC_ID, claim, log_of, trade
from tests.projections.tallied import OTHER, numbers, opened


async def do(dsn: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(statement.encode())


async def stand(dsn: str, source: Partition, offset: int, generation: int = 1) -> None:
    """A checkpoint of `tally`, as a worker would have moved it."""
    place = f"'tally', {generation}, '{source.topic}', '{TOPIC_ID}', {source.partition}"
    await do(
        dsn,
        f"insert into checkpoints values ({place}, {offset}, 1)"
        " on conflict (projection, generation, topic, partition)"
        " do update set next_offset = excluded.next_offset",
    )


async def swap(dsn: str, generation: int) -> None:
    """Another generation is current from now on."""
    await do(
        dsn,
        "begin; update generations set is_current = false where projection = 'tally';"
        f" insert into generations values ('tally', {generation}, 1, true); commit",
    )


def marks(**offsets: int) -> dict[Partition, Mark]:
    sources = {"ticks": TICKS, "other": OTHER}
    return {sources[name]: Mark(TOPIC_ID, offset) for name, offset in offsets.items()}


@asynccontextmanager
async def waiting(dsn: str, **offsets: int) -> AsyncIterator[asyncio.Task[None]]:
    """A task that waits for these, and has looked at least once."""
    task = asyncio.create_task(wait_for(dsn, "tally", marks(**offsets), 60))
    try:
        await _has_looked(dsn)
        yield task
    finally:
        task.cancel()


async def _has_looked(dsn: str) -> None:
    looked = "select 1 from pg_stat_activity where datname = current_database()"
    looked += " and application_name = 'tickertape tally wait' and query like '%checkpoints%'"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while not await (await connection.execute(looked.encode())).fetchone():
            await asyncio.sleep(0.01)


async def test_what_was_written_is_in_the_tables_once_the_wait_is_over(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as projector, waiting(migrated_dsn, ticks=2) as task:
        await claim(projector)
        await projector.commit([log_of([trade(0), trade(1)])])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.2)
        await projector.commit([log_of([trade(2)], first=2)])
        await task
    assert numbers(migrated_dsn) == [0, 1, 2]


async def test_all_partitions_are_waited_for(migrated_dsn: str) -> None:
    await stand(migrated_dsn, TICKS, 11)
    async with waiting(migrated_dsn, ticks=10, other=3) as task:
        await stand(migrated_dsn, OTHER, 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.2)
        await stand(migrated_dsn, OTHER, 4)
        await task


async def test_a_wait_goes_on_in_the_generation_that_is_swapped_in(migrated_dsn: str) -> None:
    await stand(migrated_dsn, TICKS, 10)
    async with waiting(migrated_dsn, ticks=10) as task:
        await stand(migrated_dsn, OTHER, 0)
        await swap(migrated_dsn, 2)
        await stand(migrated_dsn, TICKS, 11, generation=1)  # what nobody reads any more
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.2)
        await stand(migrated_dsn, TICKS, 11, generation=2)
        await task


async def test_a_wait_outlasts_the_loss_of_its_connection(migrated_dsn: str) -> None:
    async with waiting(migrated_dsn, ticks=0) as task:
        await do(
            migrated_dsn,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'tickertape tally wait'",
        )
        await _has_looked(migrated_dsn)
        await stand(migrated_dsn, TICKS, 1)
        await task


async def test_who_waits_too_long_is_told_what_is_missing(migrated_dsn: str) -> None:
    await stand(migrated_dsn, TICKS, 8)
    with pytest.raises(Late) as late:
        await wait_for(migrated_dsn, "tally", marks(ticks=7, other=3), 0.05)
    assert late.value.missing == marks(other=3)
    assert "tally has not projected price.ticks[1]@3 after 0.05 s" in str(late.value)
    assert "price.ticks[1] was never read; is a worker running?" in str(late.value)
    with pytest.raises(Late, match=r"price\.ticks\[0\] is projected up to offset 7; is a worker"):
        await wait_for(migrated_dsn, "tally", marks(ticks=8), 0.05)
    await stand(migrated_dsn, OTHER, 0)
    with pytest.raises(Late, match=r"nothing of price\.ticks\[1\] is projected; is a worker"):
        await wait_for(migrated_dsn, "tally", marks(other=0), 0.05)


async def test_one_look_is_taken_in_no_time_at_all(migrated_dsn: str) -> None:
    await stand(migrated_dsn, TICKS, 8)
    await wait_for(migrated_dsn, "tally", marks(ticks=7), 0)
    with pytest.raises(Late):
        await wait_for(migrated_dsn, "tally", marks(ticks=8), 0)


async def test_a_database_that_stays_away_is_named_as_the_reason() -> None:
    nowhere = "postgresql://me:hush@127.0.0.1:1/none"
    with pytest.raises(Late, match=r"price\.ticks\[0\]@7.*the database is away:.*refused") as late:
        await wait_for(nowhere, "tally", marks(ticks=7), 0.3)
    assert "hush" not in str(late.value)


async def test_what_can_never_come_is_not_waited_for(migrated_dsn: str, dsn: str) -> None:
    with pytest.raises(Refusal, match="tally has no tables yet: run `tape db migrate`"):
        await wait_for(dsn, "tally", marks(ticks=7), 60)
    await stand(migrated_dsn, TICKS, 8)
    other_topic = {TICKS: Mark(str(uuid.UUID(int=2)), 7)}
    with pytest.raises(Refusal, match=r"price\.ticks\[0\] was deleted and made anew"):
        await wait_for(migrated_dsn, "tally", other_topic, 60)
