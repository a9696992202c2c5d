"""A stack of this folder's own, because its broker and its database are killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.survival.account_scene import AccountScene
from tests.survival.market_scene import MarketScene
from tests.survival.scene import Scene

S = TypeVar("S", bound=Scene)


@pytest.fixture(scope="session")
def survival_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The home of a running stack that every scenario may kill and must start again."""
    path = tmp_path_factory.mktemp("survival") / "home"
    started = embedded.start(path)
    ensure_topics(Endpoints(started.brokers, {}, started.dsn, True, True))
    yield started.home
    embedded.stop(path)
    shutil.rmtree(started.home.postgres_folder, ignore_errors=True)
    shutil.rmtree(path)


@pytest.fixture
def scene(survival_home: Home, tmp_path: Path) -> Iterator[Scene]:
    """A topic, a group and a database of the scenario's own."""
    with _on(Scene(survival_home, tmp_path)) as scene:
        yield scene


@pytest.fixture
def account_scene(survival_home: Home, tmp_path: Path) -> Iterator[AccountScene]:
    """The same for the projection `account`: three topics."""
    with _on(AccountScene(survival_home, tmp_path)) as scene:
        yield scene


@pytest.fixture
def market_scene(survival_home: Home, tmp_path: Path) -> Iterator[MarketScene]:
    """The same for the projection `market`: two topics."""
    with _on(MarketScene(survival_home, tmp_path)) as scene:
        yield scene


@contextmanager
def _on(scene: S) -> Iterator[S]:
    embedded.start(scene.home.path)  # an earlier scenario may have failed while it was down
    scene.set_up()
    yield scene
    scene.tear_down()
