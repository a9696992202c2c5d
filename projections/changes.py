"""Which records changed a row, without going through them one by one.

Records are written in large units, each behind a mark. Where a unit wrote the row, it is taken back
and written again by halves: so a few among a million are found in logarithmic steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from projections.base import Batch
from projections.row import Row, RowKey, Seen
from projections.scratch import Scratch

#: Records in one unit.
UNIT = 5_000


class Log(Protocol):
    """Records in an order, read from one place of it up to and without another."""

    def __len__(self) -> int: ...
    def read(self, first: int, until: int) -> list[Batch]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """What the record at a place of the log made of the row; None is no row."""

    place: int
    before: Row | None
    after: Row | None


async def write_all(scratch: Scratch, log: Log) -> None:
    """Write the whole log."""
    for first in range(0, len(log), UNIT):
        await scratch.write(log.read(first, first + UNIT))


async def newest_changes(scratch: Scratch, log: Log, key: RowKey, limit: int) -> list[Change]:
    """The newest changes of a row by the log, at most so many, the newest first.

    What is taken back by the same unit as it was made (a row that came and went) is not seen.
    """
    return await _Search(scratch, log, key, limit).run()


class _Search:
    def __init__(self, scratch: Scratch, log: Log, key: RowKey, limit: int) -> None:
        self._scratch = scratch
        self._log = log
        self._key = key
        self._limit = limit
        self._found: list[Change] = []

    async def run(self) -> list[Change]:
        units = []
        before = await self._scratch.look(self._key)
        for first in range(0, len(self._log), UNIT):
            until = min(first + UNIT, len(self._log))
            await self._scratch.mark(_name(first, until))
            after = await self._write(first, until)
            if after.version != before.version:
                units.append((first, until, before))
            before = after
        for first, until, before in reversed(units):
            if len(self._found) < self._limit:
                await self._scratch.back_to(_name(first, until))
                await self._descend(first, until, before)
        return self._found

    async def _descend(self, first: int, until: int, before: Seen) -> None:
        """Find the changes of a part whose beginning is where the tables are, the newest first."""
        if until - first == 1:
            after = await self._write(first, until)
            if after.row != before.row:
                self._found.append(Change(first, before.row, after.row))
            return
        middle = (first + until) // 2
        await self._scratch.mark(_name(first, middle))
        between = await self._write(first, middle)
        await self._scratch.mark(_name(middle, until))
        after = await self._write(middle, until)
        if after.version != between.version:
            await self._scratch.back_to(_name(middle, until))
            await self._descend(middle, until, between)
        if between.version != before.version and len(self._found) < self._limit:
            await self._scratch.back_to(_name(first, middle))
            await self._descend(first, middle, before)

    async def _write(self, first: int, until: int) -> Seen:
        await self._scratch.write(self._log.read(first, until))
        return await self._scratch.look(self._key)


def _name(first: int, until: int) -> str:
    return f"from {first} to {until}"
