"""Bringing a generation up to the live end of the log, and to exact positions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from projections.base import Partition
from projections.builder import Builder
from streams.log import LogReader

__all__ = ["Follower"]

#: Records in one unit.
_UNIT_RECORDS = 5_000


class Follower:
    """Reads on from where a generation stands, and writes what it finds there."""

    def __init__(self, builder: Builder, reader: LogReader) -> None:
        self._builder = builder
        self._reader = reader

    def missing(self, untils: Mapping[Partition, int]) -> int:
        """How many records there are up to these positions."""
        claims = self._builder.claims
        return sum(max(0, until - claims[source].next_offset) for source, until in untils.items())

    async def to_end(self) -> float:
        """Catch up with the log as it ends now; returns how many seconds that took."""
        began = time.monotonic()
        bounds = await self._reader.bounds(self._builder.claims)
        await self.up_to({source: until for source, (_, until) in bounds.items()})
        return time.monotonic() - began

    async def up_to(self, untils: Mapping[Partition, int], deadline: float | None = None) -> bool:
        """Write everything up to these positions. `deadline`, by the loop's clock, ends it.

        Returns whether all of it was written.
        """
        starts = {source: self._builder.claims[source].next_offset for source in untils}
        reading = self._reader.read(starts, untils, _UNIT_RECORDS)
        while True:
            try:
                # Only reading may be cut off: a unit's COMMIT must not.
                async with asyncio.timeout_at(deadline):
                    batches = await anext(reading)
            except StopAsyncIteration:
                return True
            except TimeoutError:
                return False
            await self._builder.project(batches)
