"""All that is read in the background: brokers, database, heartbeats, commits, disks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import structlog
from aiokafka.errors import KafkaError

from projections.base import Connection
from projections.base import Partition as Place
from projections.database import connect
from streams.errors import UserError
from streams.monitor.model import Building, DeadLetters, Disk, Postgres, Table
from streams.monitor.pace import Pace
from streams.monitor.reading.append_times import AppendTimes
from streams.monitor.reading.broker import BrokerReader
from streams.monitor.reading.commits import CommitTail, Committed
from streams.monitor.reading.feeds import Feeds, HeartbeatTail
from streams.monitor.reading.history import last_heartbeats
from streams.monitor.reading.log_dirs import LogDirs, read_log_dirs
from streams.monitor.reading.tables import (
    Differences,
    Marks,
    Newest,
    Standing,
    read_dead_letters,
    read_differences,
    read_marks,
    read_newest,
    read_standings,
)
from streams.monitor.reading.vitals import (
    Blocking,
    read_database_disk,
    read_postgres,
    read_size,
    read_tables,
)
from streams.monitor.reading.watched import Watched
from streams.monitor.reading.wire import Wire, unanswered
from streams.settings import Endpoints

__all__ = ["Checkpoints", "Details", "Sizes", "Sources", "Vitals"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: A statement, and the wait for a lock, may take so long.
_SESSION = {"statement_timeout": "3000", "lock_timeout": "1000"}
#: How often (seconds) is read what changes slowly or takes long.
_SLOWLY_S = 15.0
_DETAILS_S = 2.0
_LOG_DIRS_S = 4.0
#: A tail that broke is opened again after so many seconds.
_REOPEN_S = 2.0
_COMMITS_EVERY_S = 1.0
#: How long the first look, and each look at positions, waits for who does not answer. Seconds.
_FIRST_S = 5.0
_POSITIONS_S = 2.0
#: Append times that are not there by then are those of the next look. Seconds.
_TIMES_S = 2.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where the generations stand, by projection, and those that are being built."""

    standings: Mapping[str, Standing]
    building: Sequence[Building]


@dataclass(frozen=True, slots=True)
class Details:
    """What the tables tell of now."""

    newest: Sequence[Newest]
    marks: Mapping[str, Marks]
    dead_letters: Sequence[DeadLetters]


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the server does, and its disk, where that is known."""

    postgres: Postgres
    disk: Disk | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What takes long to add up, or changes slowly."""

    differences: Mapping[str, Differences]
    tables: Sequence[Table]
    database: int


