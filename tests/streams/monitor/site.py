"""A stack of a module's own with processes on it that misbehave, and an observatory beside it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from projections.migrations import migrate
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.events import PriceTrade
from streams.monitor.model import Incident, Picture
from streams.monitor.observatory import Observatory
from streams.monitor.thresholds import Thresholds
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.projections.registered import registered
from tests.soak.processes import Command

__all__ = ["Site", "Watch", "site"]

#: What is not named by then is not named at all. Seconds.
_PATIENCE_S = 60.0


class Site:
    """Where the stack is, and what was started on it."""

    def __init__(self, home: Home, endpoints: Endpoints, folder: Path) -> None:
        self.home = home
        self.endpoints = endpoints
        self._folder = folder
        self._commands: list[Command] = []

    @property
    def settings(self) -> dict[str, str]:
        """The environment of commands on this stack."""
        return {"TAPE_HOME": str(self.home.path)}

    def start(self, *words: str, **settings: str) -> Command:
        """Start a `tape` command."""
        command = Command(self._folder, *words, settings=self.settings | settings)
        command.start()
        self._commands.append(command)
        return command

    def worker(self) -> Command:
        """A worker of `prices`."""
        return self.start("worker", "prices")

    def end(self) -> None:
        """Kill what was left running."""
        for command in self._commands:
            if command.is_running:
                command.kill()

    @asynccontextmanager
    async def watched(self, thresholds: Thresholds | None = None) -> AsyncIterator[Watch]:
        """An observatory that looks each second."""
        opened = Observatory.open(self.endpoints, thresholds or Thresholds(), 1.0)
        async with opened as observatory:
            looking = asyncio.create_task(observatory.run())
            try:
                yield Watch(observatory)
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    @asynccontextmanager
    async def ticking(self, venue: str = "coinbase") -> AsyncIterator[None]:
        """Ten trades a second, for as long as the context lasts."""
        async with Producer(self.endpoints) as producer:
            task = asyncio.create_task(_tick(producer, venue))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class Watch:
    """Waits for what an observatory finds."""

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory

    async def named(self, pattern: str) -> Incident:
        """The open incident of which a symptom matches; prints how long it took."""
        began = time.monotonic()
        async for picture in self._pictures(pattern):
            for incident in picture.incidents:
                if any(re.search(pattern, text) for text in incident.symptoms):
                    print(f"named after {time.monotonic() - began:.1f} s: {incident.symptoms}")
                    return incident
        raise AssertionError

    async def well(self, what: str) -> Picture:
        """The first picture in which nothing matches any more."""
        async for picture in self._pictures(f"the end of {what}"):
            texts = [text for one in picture.incidents for text in one.symptoms]
            if not any(re.search(what, text) for text in texts):
                return picture
        raise AssertionError

    async def until(self, what: str, holds: Callable[[Picture], bool]) -> Picture:
        """The first picture of which that holds."""
        async for picture in self._pictures(what):
            if holds(picture):
                return picture
        raise AssertionError

    async def _pictures(self, what: str) -> AsyncIterator[Picture]:
        picture: Picture | None = None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    picture = await self._observatory.next()
                    yield picture
        except TimeoutError:
            found = picture.incidents if picture else ()
            raise AssertionError(f"{what} was not seen; there are {found}") from None


async def _tick(producer: Producer, venue: str) -> None:
    number = time.time_ns()
    while True:
        now = time.time_ns() // 1000
        number += 1
        await producer.send(
            PriceTrade.model_validate(
                {
                    "venue": venue,
                    "symbol": "BTC-USD",
                    "trade_id": str(number),
                    "price": "64000.00",
                    "size": "0.10",
                    "side": "buy",
                    "sequence": number,
                    "time": now,
                    "received": now,
                }
            )
        )
        await asyncio.sleep(0.1)


@contextmanager
def site(home: Home, folder: Path) -> Iterator[Site]:
    """A site whose stack runs, with topics and tables; all that was started on it ends."""
    started = embedded.start(home.path)
    endpoints = Endpoints(started.brokers, {}, started.dsn, True, True)
    ensure_topics(endpoints)
    asyncio.run(migrate(started.dsn, registered()))
    found = Site(home, endpoints, folder)
    try:
        yield found
    finally:
        found.end()
