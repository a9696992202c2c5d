"""Stages for what reads the log again.

A stage has topics and a database of the test's own, on the shared stack. `logged` is one stack for
many tests, whose topics are filled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.embedded.stack import StackInfo
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.conftest import make_home, remove_stack
from tests.streams.rebuild import told
from tests.streams.rebuild.logged import Logged
from tests.streams.rebuild.stage import Account, Prices, Stage, Tallied


@pytest.fixture
def make_stage(
    stack: StackInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[type[Stage]], Stage]]:
    """Sets up stages of any kind, and tears them down."""
    ensure_topics(Endpoints(stack.brokers, {}, stack.dsn, True, True))
    stages: list[Stage] = []

    def make(kind: type[Stage]) -> Stage:
        stage = kind(stack.home, tmp_path)
        stages.append(stage)
        stage.set_up()
        stage.install(monkeypatch)
        return stage

    yield make
    for stage in stages:
        stage.tear_down()


def projected(stage: Stage, count: int) -> Stage:
    """The stage with a log of so many records, projected."""
    stage.fill(count)
    stage.project()
    return stage


@pytest.fixture
def prices(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """Prices, with a log of 1,500 records, projected."""
    return projected(make_stage(Prices), 1_500)


@pytest.fixture
def account(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """Trade lives, with a log of 500 records, projected."""
    return projected(make_stage(Account), 500)


@pytest.fixture
def tally(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """The same log as `prices`, tallied."""
    return projected(make_stage(Tallied), 1_500)


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """The stack. A test may add records of keys of its own, and leaves the others' rows alone."""
    home = make_home(tmp_path_factory.mktemp("stack") / "home")
    made = Logged(home)
    made.send([*told.prices(), *told.account(), *told.market()])
    made.project()
    yield made
    remove_stack(home.path)
