"""The stack whose parts are lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import make_home, remove_stack
from tests.streams.backup.site import Site


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each test leaves it whole, whatever it lost."""
    folder = tmp_path_factory.mktemp("site")
    home = make_home(folder / "home")
    site = Site(home, folder / "backups")
    site.back_up()
    yield site
    remove_stack(home.path)