class Sources:
    """Reads from all of them until its context ends; each fails and recovers by itself."""

    def __init__(self, endpoints: Endpoints, stale_s: float) -> None:
        """Marks older than `stale_s` are stale."""
        self._endpoints = endpoints
        self._stale_s = stale_s
        self._commits: list[Committed] = []
        self._sessions: list[_Session] = []
        #: Set once the tails were read for the first time.
        self._heard, self._followed = asyncio.Event(), asyncio.Event()
        self._wire = _Wired(endpoints)
        self._reader = BrokerReader()
        self._blocking = Blocking()
        self.feeds = Feeds()
        self.broker = Watched("broker", lambda: self._ask_broker(self._reader.read))
        self.checkpoints = self._of_database("checkpoints", _read_checkpoints)
        self.bounds = Watched("bounds of the log", self._read_bounds)
        self.log_dirs = Watched("folders of the log", self._read_log_dirs)
        self.vitals = self._of_database("vitals", self._read_vitals)
        self.details = self._of_database("details", self._read_details)
        self.sizes = self._of_database("sizes", _read_sizes)

    def _of_database(self, name: str, read: Callable[[Connection], Awaitable[T]]) -> Watched[T]:
        session = _Session(self._endpoints.dsn, f"monitor {name}")
        self._sessions.append(session)
        return Watched(f"database, {name}", lambda: session.ask(read))

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints, stale_s: float, pace: Pace) -> AsyncIterator[Sources]:
        """Begin to read in the background at this pace, what is costly more seldom.

        Positions are read by `positions`. It returns once each has been read, or has failed.
        """
        found = cls(endpoints, stale_s)
        await found._remember_feeds()
        slowly: dict[Watched[Any], float] = {
            found.log_dirs: _LOG_DIRS_S,
            found.vitals: _DETAILS_S,
            found.details: _DETAILS_S,
            found.sizes: _SLOWLY_S,
        }
        await asyncio.gather(*(one.refresh(_FIRST_S) for one in [found.broker, *slowly]))
        works = [
            *(one.run(pace, at_least) for one, at_least in slowly.items()),
            _reopening(found._follow_heartbeats, "heartbeats"),
            _reopening(found._follow_commits, "commits"),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_S):
                    await found._heard.wait()
                    await found._followed.wait()
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            positions: list[Watched[Any]] = [found.broker, found.checkpoints, found.bounds]
            for session in found._sessions:
                session.close()
            await asyncio.gather(*(one.stop() for one in [*positions, *slowly]))
            await found._wire.close()

    async def positions(self) -> None:
        """Read where all groups stand, and then at once where the log ends.

        In this order, and without a pause, so that nothing is ahead of the log, and what came in
        between is no lag.
        """
        await self.broker.refresh(_POSITIONS_S)
        await self.checkpoints.refresh(_POSITIONS_S)
        await self.bounds.refresh(_POSITIONS_S)

    def commits(self) -> list[Committed]:
        """What was committed since the last call."""
        found, self._commits = self._commits, []
        return found

    async def appended(self, wanted: set[tuple[Place, int]]) -> dict[tuple[Place, int], int]:
        """The append times of these records, in ms since 1970 UTC; without what is not known."""
        if not wanted:
            return {}
        try:
            async with asyncio.timeout(_TIMES_S):
                _, times = await self._wire.opened()
                return await times.read(wanted)
        except (TimeoutError, KafkaError, OSError, UserError):
            return {}

    async def _remember_feeds(self) -> None:
        """What ran before: the tail of `system.health` begins a minute ago."""
        try:
            for beat in await last_heartbeats(self._endpoints.dsn):
                self.feeds.take(beat)
        except psycopg.Error as error:
            log.warning("services of before are not known", reason=str(error).partition("\n")[0])

    async def _read_bounds(self) -> dict[Place, tuple[int, int]]:
        if self.broker.value is None:
            raise UserError("the partitions are not known")
        leaders = self.broker.value.leaders
        return await self._ask_broker(lambda wire: self._reader.bounds(wire, leaders))

    async def _ask_broker(self, read: Callable[[Wire], Awaitable[T]]) -> T:
        """What `read` finds; after a failure the next one begins with the addresses in force."""
        wire, _ = await self._wire.opened()
        try:
            return await read(wire)
        except BaseException as error:
            self._reader.forget()
            await self._wire.close()
            if isinstance(error, KafkaError | OSError):
                raise unanswered(self._endpoints, error) from error
            raise

    async def _read_log_dirs(self) -> LogDirs:
        wire, _ = await self._wire.opened()
        try:
            return await read_log_dirs(wire)
        except KafkaError as error:
            raise UserError(f"the brokers tell no sizes: {error}") from error

    async def _read_vitals(self, connection: Connection) -> Vitals:
        postgres = await read_postgres(connection, self._blocking)
        return Vitals(postgres, await read_database_disk(connection))

    async def _read_details(self, connection: Connection) -> Details:
        return Details(
            await read_newest(connection),
            await read_marks(connection, self._stale_s),
            await read_dead_letters(connection),
        )

    async def _follow_heartbeats(self) -> None:
        async with HeartbeatTail.open(self._endpoints) as tail:
            while True:
                for beat in await tail.read():
                    self.feeds.take(beat)
                self._heard.set()

    async def _follow_commits(self) -> None:
        # Of ours PostgreSQL tells: where there are no others, nothing has to be followed.
        while self.broker.value is None or not self.broker.value.others:
            self._followed.set()
            await asyncio.sleep(_COMMITS_EVERY_S)
        async with CommitTail.open(self._endpoints) as tail:
            while True:
                self._commits += await tail.read()
                self._followed.set()
                await asyncio.sleep(_COMMITS_EVERY_S)


async def _reopening(follow: Callable[[], Awaitable[None]], what: str) -> None:
    """Follow for ever; what breaks is told once, and opened again."""
    is_told = False
    while True:
        try:
            await follow()
        except (UserError, KafkaError, OSError) as error:
            if not is_told:
                log.warning("cannot be followed", what=what, reason=str(error))
            is_told = True
        await asyncio.sleep(_REOPEN_S)


class _Session:
    """One connection to the database, made anew where it broke."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._connection: Connection | None = None

    async def ask(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """What `read` finds. Raises psycopg's errors."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._dsn, self._name, _SESSION)
        return await read(self._connection)

    def close(self) -> None:
        """Hang up, even while it is asked: the server ends that by its time limit."""
        if self._connection is not None:
            self._connection.pgconn.finish()


class _Wired:
    """A wire to the brokers, opened when it is first needed."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._stack = AsyncExitStack()
        self._opened: tuple[Wire, AppendTimes] | None = None
        self._opening = asyncio.Lock()

    async def opened(self) -> tuple[Wire, AppendTimes]:
        """Raises UserError where no broker answers."""
        async with self._opening:
            if self._opened is None:
                wire = await self._stack.enter_async_context(Wire.open(self._endpoints))
                self._opened = wire, AppendTimes(wire)
        return self._opened

    async def close(self) -> None:
        """The next one who needs it opens it anew."""
        async with self._opening:
            self._opened = None
            await self._stack.aclose()


async def _read_checkpoints(connection: Connection) -> Checkpoints:
    return Checkpoints(*await read_standings(connection))


async def _read_sizes(connection: Connection) -> Sizes:
    return Sizes(
        await read_differences(connection),
        await read_tables(connection),
        await read_size(connection),
    )
