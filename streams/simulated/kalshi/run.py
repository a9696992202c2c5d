"""The simulated Kalshi live: beside the clock, the simulated price, and the broker.

Its trader's commands go through the topic `trade.commands` like anyone's. What the account and the
markets do is told by the venue's own server alone; Kafka gets the outcomes that only an executor
knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import structlog

from streams.events import Event
from streams.producer import Producer
from streams.settings import Endpoints
from streams.simulated.kalshi.inbox import Inbox
from streams.simulated.kalshi.reads import Reads
from streams.simulated.kalshi.simulation import Simulation

__all__ = ["Counts", "Live", "run"]

log = structlog.get_logger(__name__)

_EVERY_S = 0.05
#: How long a stop waits for commands that are on their way, seconds.
_LAST_COMMANDS_WITHIN_S = 1.5
#: And then for who follows the account to read it to its end.
_LAST_READING_WITHIN_S = 4.0


@dataclass
class Counts:
    """What an account has done since it started: `events` are those sent to Kafka."""

    commands: int = 0
    events: int = 0


async def run(
    endpoints: Endpoints,
    simulation: Simulation,
    reads: Reads,
    price: Callable[[], Decimal],
    counts: Counts,
) -> None:
    """Let the markets live and the account trade until cancelled.

    A stop gives no more commands, and lets those be executed that are on their way. Then nothing
    happens any more, until who follows the account has read all of it. Raises UserError when the
    broker is out of reach, and what the producer raises.
    """
    async with Producer(endpoints) as producer, Inbox.open(endpoints) as inbox:
        live = Live(simulation, reads, price, inbox, producer, counts)
        work = asyncio.create_task(live.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            live.stop()  # between two steps: what the exchange did is told whole
            await work
            raise


class Live:
    """A simulation that goes on with the time."""

    def __init__(
        self,
        simulation: Simulation,
        reads: Reads,
        price: Callable[[], Decimal],
        inbox: Inbox,
        producer: Producer,
        counts: Counts,
    ) -> None:
        self._simulation = simulation
        self._reads = reads
        self._price = price
        self._inbox = inbox
        self._producer = producer
        self._counts = counts
        self._stopping = False

    async def run(self) -> None:
        """Trade until a stop; then until all commands are executed and the account was read."""
        while not self._stopping:
            await self._step()
            await self._trade()
            await asyncio.sleep(_EVERY_S)
        await self._finish()
        await self._until_read()

    def stop(self) -> None:
        """Give no more commands, and let `run` end."""
        self._stopping = True

    async def _step(self) -> None:
        for command in await self._inbox.receive():
            await self._send(self._simulation.execute(command, _now()))
        self._simulation.advance(_now(), self._price())

    async def _trade(self) -> None:
        commands = self._simulation.trade(_now())
        self._counts.commands += len(commands)
        await self._send(commands)

    async def _finish(self) -> None:
        deadline = time.monotonic() + _LAST_COMMANDS_WITHIN_S
        while self._simulation.unanswered and time.monotonic() < deadline:
            await self._step()
            await asyncio.sleep(_EVERY_S)
        if self._simulation.unanswered:
            log.warning("commands were not executed", count=self._simulation.unanswered)

    async def _until_read(self) -> None:
        """A balance whose settlements are not read any more would be cents without reason."""
        self._reads.begin()
        deadline = time.monotonic() + _LAST_READING_WITHIN_S
        while self._reads.is_followed and not self._reads.is_whole:
            if time.monotonic() > deadline:
                log.warning("the account was not read to its end")
                return
            await asyncio.sleep(_EVERY_S)

    async def _send(self, events: Iterable[Event]) -> None:
        for event in events:
            self._counts.events += 1
            await self._producer.send(event)


def _now() -> int:
    return time.time_ns() // 1000
