"""A worker frozen past its session in the midst of a unit, its partitions taken over, thawed."""

from __future__ import annotations

import signal
import time

import pytest

from projections.unit import TRANSACTION_TIMEOUT_MS
from tests.survival.scene import (
    PARTITIONS,
    Scene,
    frozen,
    thaw_after_takeover,
    wait_for,
)


@pytest.mark.parametrize(
    "step",
    [
        "in_copy",
        pytest.param("before_seconds", marks=pytest.mark.chaos),
        "before_commit",
        pytest.param("after_claim", marks=pytest.mark.chaos),
        pytest.param("before_unit", marks=pytest.mark.chaos),
    ],
)
def test_frozen_past_its_session(scene: Scene, step: str) -> None:
    """Its late commit is refused, and the new owner waits no longer than the server allows."""
    load = scene.load(per_second=800)
    victim = scene.worker(
        fail=("prices", step, 1 if step == "after_claim" else 5, "freeze"),
        step_by_step=step in {"in_copy", "before_seconds"},
    )
    frozen(victim)
    began = time.monotonic()
    before = scene.epochs("prices")
    with scene.longest_wait_for_a_lock() as longest:
        heir = scene.worker()
        wait_for(
            "the partitions were taken over",
            lambda: (
                all(
                    epoch > before.get(partition, 0)
                    for partition, epoch in scene.epochs("prices").items()
                )
                and len(scene.epochs("prices")) == PARTITIONS
            ),
        )
        scene.wait_for_progress("prices")
    print(
        f"frozen {step}: progress after {time.monotonic() - began:.1f} s,"
        f" the claim waited {longest[0]:.1f} s for a lock"
    )
    assert longest[0] < TRANSACTION_TIMEOUT_MS / 1000 + 2
    victim.send(signal.SIGCONT)
    scene.wait_for_progress()
    wait_for("the thawed worker took part again", lambda: scene.epochs("prices") != before)
    scene.finish(load)
    assert victim.lives, victim.output
    assert heir.lives, heir.output


def test_frozen_owner_cannot_commit_late(scene: Scene) -> None:
    thaw_after_takeover(scene, "prices", "before_commit")
