"""What the commands that build generations share: projections by name, and progress bars."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from streams.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from projections.base import Partition
    from streams.rebuild.source import Source

__all__ = ["Display", "all_projections", "known_projections", "tell_decisions"]


def known_projections(names: list[str]) -> list[str]:
    """The names, each once. Raises UserError for one that no projection has."""
    for name in names:
        if name not in all_projections():
            known = ", ".join(all_projections())
            raise UserError(f"no projection is named {name!a}; there are: {known}")
    return list(dict.fromkeys(names))


def all_projections() -> list[str]:
    """The names of all that are registered, sorted."""
    from projections import PROJECTIONS

    return sorted(PROJECTIONS)


def tell_decisions() -> None:
    """Send what was decided, by a process that may: this one reads the log again.

    Where that fails, a worker does it.
    """
    command = [sys.executable, "-m", "streams.decisions"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        print(
            "tape: the decision is kept in the database; a worker sends it to system.decisions",
            file=sys.stderr,
        )


class Display:
    """Progress bars, one a partition, on standard error if that is a terminal."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._name = name
        self._tasks: dict[Partition, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._phase = self._progress.add_task(name, total=None, rate="")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def phase(self, name: str) -> None:
        self._progress.update(self._phase, description=f"{self._name}: {name}")

    def loading(self, source: Source) -> None:
        for part, (first, until) in source.bounds.items():
            if first < until:
                total = until - first
                self._tasks[part] = self._progress.add_task(str(part), total=total, rate="")
        whole = sum(until - first for first, until in source.bounds.values())
        self._progress.update(self._phase, total=whole)

    def loaded(self, counts: Mapping[Partition, int]) -> None:
        for part, count in counts.items():
            task = self._tasks[part]
            speed = self._progress.tasks[task].speed
            rate = "" if speed is None else f"{speed:,.0f}/s"
            self._progress.update(task, completed=count, rate=rate)
        self._progress.update(self._phase, completed=sum(counts.values()))

    def waits(self, reason: str) -> None:
        self._progress.update(self._phase, description=f"{self._name}: swapping again ({reason})")
