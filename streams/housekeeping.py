"""What a worker does beside its units: heartbeats, copies of dead letters and decisions, upkeep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from streams.dead_letters import send_copies
from streams.decisions import send_decisions
from streams.errors import UserError
from streams.events.system_health import State
from streams.heartbeat import Pulse, keep_beating
from streams.ledger import Ledger
from streams.producer import Producer
from streams.settings import Endpoints

log = structlog.get_logger(__name__)

_COPY_EVERY = 1.0
#: A command sends its own decisions: this is for one that was killed before it did.
_DECISIONS_EVERY = 5.0
_MAINTAIN_EVERY = 3600.0
#: How often (seconds) the worker looks whether it holds partitions.
_LOOK_EVERY = 0.25
#: After how many seconds a producer for heartbeats is tried again.
_PRODUCER_RETRY = 30.0
#: How long (seconds) the last heartbeat may keep a worker that is stopping.
_FAREWELL = 1.0


async def keep_house(
    ledger: Ledger, pulse: Pulse, endpoints: Endpoints, history_days: int | None
) -> None:
    """Run for ever; a failure is logged and tried again, it never stops the worker."""
    projector = ledger.projector
    name = projector.projection.name
    works = [
        _repeat(_COPY_EVERY, lambda: send_copies(name, endpoints), "copying dead letters"),
        _repeat(_DECISIONS_EVERY, lambda: send_decisions(endpoints), "sending decisions"),
        _watch(ledger, pulse),
        _tell_health(pulse, endpoints),
        _repeat(_MAINTAIN_EVERY, lambda: projector.maintain(history_days), "maintaining tables"),
    ]
    # Not gather, which would not wait for the last heartbeat.
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def _repeat(every: float, work: Callable[[], Awaitable[object]], what: str) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except Exception as error:
            log.warning(f"{what} failed, trying again", error=f"{type(error).__name__}: {error}")


async def _watch(ledger: Ledger, pulse: Pulse) -> None:
    """A worker without partitions stands by: others have them all."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if ledger.rebalances:  # else the group has not answered yet
            state: State = "connected" if ledger.holds_partitions else "standby"
            pulse.turn(state, time.time_ns() // 1000)


async def _tell_health(pulse: Pulse, endpoints: Endpoints) -> None:
    """Heartbeats of the projection, as soon and as long as the broker takes them."""
    while True:
        producer = Producer(endpoints)
        try:
            await producer.start()
            break
        except UserError as error:
            log.warning("no heartbeats", service=pulse.service, error=str(error))
            await asyncio.sleep(_PRODUCER_RETRY)
    try:
        await keep_beating([pulse], producer.send)
    finally:
        with suppress(TimeoutError, UserError):
            async with asyncio.timeout(_FAREWELL):
                await producer.stop()
