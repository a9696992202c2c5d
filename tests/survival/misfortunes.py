"""The embedded servers die at once."""

from __future__ import annotations

import contextlib

import psutil

from streams.embedded import stack
from streams.embedded.home import Home

__all__ = ["kill_kafka", "kill_postgres"]


def kill_postgres(home: Home) -> None:
    """SIGKILL to the server and all of its children at once."""
    server = psutil.Process(_pid(home, "postgres"))
    family = [server, *server.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=10)


def kill_kafka(home: Home) -> None:
    """SIGKILL."""
    process = psutil.Process(_pid(home, "kafka"))
    process.kill()
    psutil.wait_procs([process], timeout=10)


def _pid(home: Home, name: str) -> int:
    pid = next(one.pid for one in stack.status(home.path) if one.name == name)
    assert pid is not None, f"{name} does not run"
    return pid
