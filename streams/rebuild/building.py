"""From an empty generation to one that is as far as the log was, for rebuilds and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from projections.base import Partition
from projections.builder import Builder
from streams.rebuild.loader import Task
from streams.rebuild.loading import load_all
from streams.rebuild.source import Source

__all__ = ["Reporter", "build"]


class Reporter(Protocol):
    """Where a rebuild tells how far it is."""

    def phase(self, name: str) -> None:
        """It has begun with `loading`, `deriving`, `catching up`, `swapping` or `dropping`."""

    def loading(self, source: Source) -> None:
        """These are the partitions, and their bounds."""

    def loaded(self, counts: Mapping[Partition, int]) -> None:
        """So many records of each are loaded."""

    def waits(self, reason: str) -> None:
        """A swap has to be tried again."""


async def build(builder: Builder, source: Source, reporter: Reporter) -> None:
    """Load a new generation between the bounds of the source, and derive what follows.

    Raises UserError and psycopg's errors.
    """
    reporter.phase("loading")
    reporter.loading(source)
    await builder.prepare()
    await builder.claim(source.starts)
    task = Task(
        builder.projection.name,
        builder.generation,
        source.topic_ids,
        source.bounds,
        builder.accepts_dead_letters,
    )
    await load_all(task, reporter.loaded)
    await builder.claim(source.starts)
    reporter.phase("deriving")
    await builder.finish()
