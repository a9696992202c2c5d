"""Late records of accounts come to what the reference says, whatever came before them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence

from hypothesis import given
from hypothesis import strategies as st

from projections.account import Account
from projections.redrive import Outcome
from projections.unit import Projector
from streams.events import Event
from tests.projections.account.lives import lives
from tests.projections.account.projected import reset, starts, units_of
from tests.projections.account.test_lives import compare
from tests.projections.redriven import older, redrive, waiting
from tests.strategies import many_at_once


async def project(dsn: str, events: Sequence[Event], topic: str, refused: Container[int]) -> None:
    """By a program that cannot read the topic's records at these offsets."""
    units = units_of(events, [7])
    projector = Projector(older(Account, refused, topic), dsn)
    await projector.claim(starts(units))
    for unit in units:
        await projector.commit(unit)
    await projector.close()


@many_at_once
@given(
    events=lives(),
    topic=st.sampled_from(Account.topics),
    refused=st.sets(st.integers(0, 9), min_size=3),
)
def test_late_records_come_to_what_the_reference_says(
    migrated_dsn: str, events: list[Event], topic: str, refused: set[int]
) -> None:
    reset(migrated_dsn)
    asyncio.run(project(migrated_dsn, events, topic, refused))
    count = len(waiting(migrated_dsn))
    assert asyncio.run(redrive(migrated_dsn, Account())) == [Outcome("projected")] * count
    compare(migrated_dsn, events)
