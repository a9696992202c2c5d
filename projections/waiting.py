"""Waiting until a projection has read what one wrote: read-your-writes.

By looking at the checkpoints, at first every few milliseconds. To be notified instead would cost
each live unit a statement, and the server a lock that all committing units share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from projections import checkpoint
from projections.base import Partition
from projections.checkpoint import Standing
from projections.database import connect
from projections.errors import Refusal

__all__ = ["Late", "Mark", "wait_for"]

#: Seconds between two looks: at first, how much longer each time, and at most.
_FIRST_PAUSE_S = 0.002
_LONGER = 1.5
_LONGEST_PAUSE_S = 0.05
#: After how many seconds a database that is away is tried again.
_AWAY_PAUSE_S = 0.2
#: A look may take so long, in seconds, however short the time that is given.
_ONE_LOOK_S = 5.0

#: What passes by itself: a lost connection, a server that starts or stops.
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, OSError)


@dataclass(frozen=True, slots=True)
class Mark:
    """A record to be projected: its offset, and the id of its topic (a UUID)."""

    topic_id: str
    offset: int


class Late(Exception):
    """The time is over. `missing` says what was not projected yet; `reason` what was seen last."""

    def __init__(
        self, projection: str, missing: Mapping[Partition, Mark], reason: str, timeout: float
    ) -> None:
        self.projection, self.missing, self.reason = projection, dict(missing), reason
        places = ", ".join(f"{source}@{mark.offset}" for source, mark in missing.items())
        super().__init__(f"{projection} has not projected {places} after {timeout:g} s: {reason}")


async def wait_for(
    dsn: str, projection: str, position: Mapping[Partition, Mark], timeout: float
) -> None:
    """Return once the current generation has projected these records, and all before them.

    Each record is one that its partition's log has. `timeout` in seconds; there is one look in any
    case. It waits through a swap of generations, for the new one then, and while the database is
    away.

    Raises Late when the time is over, and Refusal when the projection has no tables, or when a
    checkpoint is of a topic that was made anew since.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout
    waiting = _Waiting(projection, position)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(max(deadline, clock() + _ONE_LOOK_S)):
            while not await waiting.look(dsn, deadline) and clock() < deadline:
                await asyncio.sleep(_AWAY_PAUSE_S)
    if waiting.missing:
        raise Late(projection, waiting.missing, waiting.reason, timeout)


class _Waiting:
    def __init__(self, projection: str, position: Mapping[Partition, Mark]) -> None:
        self.missing = dict(position)
        self.reason = "the database does not answer"
        self._projection = projection
        self._position = position

    async def look(self, dsn: str, deadline: float) -> bool:
        """Whether all was projected by the deadline; False also once the database is away."""
        clock, pause = asyncio.get_running_loop().time, _FIRST_PAUSE_S
        try:
            async with await connect(dsn, f"{self._projection} wait", {}) as connection:
                while True:
                    standing = await checkpoint.standing(connection, self._projection)
                    self._compare(standing)
                    if not self.missing or clock() >= deadline:
                        return not self.missing
                    await asyncio.sleep(min(pause, max(0.0, deadline - clock())))
                    pause = min(_LONGER * pause, _LONGEST_PAUSE_S)
        except _AWAY as error:
            self.reason = f"the database is away: {' '.join(str(error).split())}"
            return False

    def _compare(self, standing: Mapping[Partition, Standing]) -> None:
        for source, mark in self._position.items():
            found = standing.get(source)
            if found is not None and found.topic_id != mark.topic_id:
                raise Refusal(
                    f"{self._projection}: {source} was deleted and made anew since its checkpoint"
                    f" was written; rebuild with `tape rebuild {self._projection}`"
                )
        # All of it each time: another generation may be current by now, and behind.
        self.missing = {
            source: mark
            for source, mark in self._position.items()
            if source not in standing or standing[source].next_offset <= mark.offset
        }
        stands = ", ".join(_stands(source, standing.get(source)) for source in self.missing)
        self.reason = f"{stands}; is a worker running?"


def _stands(source: Partition, standing: Standing | None) -> str:
    if standing is None:
        return f"{source} was never read"
    if not standing.next_offset:
        return f"nothing of {source} is projected"
    return f"{source} is projected up to offset {standing.next_offset - 1}"
