"""Files by which a process of the bench says that something is done."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.processes import Processes

__all__ = ["wait_for", "write_whole"]

_DEADLINE_S = 120.0


def write_whole(path: Path, text: str) -> None:
    """In two steps, because another process reads it as soon as it is there."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


def wait_for(path: Path, *groups: Processes) -> str:
    """What the file says once it is there.

    Raises:
        CrashError: one of the processes failed.
        TimeoutError: it was not there after two minutes.
    """
    until = time.monotonic() + _DEADLINE_S
    while not path.exists():
        for processes in groups:
            processes.check()
        if time.monotonic() > until:
            raise TimeoutError(f"{path.name} was not written in {_DEADLINE_S:.0f} s")
        time.sleep(0.02)
    return path.read_text(encoding="utf-8")
