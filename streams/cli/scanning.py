"""A bar over the records of the log, for commands that read all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.rebuild.selection import Moved

__all__ = ["scanning"]


@contextmanager
def scanning(what: str) -> Iterator[Moved]:
    """Gives what moves the bar, on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=None)

        def move(read: int, total: int) -> None:
            progress.update(task, completed=read, total=total)

        yield move
