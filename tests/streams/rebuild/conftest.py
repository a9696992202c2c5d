"""One stack for all tests of what reads the log again: its topics are filled once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import make_home, remove_stack
from tests.streams.rebuild.logged import Logged
from tests.streams.rebuild.told import account, market, prices


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """The stack. A test may add records of keys of its own, and leaves the others' rows alone."""
    home = make_home(tmp_path_factory.mktemp("stack") / "home")
    made = Logged(home)
    made.send([*prices(), *account(), *market()])
    made.project()
    yield made
    remove_stack(home.path)
