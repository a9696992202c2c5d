"""The short form of the soak; the long one is `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.embedded import stack
from streams.embedded.home import Home
from tests.soak.plans import kills_plan, short_plan
from tests.soak.soak import PRODUCERS, Plan, Soak, Summary

pytestmark = pytest.mark.long


async def survived(plan: Plan, home: Home, folder: Path) -> Summary:
    """A soak that ends in equality."""
    stack.start(home.path)
    summary = await Soak(home.path, folder, plan).run()
    assert len(summary.faults) > 3
    assert summary.samples
    assert not summary.differences, "\n".join(summary.differences)
    return summary


async def test_after_faults_and_kills_every_table_is_what_the_venues_said(
    own_home: Home, tmp_path: Path
) -> None:
    summary = await survived(short_plan(seed=1), own_home, tmp_path)
    assert summary.misfortunes["producer_killed"]
    assert summary.misfortunes["worker_killed"]


@pytest.mark.chaos
async def test_after_each_feed_was_killed_again_and_again_every_table_is_what_the_venues_said(
    own_home: Home, tmp_path: Path
) -> None:
    summary = await survived(kills_plan(seed=2), own_home, tmp_path)
    assert summary.misfortunes["producer_killed"] > 2 * len(PRODUCERS)
