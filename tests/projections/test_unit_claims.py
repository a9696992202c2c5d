"""Units move checkpoints: the same for any split and any restart, and for their owner alone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.base import Batch, Connection
from projections.checkpoint import LogStart
from projections.errors import Fenced, Refusal
from projections.unit import Projector
from tests.projections.logs import TICKS, TOPIC_ID, claim, cut, empty, log_of, rows, trade
from tests.projections.tallied import (
    OTHER,
    Watched,
    dead,
    good_of,
    ids,
    numbers,
    opened,
    position,
    some_log,
)
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

# Splits and repetition


@settings(few, max_examples=12)
@given(
    units=st.lists(st.integers(1, 30), max_size=6),
    batches=st.lists(st.integers(1, 9), max_size=8),
    starts=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_any_split_and_any_restart_gives_the_tables_of_one_unit(
    migrated_dsn: str, units: list[int], batches: list[int], starts: list[bool]
) -> None:
    empty(migrated_dsn, "tally_1.tally_trades")
    records = some_log(60)

    async def project() -> None:
        projector = Projector(Watched(), migrated_dsn)
        await claim(projector)
        for part, restarts in zip(cut(records, units), starts, strict=False):
            if restarts:
                await projector.close()
                projector = Projector(Watched(), migrated_dsn)
                assert await claim(projector) == part.records[0].offset
            await projector.commit(cut(part.records, batches))
        await projector.close()

    asyncio.run(project())
    assert numbers(migrated_dsn) == good_of(60)
    assert dead(migrated_dsn) == [n for n in range(60) if n not in good_of(60)]
    assert position(migrated_dsn)[0] == 60


async def test_partitions_of_one_unit_move_together(migrated_dsn: str) -> None:
    batch = log_of([trade(1), trade(2)])
    async with opened(migrated_dsn) as projector:
        claims = await projector.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await projector.commit([batch, Batch(OTHER, batch.records[:1])])
        assert {source: part.next_offset for source, part in projector.claims.items()} == {
            TICKS: 2,
            OTHER: 1,
        }
        assert all(part.next_offset == 0 for part in claims.values())
    assert sorted(ids(migrated_dsn)) == ["1", "1", "2"]


# Claims and the compare-and-set


async def test_a_claim_starts_at_the_log_then_goes_on_and_bumps_the_epoch(
    migrated_dsn: str,
) -> None:
    async with opened(migrated_dsn) as projector:
        assert await claim(projector, first_offset=40) == 40
        await projector.commit([log_of([trade(1)], first=40)])
    assert position(migrated_dsn) == (41, 1)
    async with opened(migrated_dsn) as projector:
        assert await claim(projector, first_offset=7) == 41
    assert position(migrated_dsn) == (41, 2)


async def test_a_worker_whose_partition_was_taken_over_writes_nothing(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as old, opened(migrated_dsn) as new:
        await claim(old)
        await claim(new)
        with pytest.raises(Fenced):
            await old.commit([log_of([trade(1)])])
        assert ids(migrated_dsn) == []
        await new.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == ["1"]
    assert position(migrated_dsn) == (1, 2)


async def test_a_wrong_offset_is_refused_and_nothing_is_written(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([log_of([trade(1)])])
        for first in (0, 2):
            with pytest.raises(Fenced):
                await projector.commit([log_of([trade(8), trade(9)], first=first)])
    assert ids(migrated_dsn) == ["1"]
    assert position(migrated_dsn) == (1, 1)


async def test_one_wrong_partition_refuses_the_whole_unit(migrated_dsn: str) -> None:
    batch = log_of([trade(1)])
    async with opened(migrated_dsn) as both, opened(migrated_dsn) as thief:
        await both.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await claim(thief, source=OTHER)
        with pytest.raises(Fenced):
            await both.commit([batch, Batch(OTHER, batch.records)])
    assert ids(migrated_dsn) == []
    assert {row["next_offset"] for row in rows(migrated_dsn, "checkpoints")} == {0}


async def test_a_projector_that_forgot_its_claims_during_a_unit_is_fenced(
    migrated_dsn: str,
) -> None:
    projection = Watched()
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)

        async def lose(connection: Connection, count: int) -> None:
            projector.forget()
            raise OSError("the connection was lost")

        projection.before_write = lose
        with pytest.raises(Fenced):
            await projector.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == []


async def test_a_topic_made_anew_is_refused_with_what_to_do(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([log_of([trade(1)])])
        anew = "00000000-0000-0000-0000-000000000002"
        with pytest.raises(Refusal, match=r"price.ticks\[0\].*made anew.*`tape rebuild tally`"):
            await claim(projector, topic_id=anew)
        assert not projector.claims
    assert position(migrated_dsn) == (1, 1)
