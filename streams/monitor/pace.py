"""How often is looked; it may change while somebody waits for the next look."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

__all__ = ["Pace"]

#: Between two looks others get their turn, however long a look takes. Seconds.
_PAUSE_S = 0.05


class Pace:
    """Seconds from the beginning of one look to that of the next."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        """How long it takes at present."""
        return self._seconds

    def change(self, seconds: float) -> None:
        """From now on, also for those who wait already."""
        if seconds != self._seconds:
            self._seconds = seconds
            self._changed.set()
            self._changed = asyncio.Event()

    async def next(self, started: float, at_least: float = 0.0) -> None:
        """Wait until a look is due that comes after one which began at `started` (monotonic).

        `at_least`: what takes long, or changes slowly, is looked at no more often.
        """
        await asyncio.sleep(_PAUSE_S)
        while True:
            left = started + max(self._seconds, at_least) - time.monotonic()
            if left <= 0:
                return
            changed = self._changed
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()
