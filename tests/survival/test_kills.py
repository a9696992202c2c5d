"""SIGKILL of the worker: at each step of the unit of work, and at any moment."""

from __future__ import annotations

import signal
import time
from random import Random

import pytest

from tests.survival.scene import Scene

pytestmark = pytest.mark.long

#: (step, the time that it is reached, whether small units are written as large ones are)
STEPS = [
    ("in_claim", 1, False),
    ("after_claim", 1, False),
    ("before_unit", 3, False),
    ("after_advance", 3, True),
    ("in_copy", 3, True),
    ("before_seconds", 3, True),
    ("before_latest", 3, False),
    ("after_write", 3, True),
    ("after_dead_letters", 2, False),
    ("after_dead_letters", 2, True),
    ("before_commit", 3, False),
    ("before_commit", 3, True),
    ("after_commit", 3, False),
    ("after_commit", 3, True),
    ("before_copying_offsets", 1, False),
]


def test_killed_at_each_step_of_the_unit_of_work(scene: Scene) -> None:
    """One worker after another dies at one step; nothing is lost and nothing is doubled."""
    load = scene.load(per_second=400)  # for as long as twenty workers take
    for step, nth, step_by_step in STEPS:
        worker = scene.worker(
            fail=("prices", step, nth, "kill"),
            group=f"{scene.name}-{step}-{step_by_step}",
            step_by_step=step_by_step,
        )
        assert worker.wait_for_end() == -signal.SIGKILL, worker.output
        assert step in worker.output
    for step in ("after_advance", "after_write", "after_commit"):
        worker = scene.worker(
            "tally", fail=("tally", step, 1, "kill"), group=f"{scene.name}-{step}"
        )
        assert worker.wait_for_end() == -signal.SIGKILL, worker.output
        assert step in worker.output
    scene.worker()
    scene.finish(load)


def kill_at_random(scene: Scene, times: int, seed: int) -> None:
    random = Random(seed)
    load = scene.load(per_second=1500, seed=seed)
    scene.worker()
    scene.wait_for_progress()
    for _ in range(times):
        worker = scene.worker()
        time.sleep(random.uniform(0.5, 8))
        older = scene.workers[-2]
        older.kill()
        assert worker.lives, worker.output
    scene.finish(load)


def test_killed_at_random(scene: Scene) -> None:
    kill_at_random(scene, times=4, seed=7)


@pytest.mark.chaos
def test_killed_thirty_times_at_random(scene: Scene) -> None:
    kill_at_random(scene, times=30, seed=30)
