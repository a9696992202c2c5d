"""A feed's process dies again and again amid faults; what it missed is told once it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.events.price import TOPIC
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.soak.processes import Command
from tests.streams.tape import events_of
from tests.venue.faults import Faults, FrameFault
from tests.venue.spot.venue import SpotVenue
from tests.venue.spot.watching import FEEDS, PATIENCE, PROTOCOLS, Watch
from tests.venue.spot.world import SYMBOLS, World

_FAULTS: list[FrameFault] = [
    "skip",
    "repeat",
    "reorder",
    "garbage",
    "delay",
    "drip",
    "half",
    "disconnect",
]
#: Between two steps of a world. Seconds.
_PACE = 0.02


@dataclass
class Life:
    """One feed's venue, and its process."""

    name: str
    venue: SpotVenue
    command: Command
    brokers: str
    faults: Faults
    chance: Random

    async def suffer(self, kills: int) -> None:
        """Die at random moments, each after something was told since the death before."""
        self.faults.chances |= dict.fromkeys(_FAULTS, 0.01)
        self.faults.reply_chances |= {"503": 0.1, "disconnect": 0.1}
        for _ in range(kills):
            before = len((await self.told()).events)
            async with asyncio.timeout(PATIENCE):
                while len((await self.told()).events) == before:
                    await asyncio.sleep(self.chance.uniform(0, 0.5))
            self.command.kill()
            self.command.start()
        self.faults.calm = True

    async def told(self) -> Watch:
        """All that is in the log. Raises AssertionError: one trade was told in two ways."""
        feed = FEEDS[self.name]
        watch = Watch(feed, self.venue, feed.connector.recorded(""))
        venue = self.name.replace("-", "_")
        for symbol in SYMBOLS:
            key = f"{venue}:{feed.symbol(symbol)}"
            for event in await events_of(self.brokers, TOPIC, key):
                await watch.send(event)
        return watch

    async def completed(self) -> None:
        """Let the world go on, now and then, until the log says what the venue said."""
        async with asyncio.timeout(PATIENCE):
            while not (await self.told()).is_complete():
                await self.venue.step(4)
                await self.venue.beat()
                await asyncio.sleep(0.5)


@asynccontextmanager
async def alive(
    name: str, brokers: str, home: Home, folder: Path, seed: int
) -> AsyncIterator[Life]:
    """A feed in a process of its own, at a venue whose world goes on."""
    faults, feed = Faults(seed=seed), FEEDS[name]
    async with feed.fake(World(seed), faults) as venue:
        symbols = [word for symbol in SYMBOLS for word in ("--symbol", feed.symbol(symbol))]
        settings = {
            "TAPE_HOME": str(home.path),
            "TAPE_WEBSOCKET_URLS": f"{name}={venue.websocket_url}",
            "TAPE_REST_URLS": f"{name}={venue.rest_url}",
        }
        command = Command(folder, "produce", name, *symbols, settings=settings)
        command.start()
        try:
            yield Life(name, venue, command, brokers, faults, Random(seed))
        except BaseException:
            print(command.last_words())
            raise
        finally:
            command.end()


async def go_on(venue: SpotVenue) -> None:
    """Step the world; a second passes at every tenth."""
    while True:
        for _ in range(10):
            venue.advance()
            await asyncio.sleep(_PACE)
        venue.say_beat()


async def live(name: str, brokers: str, home: Home, folder: Path, kills: int) -> None:
    async with alive(name, brokers, home, folder, seed=len(name)) as life:
        going = asyncio.create_task(go_on(life.venue))
        await life.suffer(kills)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await life.completed()
        assert life.faults.inflicted


async def killed_at_random(home: Home, folder: Path, kills: int) -> None:
    """Each feed of a protocol in its own process, all at once."""
    started = await asyncio.to_thread(embedded.start, home.path, with_postgres=False)
    await asyncio.to_thread(ensure_topics, Endpoints(started.brokers, {}, "", True, True))
    async with asyncio.TaskGroup() as group:
        for name in PROTOCOLS:
            group.create_task(live(name, started.brokers, home, folder, kills))


@pytest.mark.chaos
async def test_feeds_killed_twenty_times_amid_faults_end_in_what_the_venues_said(
    own_home: Home, tmp_path: Path
) -> None:
    await killed_at_random(own_home, tmp_path, kills=20)
