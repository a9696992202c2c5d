"""A stack of this folder's own, because its broker and its database are killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.survival.scene import Scene


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
    embedded.start(survival_home.path)  # an earlier scenario may have failed while it was down
    scene = Scene(survival_home, tmp_path)
    scene.set_up()
    yield scene
    scene.tear_down()
