"""Something that is read again and again in the background, and what was read last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import psycopg
import structlog

from projections.errors import Refusal
from streams.errors import UserError

__all__ = ["Watched"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: What a broker or a database that is away makes of a request.
_AWAY = (UserError, Refusal, psycopg.Error, OSError, TimeoutError)


class Watched(Generic[T]):
    """Reads every `every` seconds; a read that takes longer than `patience` counts as failed.

    It is waited for nevertheless, so that there is only one at a time. `value` is the last one that
    came, `read` when (microseconds since 1970 UTC), and `error` why there is no newer one.
    """

    def __init__(
        self, name: str, read: Callable[[], Awaitable[T]], every: float, patience: float = 4.0
    ) -> None:
        self.name = name
        self.value: T | None = None
        self.read: int | None = None
        self.error: str | None = None
        self._read = read
        self._every = every
        self._patience = patience
        self._first = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the last read succeeded; True before the first one has ended."""
        return self.error is None

    async def first(self, within: float) -> None:
        """Return once the first read has succeeded or failed, or the time is over."""
        try:
            async with asyncio.timeout(within):
                await self._first.wait()
        except TimeoutError:
            self.error = self.error or f"no answer within {within:.0f} s"

    async def run(self) -> None:
        """Read until cancelled. Failures are kept in `error`, and logged when they begin."""
        while True:
            started = time.monotonic()
            task = asyncio.ensure_future(self._read())
            try:
                done, _ = await asyncio.wait({task}, timeout=self._patience)
                if not done:
                    self._failed(f"no answer for {self._patience:.0f} s")
                await asyncio.wait({task})
            finally:
                task.cancel()
            self._take(task)
            self._first.set()
            await asyncio.sleep(max(0.0, started + self._every - time.monotonic()))

    def _take(self, task: asyncio.Future[T]) -> None:
        error = task.exception()
        if error is None:
            self.value = task.result()
            self.read = time.time_ns() // 1000
            if self.error is not None:
                log.info("answers again", source=self.name)
            self.error = None
        elif isinstance(error, _AWAY):
            self._failed(" ".join(str(error).split()) or type(error).__name__)
        else:
            raise error

    def _failed(self, error: str) -> None:
        if self.error is None:
            log.warning("does not answer", source=self.name, reason=error)
        self.error = error
        self._first.set()
