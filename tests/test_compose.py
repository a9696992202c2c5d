"""docker-compose.yml, as Debian's docker-compose reads it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed"
)


def config(**environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "config"],
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_compose
def test_it_is_accepted_and_runs_three_workers() -> None:
    done = config(POSTGRES_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    assert "replicas: 3" in done.stdout


@needs_compose
def test_it_asks_for_a_password_instead_of_inventing_one() -> None:
    done = config()
    assert done.returncode != 0
    assert "POSTGRES_PASSWORD" in done.stderr


def test_the_broker_is_the_version_that_the_embedded_stack_runs() -> None:
    from streams.embedded.jars import COORDINATES

    version = COORDINATES.split("+")[0].rsplit(":", 1)[1]
    assert f"image: apache/kafka:{version}" in (ROOT / "docker-compose.yml").read_text()
