"""Starting and stopping aiokafka's clients so that no cancellation is lost.

While it stops, aiokafka suppresses CancelledError where it awaits the tasks that it has cancelled
itself, and so takes a cancellation of who stops it for theirs. What was to end would go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

__all__ = ["running", "until_closed"]


@asynccontextmanager
async def running(client: AIOKafkaConsumer | AIOKafkaProducer) -> AsyncIterator[None]:
    """Start it, and stop it at the end. Raises KafkaError where no broker answers."""
    try:
        await client.start()
        await asyncio.sleep(0)  # to stop it before its tasks have begun would raise CancelledError
        yield
    finally:
        await until_closed(client.stop())


async def until_closed(closing: Awaitable[None]) -> None:
    """Await the stop of a client. Raises CancelledError if the caller was cancelled meanwhile."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        await closing
    finally:  # also where the stop fails: whoever handles that must not go on
        if task.cancelling() > before:
            raise asyncio.CancelledError
