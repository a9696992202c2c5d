"""The soak: three producers and two workers, faults and misfortunes, and then every table checked.

The venues are fakes in this process; all else is as in production: the stack, its topics, `tape
produce` and `tape worker`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from projections.migrations import migrate
from streams.embedded import stack
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.projections.registered import registered
from tests.soak import comparison, log_comparison
from tests.soak.comparison import Tables
from tests.soak.misfortunes import Misfortunes
from tests.soak.pasts import Pasts
from tests.soak.processes import Command
from tests.soak.reported import Reported, read
from tests.soak.venues import SPOT, Venues, venues

__all__ = ["Plan", "Soak", "Summary"]

PRODUCERS = (
    ("coinbase", "kraken"),
    ("kalshi-market", "kalshi-books"),
    ("kalshi-account", "binance"),
)
WORKERS = 2
_SYMBOLS = ("BTC-USD", "ETH-USD")
#: So long without getting nearer to what is waited for is for ever. Seconds.
_PATIENCE = 90.0
#: How long the venues go on when the faults have ceased, for what was lost last shows by what comes
#: next, and a lease takes some seconds to change hands; then how long they stand still. Seconds.
_GO_ON, _STAND_STILL = 8.0, 12.0


@dataclass(frozen=True)
class Plan:
    """How long, how bad. `stride` is how many seconds pass at Kalshi with each step."""

    seconds: float
    seed: int
    misfortunes: Sequence[str]
    #: Between two of them. Seconds.
    pause: float
    stride: float = 1.0
    #: How many times as often as usual frames go wrong.
    faults: float = 1.0
    #: Whether connections fall silent, which is noticed after half a minute.
    stalls: bool = False


@dataclass
class Summary:
    """What a soak was, and what came of it; `differences` are none if all is well."""

    frames: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    misfortunes: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    #: Of the trades and index values that the venues had, so many are in no table.
    missing: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


class Soak:
    """One soak, on a running stack of its own; `folder` is for logs and the key."""

    def __init__(
        self, home: Path, folder: Path, plan: Plan, tell: Callable[[str], None] = print
    ) -> None:
        running = stack.running(home)
        self._home = running.home
        self._endpoints = Endpoints(running.brokers, {}, running.dsn, True, True)
        self._tables = Tables(running.dsn)
        self._folder = folder
        self._plan = plan
        self._tell = tell
        self._summary = Summary()
        self._began = time.monotonic()
        self.producers: list[Command] = []
        self.workers: list[Command] = []
        #: Where trades count from: what came before the first connection is nobody's.
        self._marks: dict[tuple[str, str], int] = {}
        self._before: set[str] = set()
        self._begun = 0

    @property
    def commands(self) -> list[Command]:
        """All processes."""
        return [*self.producers, *self.workers]

    async def run(self) -> Summary:
        """All of it. Raises AssertionError where something does not come to an end."""
        plan = self._plan
        await asyncio.to_thread(ensure_topics, self._endpoints)
        await migrate(self._endpoints.dsn, registered())
        async with venues(plan.seed, seconds=plan.seconds, stride=plan.stride) as made:
            try:
                self._start(made)
                await self._warm_up(made)
                await self._suffer(made)
                await self._settle(made)
                await self._stop()
            except BaseException:
                self._tell("\n".join(one.last_words() for one in self.commands))
                raise
            finally:
                for command in self.commands:
                    command.end()
            await self._conclude(made)
        return self._summary

    def _start(self, made: Venues) -> None:
        key = self._folder / "key.pem"
        key.touch(mode=0o600)
        key.write_bytes(made.key.pem)
        urls = {name: (fake.websocket_url, fake.rest_url) for name, fake in made.spot.items()}
        settings = {
            "TAPE_HOME": str(self._home.path),
            "TAPE_WEBSOCKET_URLS": ",".join(f"{name}={url}" for name, (url, _) in urls.items()),
            "TAPE_REST_URLS": ",".join(f"{name}={url}" for name, (_, url) in urls.items()),
            "TAPE_ACCOUNT": "kalshi/prod/main/0",
            "TAPE_KALSHI_WEBSOCKET_URL": made.kalshi.websocket_url,
            "TAPE_KALSHI_REST_URL": made.kalshi.rest_url,
            "TAPE_KALSHI_KEY_ID": made.key.id,
            "TAPE_KALSHI_KEY_FILE": str(key),
            "TAPE_KALSHI_SERIES": "KXBTCD",
        }
        self.producers = [
            Command(self._folder, "produce", *feeds, settings=settings) for feeds in PRODUCERS
        ]
        self.workers = [
            Command(self._folder, "worker", number=number, settings=settings)
            for number in range(WORKERS)
        ]
        for command in self.commands:
            command.start()

    async def _warm_up(self, made: Venues) -> None:
        """Until every feed's first facts are in the tables."""
        await self._until(lambda: self._cold(made), "first facts")
        self._marks = {
            (name, symbol): made.spot[name].world.trades[symbol][-1].number
            for name in SPOT
            for symbol in _SYMBOLS
        }
        self._before = set(made.world.truth.trades)
        self._begun = made.world.now
        self._say("every feed has begun")

    def _cold(self, made: Venues) -> list[str]:
        has = {
            (venue, symbol)
            for venue, symbol in self._tables.rows("select venue, symbol from latest_quote")
        }
        wanted = {(name, comparison.spot_name(name, one)) for name in SPOT for one in _SYMBOLS}
        lines = [f"no quote of {one}" for one in sorted(wanted - has)]
        books = {ticker for ticker, _, _ in comparison.valid_books(self._tables)}
        lines += [f"no book of {ticker}" for ticker in made.world.markets if ticker not in books]
        for table in ("market_trades", "market_quotes", "snapshots", "balances"):
            if not self._tables.rows(f"select from {table} limit 1"):
                lines.append(f"nothing in {table}")
        if not comparison.index_values(self._tables, 0):
            lines.append("no value of the index")
        return lines

    async def _suffer(self, made: Venues) -> None:
        """Faults and misfortunes, for as long as planned; books are looked at all the while."""
        plan = self._plan
        misfortunes = Misfortunes(
            made, self.producers, self.workers, self._home, plan.seed, self._say
        )
        made.spoil(plan.faults, stalls=plan.stalls)
        async with self._sampling(made):
            befalling = asyncio.create_task(misfortunes.befall(plan.misfortunes, plan.pause))
            until = time.monotonic() + plan.seconds
            while time.monotonic() < until and not befalling.done():
                await asyncio.sleep(0.2)
                for command in self.commands:
                    command.keep_up()
            misfortunes.cease()
            await befalling
        made.calm()
        self._summary.misfortunes = misfortunes.count

    @asynccontextmanager
    async def _sampling(self, made: Venues) -> AsyncIterator[None]:
        sampling = asyncio.create_task(self._sample(made, Pasts(made.world)))
        try:
            yield
            assert not sampling.done(), sampling.result()
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)

    async def _sample(self, made: Venues, pasts: Pasts) -> None:
        """A book that says of itself that it is valid was so at the venue."""
        while True:
            with suppress(psycopg.OperationalError):  # the database is killed too
                for ticker, clock, state in await asyncio.to_thread(
                    comparison.valid_books, self._tables
                ):
                    self._summary.samples += 1
                    assert pasts.had(ticker, clock, state), (
                        f"the book of {ticker} at {clock} is {state}, which it never was"
                    )
            await asyncio.sleep(0.3)

    async def _settle(self, made: Venues) -> None:
        """Until the tables say what the venues say now, of what is open and of what is newest."""
        self._say("faults have ceased")
        began = time.monotonic()
        while True:
            await asyncio.sleep(_GO_ON)
            made.is_still = True
            # Portfolio reads are behind by a while, which has to pass.
            made.world.venue.publish(made.world.now + 60_000_000, [])
            # None of the account's channels is numbered: a new connection reads all of it.
            made.kalshi.hang_up()
            lines = await self._agreed(made, _STAND_STILL)
            if not lines:
                break
            if time.monotonic() - began > _PATIENCE:
                self._summary.differences += lines
                break
            made.is_still = False
        self._say("the tables agree with the venues" if not lines else "they do not agree")

    async def _agreed(self, made: Venues, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        while True:
            lines = await asyncio.to_thread(self._open_things, made)
            if not lines or time.monotonic() > until:
                return lines
            await asyncio.sleep(0.5)

    def _open_things(self, made: Venues) -> list[str]:
        """What can only be compared while the producers run, or what they may still be mending."""
        return [
            *comparison.books(self._tables, made.world),
            *comparison.quotes(self._tables, made.world),
            *comparison.spot_quotes(self._tables, made),
            *comparison.account(self._tables, made.world),
            *comparison.markets(self._tables, made.world),
            *comparison.public_trades(self._tables, made.world, self._before),
        ]

    async def _stop(self) -> None:
        """The producers stop, the workers catch up and stop."""
        for command in self.producers:
            status, seconds = await asyncio.to_thread(command.stop)
            if status:
                self._summary.differences.append(f"{command.name} ended with {status}")
            self._say(f"{command.name} stopped within {seconds:.1f} s")
        await self._until(
            lambda: log_comparison.behind(self._tables, self._endpoints), "workers at the ends"
        )
        for command in self.workers:
            await asyncio.to_thread(command.stop)

    async def _conclude(self, made: Venues) -> None:
        """Compare everything with everything, and sum it up."""
        self._say("reading the log")
        log = await read(self._endpoints.brokers)
        lines = self._summary.differences
        gaps = log.gaps
        lines += comparison.spot_trades(
            self._tables, made, self._marks, lambda venue, symbol: gaps.get((venue, symbol), [])
        )
        lines += self._open_things_left(made)
        seconds = gaps.get(("cfbenchmarks", "BRTI"), [])
        lines += comparison.index(self._tables, made.world, self._begun, seconds)
        garbage = {frame for line in made.lines.values() for frame in line.garbage}
        lines += log_comparison.all_of(self._tables, self._endpoints.dsn, log, garbage)
        lines += self._wrong_words(made)
        self._sum_up(made, log)

    def _open_things_left(self, made: Venues) -> list[str]:
        """What stays true when the producers have stopped; no book is valid any more."""
        return [
            *(
                f"the book of {ticker} is valid, and no producer runs"
                for ticker, _, _ in comparison.valid_books(self._tables)
            ),
            *comparison.account(self._tables, made.world),
            *comparison.public_trades(self._tables, made.world, self._before),
        ]

    def _wrong_words(self, made: Venues) -> list[str]:
        """Logs hold no secret, and tell of no crash."""
        secret = made.key.pem.decode().splitlines()[1]
        lines = []
        for command in self.commands:
            text = command.log.read_text(errors="replace")
            if secret in text:
                lines.append(f"the log of {command.name} holds the key")
            if crashes := text.count("feed crashed"):
                lines.append(f"{command.name} says {crashes} times that a feed crashed")
            if command.failures:
                lines.append(f"{command.name} ended by itself: {command.failures}")
        return lines

    def _sum_up(self, made: Venues, log: Reported) -> None:
        summary = self._summary
        summary.frames = sum(line.frames for line in made.lines.values())
        summary.faults = made.faults
        summary.starts = Counter({one.name: one.starts for one in self.commands})
        summary.records = Counter({topic: len(some) for topic, some in log.records.items()})
        for (venue, symbol), ranges in log.gaps.items():
            summary.gaps[f"{venue}:{symbol}"] = len(ranges)
            numbers = {number for one in ranges for number in one}
            if venue in SPOT:
                have = comparison.numbers(self._tables, venue, symbol)
                summary.missing[f"{venue}:{symbol}"] = len(numbers - have)
        summary.gaps["books"] = len(log.book_gaps)
        values = comparison.index_values(self._tables, self._begun)
        since = sum(one.time >= self._begun for one in made.world.truth.index)
        summary.missing["index"] = since - values
        summary.rows = log_comparison.rows(self._tables)

    async def _until(self, left: Callable[[], list[str]], what: str) -> None:
        """Wait until nothing is left, as long as what is left changes."""
        last, since = None, time.monotonic()
        while lines := await asyncio.to_thread(left):
            if lines != last:
                last, since = lines, time.monotonic()
            assert time.monotonic() - since < _PATIENCE, f"{what}: {lines}"
            await asyncio.sleep(0.3)

    def _say(self, text: str) -> None:
        self._tell(f"{time.monotonic() - self._began:6.1f} s  {text}")
