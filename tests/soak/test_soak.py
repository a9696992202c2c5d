"""The short form of the soak; the long one is `make soak`."""

from __future__ import annotations

from pathlib import Path

from streams.embedded import stack
from streams.embedded.home import Home
from tests.soak.plans import short_plan
from tests.soak.soak import Soak


async def test_after_faults_and_kills_every_table_is_what_the_venues_said(
    own_home: Home, tmp_path: Path
) -> None:
    stack.start(own_home.path)
    summary = await Soak(own_home.path, tmp_path, short_plan(seed=1)).run()
    assert summary.misfortunes["producer_killed"]
    assert summary.misfortunes["worker_killed"]
    assert len(summary.faults) > 3
    assert summary.samples
    assert not summary.differences, "\n".join(summary.differences)
