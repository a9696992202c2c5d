"""PostgreSQL and the broker killed under load, and the connection cut during COMMIT."""

from __future__ import annotations

import time

import pytest

from tests.survival.proxy import CommitCutter
from tests.survival.scene import Scene, wait_for

pytestmark = pytest.mark.long


def lose_postgres(scene: Scene, times: int) -> None:
    load = scene.load(per_second=1000)
    workers = [scene.worker(), scene.worker()]
    scene.wait_for_progress()
    for number in range(times):
        scene.kill_postgres()
        time.sleep(0.5 + number % 3)
        scene.restart()
        print(f"PostgreSQL back to progress: {scene.wait_for_progress():.1f} s")
        time.sleep(0.7)
    scene.finish(load)
    assert all(worker.lives for worker in workers), scene.logs()


def test_postgres_killed(scene: Scene) -> None:
    lose_postgres(scene, times=2)


@pytest.mark.chaos
def test_postgres_killed_often(scene: Scene) -> None:
    lose_postgres(scene, times=12)


def lose_broker(scene: Scene, times: int, away: float) -> None:
    load = scene.load(per_second=1000)
    workers = [scene.worker(), scene.worker()]
    scene.wait_for_progress()
    for _ in range(times):
        began = time.monotonic()
        scene.kill_kafka()
        time.sleep(away)
        scene.restart()
        scene.wait_for_progress()
        print(f"the broker's death to progress: {time.monotonic() - began:.1f} s")
    scene.finish(load)
    assert all(worker.lives for worker in workers), scene.logs()


def test_broker_killed(scene: Scene) -> None:
    lose_broker(scene, times=1, away=1)


@pytest.mark.chaos
def test_broker_killed_often(scene: Scene) -> None:
    lose_broker(scene, times=5, away=12)


@pytest.mark.parametrize("reached", [True, False], ids=["reply-lost", "commit-lost"])
def test_connection_cut_during_commit(scene: Scene, reached: bool) -> None:
    """Every fifth COMMIT of a unit is cut: after the server did it, or before it heard of it."""
    with CommitCutter(scene.dsn, every=5, forward=reached) as cutter:
        load = scene.load(per_second=1000)
        worker = scene.worker(dsn=cutter.dsn)
        scene.wait_for_progress()
        wait_for("ten COMMITs cut", lambda: cutter.cut >= 10)
        scene.finish(load)
        assert worker.lives, worker.output
        assert worker.terminate()[0] == 0
