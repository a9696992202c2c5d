"""What the tests of connectors, recordings and replays share, and databases with tables."""

from pathlib import Path

import pytest

from tests.projections.conftest import migrated_dsn, migrated_template

__all__ = ["migrated_dsn", "migrated_template", "samples"]

_SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of recorded samples beside the repository; they are never copied into it."""
    if not _SAMPLES.is_dir():
        pytest.skip("no samples: ../shared/samples is absent")
    return _SAMPLES
