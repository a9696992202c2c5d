"""The one place where the console gets the Pictures of the running system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.console.source import UNWATCHED_S, PictureSource
from streams.monitor.observatory import Observatory
from streams.monitor.thresholds import thresholds_of
from streams.settings import Endpoints, Settings

__all__ = ["pictures"]


@asynccontextmanager
async def pictures(endpoints: Endpoints, settings: Settings) -> AsyncIterator[PictureSource]:
    """What is seen of this broker and database, for as long as the context lasts."""
    async with Observatory.open(endpoints, thresholds_of(settings), UNWATCHED_S) as observatory:
        await observatory.remember()
        looking = asyncio.create_task(observatory.run())
        try:
            yield observatory
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
