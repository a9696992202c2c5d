"""The stack whose parts are lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams import live
from tests.conftest import make_home, remove_stack
from tests.streams.backup.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each test leaves it whole, whatever it lost."""
    folder = tmp_path_factory.mktemp("site")
    home = make_home(folder / "home")
    made = Site(home, folder / "backups")
    made.back_up()
    yield made
    remove_stack(home.path)


@pytest.fixture(autouse=True)
def commands_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process leave nothing behind in it."""
    monkeypatch.setattr(live.Live, "_purpose", None)
