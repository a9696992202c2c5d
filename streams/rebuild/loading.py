"""Loading a new generation from the log, by some processes at once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from projections.base import Partition
from streams.errors import UserError
from streams.rebuild.loader import Task

__all__ = ["Loaded", "load_all"]

#: Called with the records that were loaded so far, by partition.
Loaded = Callable[[Mapping[Partition, int]], None]

#: More would take too many of the server's connections: each has two.
_MOST_PROCESSES = 8

_LOADER = (sys.executable, "-m", "streams.rebuild.loader")


def _shares(task: Task, processes: int) -> list[Task]:
    """The same task for several processes: partitions dealt out, the largest first."""
    shares: list[dict[Partition, tuple[int, int]]] = [{} for _ in range(processes)]
    sizes = [0] * processes
    by_size = sorted(task.spans.items(), key=lambda one: one[1][0] - one[1][1])
    for source, (start, until) in by_size:
        least = sizes.index(min(sizes))
        shares[least][source] = (start, until)
        sizes[least] += until - start
    return [dataclasses.replace(task, spans=share) for share in shares if share]


async def load_all(task: Task, loaded: Loaded) -> None:
    """Load all partitions of a task. Raises UserError, with what went wrong in one of them.

    No process outlives this, whatever ends it.
    """
    spans = {source: span for source, span in task.spans.items() if span[0] < span[1]}
    whole = dataclasses.replace(task, spans=spans)
    counts: dict[Partition, int] = {}

    def add(some: Mapping[Partition, int]) -> None:
        counts.update(some)
        loaded(counts)

    try:
        async with asyncio.TaskGroup() as group:
            for share in _shares(whole, min(os.cpu_count() or 1, _MOST_PROCESSES)):
                group.create_task(_run(share, add))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _run(task: Task, loaded: Loaded) -> None:
    process = await asyncio.create_subprocess_exec(
        *_LOADER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{task.to_json()}\n".encode())
        error = None
        async for line in process.stdout:
            told = json.loads(line)
            error = told.get("error", error)
            loaded({Partition(topic, part): n for topic, part, n in told.get("loaded", ())})
        status = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if status:
        places = ", ".join(map(str, _sorted(task)))
        raise UserError(error or f"{places}: the loading process ended with status {status}")


def _sorted(task: Task) -> Sequence[Partition]:
    return sorted(task.spans)
