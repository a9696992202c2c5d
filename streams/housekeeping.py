"""What a worker does beside its units of work: copy dead letters, and maintain the tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from projections.unit import Projector
from streams.dead_letters import send_copies
from streams.settings import Endpoints

log = structlog.get_logger(__name__)

_COPY_EVERY = 1.0
_MAINTAIN_EVERY = 3600.0


async def keep_house(projector: Projector, endpoints: Endpoints, history_days: int | None) -> None:
    """Run for ever; a failure is logged and tried again, it never stops the worker."""
    name = projector.projection.name
    works = [_repeat(_COPY_EVERY, lambda: send_copies(name, endpoints), "copying dead letters")]
    if history_days is not None:
        works.append(
            _repeat(_MAINTAIN_EVERY, lambda: projector.maintain(history_days), "maintaining tables")
        )
    await asyncio.gather(*works)


async def _repeat(every: float, work: Callable[[], Awaitable[object]], what: str) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except Exception as error:
            log.warning(f"{what} failed, trying again", error=f"{type(error).__name__}: {error}")
