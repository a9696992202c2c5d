"""One look for all pages that ask for the same at about the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.responses import Response

__all__ = ["Shared"]


class Shared:
    """Makes a response at most once in so many seconds; an error is told, and not kept."""

    def __init__(self, make: Callable[[], Awaitable[Response]], seconds: float = 1.0) -> None:
        self._make = make
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._made: tuple[float, Response] | None = None

    async def get(self) -> Response:
        """The newest. Raises what making it raises."""
        async with self._turn:
            if self._made is None or time.monotonic() - self._made[0] >= self._seconds:
                self._made = None
                self._made = time.monotonic(), await self._make()
            return self._made[1]
