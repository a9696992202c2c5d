"""A stage for rebuilds: topics and a database of the test's own, on the shared stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.embedded.stack import StackInfo
from streams.settings import Endpoints
from streams.topics import ensure_topics
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


@pytest.fixture
def prices(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """Prices, with a log of 3,000 records, projected."""
    stage = make_stage(Prices)
    stage.fill(3_000)
    stage.project()
    return stage


@pytest.fixture
def account(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """Trade lives, with a log of 700 records, projected."""
    stage = make_stage(Account)
    stage.fill(700)
    stage.project()
    return stage


@pytest.fixture
def tally(make_stage: Callable[[type[Stage]], Stage]) -> Stage:
    """The same log as `prices`, tallied."""
    stage = make_stage(Tallied)
    stage.fill(3_000)
    stage.project()
    return stage
