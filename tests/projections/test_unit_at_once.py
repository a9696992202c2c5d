"""The small unit in one round trip: what is spared, and that a refusal skips all behind it."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest
from psycopg import sql

from projections.base import SMALL_UNIT, Batch, Connection, Recorded
from projections.checkpoint import Span, advance
from projections.database import at_once, connect, is_at_once
from projections.errors import Fenced
from tests.projections.logs import TICKS, claim, log_of, trade
from tests.projections.tallied import (
    FORBIDDEN,
    Watched,
    dead,
    ids,
    numbers,
    opened,
    position,
    records_of,
)


def writers(dsn: str, *table: str) -> set[str]:
    """The transactions that wrote the rows of a table; a savepoint counts as one of its own."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            sql.SQL("select distinct xmin::text from {}").format(sql.Identifier(*table))
        )
        return {number for (number,) in found}


async def project(dsn: str, *batches: Batch) -> tuple[Watched, list[bool]]:
    """Projects these in one unit; returns the projection and which writes were at once."""
    projection, ways = Watched(), []

    async def note(connection: Connection, count: int) -> None:
        ways.append(is_at_once(connection))

    projection.before_write = note
    await commit(dsn, projection, *batches)
    return projection, ways


async def commit(dsn: str, projection: Watched, *batches: Batch) -> None:
    async with opened(dsn, projection) as projector:
        await claim(projector)
        await projector.commit(batches)


def check_number_four_alone_is_dead(dsn: str) -> None:
    assert dead(dsn) == [4]
    assert numbers(dsn) == [n for n in range(10) if n != 4]
    assert position(dsn) == (10, 1)


async def test_a_small_unit_of_good_trades_is_one_write_without_a_savepoint(
    migrated_dsn: str,
) -> None:
    projection, _ = await project(migrated_dsn, log_of(trade(n) for n in range(10)))
    assert projection.writes == [10]
    assert numbers(migrated_dsn) == list(range(10))
    assert position(migrated_dsn) == (10, 1)
    assert writers(migrated_dsn, "tally_1", "tally_trades") == writers(migrated_dsn, "checkpoints")


async def test_an_unreadable_record_is_a_dead_letter_of_the_same_round_trip(
    migrated_dsn: str,
) -> None:
    records = records_of((trade(n) for n in range(10)), bad={4})
    projection, ways = await project(migrated_dsn, Batch(TICKS, records))
    assert (projection.writes, ways) == ([9], [True])
    check_number_four_alone_is_dead(migrated_dsn)
    assert writers(migrated_dsn, "dead_letters") == writers(migrated_dsn, "checkpoints")


async def test_an_offender_is_tried_at_once_then_looked_for_step_by_step(migrated_dsn: str) -> None:
    batch = log_of(trade(n, size=FORBIDDEN) if n == 4 else trade(n) for n in range(10))
    projection, ways = await project(migrated_dsn, batch)
    assert projection.writes[:3] == [10, 10, 5]
    assert ways == [True] + [False] * (len(ways) - 1)
    check_number_four_alone_is_dead(migrated_dsn)


async def test_a_write_that_copies_does_so_step_by_step(migrated_dsn: str) -> None:
    projection = Watched()

    async def copy_one(connection: Connection, count: int) -> None:
        async with connection.cursor() as cursor, cursor.copy("copy tally_trades from stdin") as to:
            await to.write_row(("BTC-USD", "7", 1, 1))

    projection.before_write = copy_one
    await commit(migrated_dsn, projection, log_of([trade(8)]))
    assert numbers(migrated_dsn) == [7, 8]
    assert dead(migrated_dsn) == []


@pytest.mark.parametrize("beyond", [0, 1], ids=["the largest small unit", "one more"])
async def test_a_unit_is_small_by_all_its_records_together(migrated_dsn: str, beyond: int) -> None:
    half = SMALL_UNIT // 2
    first = log_of(trade(n) for n in range(half))
    second = log_of((trade(n) for n in range(half, SMALL_UNIT + beyond)), first=half)
    _, ways = await project(migrated_dsn, first, second)
    assert ways == [not beyond]


async def advance_then_insert(connection: Connection, span: Span) -> None:
    async with at_once(connection):
        await advance(connection, "tally", 1, {TICKS: span})
        await connection.execute("insert into tally_trades values ('BTC-USD', '1', 1, 1)")


@pytest.mark.parametrize(
    "wrong", [Span(0, 1, epoch=2), Span(1, 2, epoch=1)], ids=["epoch", "offset"]
)
async def test_where_the_server_refuses_to_advance_nothing_sent_behind_is_done(
    migrated_dsn: str, wrong: Span
) -> None:
    async with opened(migrated_dsn) as projector:
        await claim(projector)
    async with await connect(migrated_dsn, "test", {"search_path": "tally_1"}) as connection:
        with pytest.raises(psycopg.Error) as refused:
            await advance_then_insert(connection, wrong)
        assert refused.value.sqlstate == "TT001"
        assert position(migrated_dsn) == (0, 1)
        assert ids(migrated_dsn) == []
        await advance_then_insert(connection, Span(0, 1, epoch=1))
    assert position(migrated_dsn) == (1, 1)
    assert ids(migrated_dsn) == ["1"]


class Swallowing(Watched):
    """Writes in a transaction of its own, and lets no error out of it."""

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        with suppress(psycopg.Error):
            async with connection.transaction():
                await super().write(connection, facts)


async def test_a_fence_that_the_projection_swallowed_is_one_all_the_same(migrated_dsn: str) -> None:
    async with opened(migrated_dsn, Swallowing()) as old, opened(migrated_dsn) as new:
        await claim(old)
        await claim(new)
        with pytest.raises(Fenced):
            await old.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == []
    assert position(migrated_dsn) == (0, 2)
