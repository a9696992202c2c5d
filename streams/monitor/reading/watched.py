"""Something that is read again and again, and what was read last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import psycopg
import structlog

from projections.errors import Refusal
from streams.errors import UserError
from streams.monitor.pace import Pace

__all__ = ["Watched"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: How long a read in the background may take, in seconds.
_PATIENCE_S = 5.0
#: How long who is away is waited for, in seconds.
_AWAY_S = 0.3

#: What a broker or a database that is away makes of a request.
_AWAY = (UserError, Refusal, psycopg.Error, OSError, TimeoutError)


class Watched(Generic[T]):
    """Reads when it is asked to, one read at a time: who takes too long counts as failed.

    `value` is the last one that came, `read` when it did (microseconds since 1970 UTC), and `error`
    why there is no newer one.
    """

    def __init__(self, name: str, read: Callable[[], Awaitable[T]]) -> None:
        self.name = name
        self.value: T | None = None
        self.read: int | None = None
        self.error: str | None = None
        self._read = read
        self._reading: asyncio.Future[T] | None = None

    @property
    def is_up(self) -> bool:
        """Whether the last read succeeded; True before the first one has ended."""
        return self.error is None

    async def refresh(self, within: float) -> None:
        """Read, and wait for it so many seconds; a read that hangs is waited for by the next call.

        Raises nothing: what goes wrong is in `error`, and logged when it begins.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        # Who does not answer anyway must not hold up all others each time.
        done, _ = await asyncio.wait({self._reading}, timeout=within if self.is_up else _AWAY_S)
        if done:
            task, self._reading = self._reading, None
            self._take(task)
        else:
            self._failed(f"no answer for {within:g} s")

    async def run(self, pace: Pace, at_least: float) -> None:
        """Refresh at this pace, but no more often than each `at_least` seconds, until cancelled."""
        while True:
            started = time.monotonic()
            await self.refresh(_PATIENCE_S)
            await pace.next(started, at_least)

    async def stop(self) -> None:
        """End a read that has not ended."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    def _take(self, task: asyncio.Future[T]) -> None:
        error = task.exception()
        if error is None:
            self.value = task.result()
            self.read = time.time_ns() // 1000
            if self.error is not None:
                log.info("answers again", source=self.name)
            self.error = None
        elif isinstance(error, _AWAY):
            # PostgreSQL's further lines show the statement, or what to try.
            self._failed(next(iter(str(error).splitlines()), type(error).__name__))
        else:
            raise error

    def _failed(self, error: str) -> None:
        if self.error is None:
            log.warning("does not answer", source=self.name, reason=error)
        self.error = error
