"""A rebuild under live load, killed wherever it may be: the tables are what the log says."""

from __future__ import annotations

import signal

import pytest

from tests.survival.account_scene import AccountScene
from tests.survival.market_scene import MarketScene
from tests.survival.rebuild_process import STEPS
from tests.survival.scene import Scene

pytestmark = pytest.mark.long

#: Behind the swap: the new generation is live already.
SWAPPED = {"swapped", "dropped"}


def survive(scene: Scene, projection: str, step: str) -> None:
    """A rebuild dies at this step, and the next one succeeds, while a worker goes on."""
    worker = scene.worker()
    load = scene.load(per_second=250)
    scene.wait_for_progress()
    before = scene.current(projection)
    killed = scene.rebuild(projection, step)
    if step == "loader":
        assert killed.returncode == 2, killed.stderr
        assert "ended with status -9" in killed.stderr
    else:
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (scene.current(projection) == before) is (step not in SWAPPED)
    scene.wait_for_progress()
    done = scene.rebuild(projection)
    assert done.returncode == 0, done.stderr
    assert scene.current(projection) > before
    scene.wait_for_progress()
    scene.finish(load)
    left = scene.query("select generation from generations where projection = %s", projection)
    assert left == [(scene.current(projection),)]
    assert worker.lives, worker.output


def on_each_step(*short: str) -> pytest.MarkDecorator:
    """The other steps are for the long form."""
    steps = [
        step if step in short else pytest.param(step, marks=pytest.mark.chaos) for step in STEPS
    ]
    return pytest.mark.parametrize("step", steps)


@on_each_step("in_swap")
def test_prices_survive_a_rebuild_that_is_killed(scene: Scene, step: str) -> None:
    survive(scene, "prices", step)


@on_each_step()
def test_the_account_survives_a_rebuild_that_is_killed(
    account_scene: AccountScene, step: str
) -> None:
    survive(account_scene, "account", step)


@on_each_step()
def test_the_market_survives_a_rebuild_that_is_killed(market_scene: MarketScene, step: str) -> None:
    survive(market_scene, "market", step)
