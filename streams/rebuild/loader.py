"""A process that loads some partitions into a generation: `python -m streams.rebuild.loader`.

It takes its task as one line of JSON on standard input, tells its progress in lines of JSON on
standard output, and ends at once when its standard input ends: its parent was killed then.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import uvloop

from projections import PROJECTIONS
from projections.base import Batch, Decoded, Partition, Projection, count_records
from projections.builder import Builder
from projections.checkpoint import LogStart
from projections.errors import Fenced, Refusal
from streams.errors import UserError
from streams.garbage import collect_garbage_seldom
from streams.live import replaying
from streams.log import LogReader, leave_records_as_parsed
from streams.rebuild.faults import explained
from streams.settings import Endpoints, endpoints, load_settings

#: Records in one transaction.
UNIT_RECORDS = 10_000
#: How often (seconds) the progress is told.
_TELL_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """Which partitions to load into which generation: of each the topic's id, and from which
    offset up to which; and whether dead letters are accepted that live has not."""

    projection: str
    generation: int
    topic_ids: Mapping[str, str]
    spans: Mapping[Partition, tuple[int, int]]
    accepts_dead_letters: bool = False

    def to_json(self) -> str:
        """One line, for `Task.read`."""
        spans = [[*source, *span] for source, span in self.spans.items()]
        about = [self.projection, self.generation, dict(self.topic_ids), spans]
        return json.dumps([*about, self.accepts_dead_letters])

    @classmethod
    def read(cls, text: str) -> Task:
        """What `to_json` wrote."""
        projection, generation, topic_ids, spans, accepts = json.loads(text)
        found = {Partition(topic, part): (start, until) for topic, part, start, until in spans}
        return cls(projection, generation, topic_ids, found, accepts)


async def load(task: Task, builder: Builder, at: Endpoints) -> None:
    """Load the partitions of a task; decodes one unit while the one before is being written."""
    projection = builder.projection
    progress = _Progress()
    await builder.claim(
        {
            source: LogStart(task.topic_ids[source.topic], start)
            for source, (start, _) in task.spans.items()
        }
    )
    starts = {source: start for source, (start, _) in task.spans.items()}
    untils = {source: until for source, (_, until) in task.spans.items()}
    writing: asyncio.Task[None] | None = None
    async with LogReader.open(at) as reader:
        async for batches in reader.read(starts, untils, UNIT_RECORDS):
            decoded = await asyncio.to_thread(_decode, projection, batches)
            if writing is not None:
                await writing
            writing = asyncio.create_task(_write(builder, batches, decoded, progress))
        if writing is not None:
            await writing
    progress.tell()


def _decode(projection: Projection[Any], batches: list[Batch]) -> Decoded[Any] | None:
    """None where it fails: the builder then isolates why."""
    try:
        return projection.decode(batches)
    except Exception:
        return None


async def _write(
    builder: Builder, batches: list[Batch], decoded: Decoded[Any] | None, progress: _Progress
) -> None:
    await builder.load(batches, decoded)
    for batch in batches:
        progress.add(batch)


class _Progress:
    """Records loaded of each partition, told now and then."""

    def __init__(self) -> None:
        self._loaded: dict[Partition, int] = {}
        self._told = 0.0

    def add(self, batch: Batch) -> None:
        self._loaded[batch.source] = self._loaded.get(batch.source, 0) + count_records([batch])
        if time.monotonic() - self._told > _TELL_EVERY:
            self.tell()

    def tell(self) -> None:
        self._told = time.monotonic()
        _say(loaded=[[*source, count] for source, count in self._loaded.items()])


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


async def _run(task: Task) -> None:
    at = endpoints(load_settings())
    async with Builder(
        PROJECTIONS[task.projection](),
        at.dsn,
        task.generation,
        accepts_dead_letters=task.accepts_dead_letters,
    ) as builder:
        await load(task, builder, at)


def main() -> int:
    """Do one task; the exit status is 1, with a line that says why, where that failed."""
    replaying()
    uvloop.install()
    collect_garbage_seldom()
    leave_records_as_parsed()
    task = Task.read(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        asyncio.run(_run(task))
    except (UserError, Refusal, Fenced, psycopg.Error, OSError) as error:
        _say(error=explained(error, task.projection))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
