"""What befalls the processes, the venues and the stack while a soak lasts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from streams.embedded import stack
from streams.embedded.home import Home
from tests.soak.processes import Command
from tests.soak.venues import Venues
from tests.survival.misfortunes import kill_kafka, kill_postgres
from tests.venue.fake import HOUR, FakeKalshi
from tests.venue.spot.kraken import FakeKraken
from tests.venue.spot.venue import SpotVenue

__all__ = ["Misfortunes"]

Misfortune = Callable[[], Awaitable[None]]


class Misfortunes:
    """They come one after the other, shuffled by a seed, each kind before any comes again."""

    def __init__(
        self,
        venues: Venues,
        producers: Sequence[Command],
        workers: Sequence[Command],
        home: Home,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self.count: Counter[str] = Counter()
        self._venues = venues
        self._producers = producers
        self._workers = workers
        self._home = home
        self._random = random.Random(seed)
        self._tell = tell
        self._over = asyncio.Event()
        self._next_producers: list[Command] = []

    async def befall(self, kinds: Sequence[str], pause: float) -> None:
        """Let them come until `cease`, with pauses of about so many seconds.

        One that has begun is ended: what it froze is thawed, and what it stopped is started.
        """
        while not self._over.is_set():
            deck = list(kinds)
            self._random.shuffle(deck)
            for kind in deck:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause * self._random.uniform(0.5, 1.5)):
                        await self._over.wait()
                if self._over.is_set():
                    return
                self.count[kind] += 1
                act: Misfortune = getattr(self, kind)
                self._tell(kind.replace("_", " "))
                await act()

    def cease(self) -> None:
        """None comes any more."""
        self._over.set()

    async def producer_killed(self) -> None:
        """Each of them before any comes again."""
        if not self._next_producers:
            self._next_producers = self._random.sample(self._producers, len(self._producers))
        await self._killed(self._next_producers.pop())

    async def worker_killed(self) -> None:
        await self._killed(self._random.choice(self._workers))

    async def producer_frozen(self) -> None:
        await self._frozen(self._random.choice(self._producers))

    async def worker_frozen(self) -> None:
        await self._frozen(self._random.choice(self._workers))

    async def producer_restarted(self) -> None:
        await self._restarted(self._random.choice(self._producers))

    async def worker_restarted(self) -> None:
        await self._restarted(self._random.choice(self._workers))

    async def standbys(self) -> None:
        """A second instance of each producer stands by, and takes over when the first one dies."""
        active = [producer.release() for producer in self._producers]
        for producer in self._producers:
            producer.start()
        await asyncio.sleep(self._random.uniform(4, 8))
        for process in active:
            process.kill()
        for process in active:
            process.wait()

    async def venue_gone(self) -> None:
        """Connections are cut, and refused for a while."""
        some: list[FakeKalshi | SpotVenue] = [self._venues.kalshi, *self._venues.spot.values()]
        venue = self._random.choice(some)
        venue.close_port()
        venue.hang_up()
        await asyncio.sleep(self._random.uniform(0.5, 4))
        await venue.open_port()

    async def storm(self) -> None:
        """Replies and upgrades fail, one after the other."""
        for line in self._venues.lines.values():
            line.at_reply(1, "*", self._random.choice(["429", "503", "500"]), times=8)
            line.at_upgrade(1, self._random.choice(["429", "503", "disconnect"]), times=2)
        self._venues.kalshi.hang_up()

    async def key_expired(self) -> None:
        kalshi = self._venues.kalshi
        kalshi.expire_keys()
        kalshi.hang_up()
        await asyncio.sleep(self._random.uniform(1, 4))
        kalshi.renew_keys(self._venues.key)

    async def clock_off(self) -> None:
        """Kalshi's clock is an hour ahead for a while: no signature is good."""
        kalshi = self._venues.kalshi
        kalshi.clock_offset = HOUR
        kalshi.hang_up()
        await asyncio.sleep(self._random.uniform(1, 4))
        kalshi.clock_offset = 0

    async def wrong_checksums(self) -> None:
        kraken = self._venues.spot["kraken"]
        assert isinstance(kraken, FakeKraken)
        kraken.falsify(update=2)

    async def database_killed(self) -> None:
        await self._killed_server(kill_postgres)

    async def broker_killed(self) -> None:
        await self._killed_server(kill_kafka)

    async def _killed(self, command: Command) -> None:
        command.kill()
        await asyncio.sleep(self._random.uniform(0.1, 2))
        command.start()

    async def _frozen(self, command: Command) -> None:
        """For longer than a session, as often as not."""
        command.freeze()
        await asyncio.sleep(self._random.uniform(1, 11))
        command.thaw()

    async def _restarted(self, command: Command) -> None:
        status, seconds = await asyncio.to_thread(command.stop)
        assert status == 0, f"{command.name} ended with {status} after {seconds:.1f} s"
        command.start()

    async def _killed_server(self, kill: Callable[[Home], None]) -> None:
        await asyncio.to_thread(kill, self._home)
        await asyncio.sleep(self._random.uniform(1, 6))
        await asyncio.to_thread(stack.start, self._home.path)
