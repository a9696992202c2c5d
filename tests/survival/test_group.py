"""Workers joining, leaving and dying: nothing is lost, and little time."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.survival.scene import Scene, wait_for

pytestmark = pytest.mark.long


def join_and_leave(scene: Scene, times: int, seed: int) -> None:
    random = Random(seed)
    load = scene.load(per_second=1200, seed=seed)
    for _ in range(3):
        scene.worker()
    scene.wait_for_progress()
    for _ in range(times):
        living = [worker for worker in scene.workers if worker.lives]
        leaver = random.choice(living)
        if len(living) < 3 or random.random() < 0.4:
            scene.worker()
        elif random.random() < 0.5:
            leaver.kill()
        else:
            status, seconds = leaver.terminate()
            print(f"SIGTERM under load to exit: {seconds:.1f} s")
            assert status == 0, leaver.output
        time.sleep(random.uniform(0.5, 4))
    scene.finish(load)


def test_three_workers_join_and_leave(scene: Scene) -> None:
    join_and_leave(scene, times=4, seed=3)


@pytest.mark.chaos
def test_three_workers_join_and_leave_often(scene: Scene) -> None:
    join_and_leave(scene, times=25, seed=4)


def test_handover(scene: Scene) -> None:
    """The figures are printed; the limits are generous, because test machines are busy."""
    load = scene.load(per_second=800)
    workers = [scene.worker("prices") for _ in range(3)]
    scene.wait_for_progress("prices")
    time.sleep(3)
    workers[0].kill()
    seconds = scene.wait_for_progress("prices")
    print(f"SIGKILL of one of three to progress of every partition: {seconds:.1f} s")
    assert seconds < 20
    pause = longest_pause(scene, lambda: scene.worker("prices"))
    print(f"a join: the longest pause of a partition is {pause:.2f} s")
    assert pause < 10
    status, seconds = workers[1].terminate()
    print(f"SIGTERM under load to exit: {seconds:.1f} s")
    assert status == 0
    assert seconds < 15
    load.finish()
    scene.wait_until_drained("prices")
    time.sleep(1)
    status, seconds = workers[2].terminate()
    print(f"SIGTERM when idle to exit: {seconds:.1f} s")
    assert status == 0
    assert seconds < 10
    scene.verify("prices")


def longest_pause(scene: Scene, join: object) -> float:
    """Seconds that a partition stood still at most while a worker joined."""
    assert callable(join)
    before = scene.epochs("prices")
    moved = {partition: time.monotonic() for partition in before}
    last = scene.checkpoints("prices")
    longest = 0.0
    worker = join()
    begin = time.monotonic()
    while time.monotonic() - begin < 8:
        now, at = scene.checkpoints("prices"), time.monotonic()
        for partition, offset in now.items():
            if offset != last[partition]:
                longest = max(longest, at - moved[partition])
                moved[partition], last[partition] = at, offset
        time.sleep(0.02)
    assert worker.lives, worker.output
    wait_for("the join was a rebalance", lambda: scene.epochs("prices") != before)
    return longest
