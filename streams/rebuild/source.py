"""What there is to rebuild from: a projection's topics, their ids, and the bounds of their logs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from projections.base import Partition, Projection
from projections.checkpoint import LogStart
from streams.archive.joining import with_archive
from streams.log import Bounds
from streams.settings import Endpoints
from streams.topics import partition_bounds, topic_ids

__all__ = ["Source", "find_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """The topics' ids, and of each partition the first offset and the one behind the last."""

    topic_ids: Mapping[str, str]
    bounds: Mapping[Partition, Bounds]

    @property
    def starts(self) -> dict[Partition, LogStart]:
        """What to claim."""
        return {
            source: LogStart(self.topic_ids[source.topic], first)
            for source, (first, _) in self.bounds.items()
        }

    def up_to(self, untils: Mapping[Partition, int]) -> Source:
        """The same, but no further than these positions; a partition without one is left out."""
        bounds = {
            source: (first, min(until, untils[source]))
            for source, (first, until) in self.bounds.items()
            if first <= untils.get(source, -1)
        }
        return Source(self.topic_ids, bounds)


async def find_source(projection: Projection[Any], at: Endpoints) -> Source:
    """Ask the broker, and the archive for what the log no longer has.

    Raises UserError: the broker is out of reach, or lacks a topic; the archive is damaged.
    """
    return await asyncio.to_thread(_find, projection, at)


def _find(projection: Projection[Any], at: Endpoints) -> Source:
    ids = topic_ids(at, projection.topics)
    found = partition_bounds(at, projection.topics)
    bounds = {Partition(*place): held for place, held in sorted(found.items())}
    return Source(ids, with_archive(at.archive, ids, bounds))
