"""Limits: too many dead letters stop the projection, however the log is cut into units."""

from __future__ import annotations

from collections.abc import Container, Sequence

import pytest

from projections.base import Batch
from projections.checkpoint import LogStart
from projections.deadletter import Limits
from projections.errors import Fenced, Refusal
from tests.projections.logs import TICKS, TOPIC_ID, LogRecord, claim, cut, trade
from tests.projections.tallied import OTHER, dead, opened, position, records_of

pytestmark = pytest.mark.usefixtures("both_ways")


async def project_all(dsn: str, units: Sequence[Batch], limits: Limits | None = None) -> None:
    for batch in units:
        async with opened(dsn, limits=limits) as projector:  # each time a new process
            if await claim(projector) == batch.records[0].offset:
                await projector.commit([batch])


def log_with(bad: Container[int], count: int) -> list[LogRecord]:
    return records_of((trade(n) for n in range(count)), bad)


@pytest.mark.parametrize("lengths", [[], [50, 50], [149, 1]], ids=["one unit", "halves", "last"])
async def test_a_hundred_dead_letters_in_a_row_stop_the_projection(
    migrated_dsn: str, lengths: list[int]
) -> None:
    records = log_with({*range(10, 109), *range(110, 210)}, 400)
    allowed, stopped = records[:200], records[200:]
    await project_all(migrated_dsn, cut(allowed, lengths))
    assert position(migrated_dsn)[0] == 200
    before = dead(migrated_dsn)
    for _ in range(2):
        with pytest.raises(Refusal, match=r"tally: 100 records in a row of price.ticks\[0\]"):
            await project_all(migrated_dsn, [Batch(TICKS, stopped)])
        assert position(migrated_dsn)[0] == 200
        assert dead(migrated_dsn) == before, "nothing of the unit was committed"


@pytest.mark.parametrize("length", [3000, 1000, 700, 64], ids=lambda length: f"units of {length}")
async def test_half_of_the_last_thousand_stop_the_projection(
    migrated_dsn: str, length: int
) -> None:
    bad = set(range(1000, 2000, 2))  # of 1000 to 1998: half, never two in a row
    records = log_with(bad, 3000)
    with pytest.raises(Refusal, match=r"500 of the last 1000 records of price.ticks\[0\]"):
        await project_all(migrated_dsn, cut(records, [length] * 50))
    assert position(migrated_dsn)[0] <= 1998
    assert len(dead(migrated_dsn)) < 500


@pytest.mark.parametrize("length", [3000, 700])
async def test_just_less_than_half_of_any_thousand_go_on(migrated_dsn: str, length: int) -> None:
    bad = set(range(1000, 1998, 2))
    await project_all(migrated_dsn, cut(log_with(bad, 3000), [length] * 50))
    assert position(migrated_dsn)[0] == 3000
    assert dead(migrated_dsn) == sorted(bad)


async def test_limits_can_be_raised(migrated_dsn: str) -> None:
    records = log_with(set(range(300)), 300)
    await project_all(migrated_dsn, [Batch(TICKS, records)], Limits(301, 301))
    assert len(dead(migrated_dsn)) == 300


async def test_partitions_are_counted_apart(migrated_dsn: str) -> None:
    records = log_with(set(range(99)), 99)
    async with opened(migrated_dsn) as projector:
        await projector.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await projector.commit([Batch(TICKS, records), Batch(OTHER, records)])
    assert len(dead(migrated_dsn)) == 198


async def test_who_was_taken_over_is_fenced_even_past_its_limit(migrated_dsn: str) -> None:
    """Its end would be a refusal, for a partition that is no longer its own."""
    records = log_with(set(range(60)), 60)
    low, high = Limits(in_a_row=50), Limits(in_a_row=100)
    async with opened(migrated_dsn, limits=low) as old, opened(migrated_dsn, limits=high) as new:
        await claim(old)
        await claim(new)
        await new.commit([Batch(TICKS, records)])
        with pytest.raises(Fenced):
            await old.commit([Batch(TICKS, records)])
    assert dead(migrated_dsn) == list(range(60))
