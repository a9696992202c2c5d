"""`tape replay`: recordings into Kafka, through the parsers of the live connectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import log_to_stderr
from streams.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from streams.recording import Recording
    from streams.replay import Summary

__all__ = ["replay"]


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings: ours, or sample formats.")],
    speed: Annotated[str, typer.Option(help="1x as it came, 10x, or max.")] = "max",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Send recordings to the topics of their events. Doing it again changes no table.

    Example: tape replay ticks.jsonl.zst --speed 10x
    """
    from streams.replay import parse_speed

    log_to_stderr()
    multiple = parse_speed(speed)
    for file in files:
        if not file.is_file():
            raise UserError(f"there is no file {file}")
    summary, truncated = asyncio.run(_replay(files, multiple))
    if as_json:
        print(json.dumps({**asdict(summary), "truncated": [str(file) for file in truncated]}))
        return
    print(
        f"{summary.frames:,} frames: {summary.trades:,} trades, {summary.quotes:,} quotes, "
        f"{summary.others:,} others, {summary.gaps:,} gaps, {summary.unparsed:,} not read"
    )
    for file in truncated:
        print(f"{file} ends too early: it was replayed to its last complete frame")


async def _replay(files: list[Path], speed: float | None) -> tuple[Summary, list[Path]]:
    from streams import replay as replaying
    from streams.producer import Producer
    from streams.recording import Recording
    from streams.settings import endpoints, load_settings

    summary = replaying.Summary()
    recordings = [Recording(file) for file in files]
    async with Producer(endpoints(load_settings(), with_postgres=False)) as producer:
        with _progress() as progress:
            for recording in recordings:
                advanced = _bar(progress, recording)
                await replaying.replay(recording, producer, speed, summary, advanced)
        await producer.flush()
    return summary, [one.path for one in recordings if one.truncated]


def _progress() -> Progress:
    """Bars over the bytes of each file, with the remaining time, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _bar(progress: Progress, recording: Recording) -> Callable[[], None]:
    """A bar for one file, and what moves it to where its reading is."""
    task = progress.add_task(recording.path.name, total=recording.path.stat().st_size)
    shown = 0

    def move() -> None:
        nonlocal shown
        if shown != recording.position:
            shown = recording.position
            progress.update(task, completed=shown)

    return move
