"""SIGKILL under a load of trade lives leaves the tables that the reference says."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from itertools import cycle
from random import Random

import pytest

from tests.survival.account_scene import AccountScene
from tests.survival.scene import thaw_after_takeover

#: Where a worker dies in a unit of work: with all of it written, with nothing but facts written,
#: with the server told all but COMMIT, before anything, and when it is done.
STEPS = ["after_write", "before_deriving", "before_commit", "before_unit", "after_commit"]


class Ordeal:
    """A scene's workers, two or more, and what they suffer; the youngest always lives on."""

    def __init__(self, scene: AccountScene, workers: int, seed: int) -> None:
        self._scene = scene
        self._random = Random(seed)
        self._steps = cycle(STEPS)
        self._join(workers)

    def _join(self, workers: int) -> None:
        for _ in range(workers):
            self._scene.worker()

    def workers_die(self) -> None:
        """One that joins in the midst of a unit, those before the youngest at any moment; as many
        join again. It has partitions then: of four, a worker of three may have none.
        """
        *older, _ = [worker for worker in self._scene.workers if worker.lives]
        step, nth = next(self._steps), self._random.randint(2, 30)
        doomed = self._scene.worker(
            fail=("account", step, nth, "kill"), step_by_step=self._random.random() < 0.5
        )
        for worker in older:
            time.sleep(self._random.uniform(0.5, 3))
            worker.kill()
        assert doomed.wait_for_end() == -signal.SIGKILL, doomed.output
        assert step in doomed.output
        self._join(len(older))

    def database_dies(self) -> None:
        self._scene.kill_postgres()
        time.sleep(self._random.uniform(0.2, 2))
        self._scene.restart()

    def all_is_well(self) -> None:
        self._scene.wait_for_progress()


def survive(
    scene: AccountScene, misfortunes: Sequence[str], *, workers: int, per_second: int, seed: int
) -> None:
    """A load, and misfortunes one after the other."""
    load = scene.load(per_second, seed)
    ordeal = Ordeal(scene, workers, seed)
    scene.wait_for_progress()
    for misfortune in misfortunes:
        began = time.monotonic()
        getattr(ordeal, misfortune)()
        print(f"{misfortune}: {time.monotonic() - began:.1f} s")
    scene.finish(load)
    assert sum(worker.lives for worker in scene.workers) == workers, scene.logs()
    print(f"{len(scene.lives.events)} events and {scene.lives.garbage.total()} that are none")


def test_workers_and_the_database_killed(account_scene: AccountScene) -> None:
    misfortunes = ["workers_die", "database_dies", "all_is_well"]
    survive(account_scene, misfortunes, workers=2, per_second=300, seed=1)


@pytest.mark.chaos
def test_workers_and_the_database_killed_often(account_scene: AccountScene) -> None:
    """Twenty-one workers of three at a time, and the database three times."""
    misfortunes = [*["workers_die"] * 7, *["database_dies"] * 3, *["all_is_well"] * 5]
    Random(2).shuffle(misfortunes)
    survive(account_scene, misfortunes, workers=3, per_second=400, seed=2)


@pytest.mark.parametrize(
    "step",
    ["before_deriving", pytest.param("before_commit", marks=pytest.mark.chaos)],
)
def test_frozen_in_the_midst_of_a_unit(account_scene: AccountScene, step: str) -> None:
    """It holds the locks of markets that the heir needs too."""
    thaw_after_takeover(account_scene, "account", step)
