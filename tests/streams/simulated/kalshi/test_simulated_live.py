"""The simulated venues live, by the real broker and the real feeds: commands in, facts out."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer

from streams.errors import UserError
from streams.events import (
    BookDelta,
    BookSnapshot,
    CloseFailed,
    CloseTrade,
    Event,
    MarketDescribed,
    MarketSettled,
    MarketTicker,
    MarketTrade,
    OpenTrade,
    OrderAccepted,
    OrderRejected,
    PriceIndex,
    PriceQuote,
    PriceTrade,
    Settlement,
    Unparsed,
    decode,
)
from streams.live import Live
from streams.producer import Producer
from streams.settings import Endpoints
from streams.simulated.access import read_settings, settings_file
from streams.simulated.kalshi.run import Counts
from streams.simulated.world import live
from streams.topics import ensure_topics
from streams.trading import open_trade

TOPICS = (
    *("trade.commands", "trade.events"),
    *("kalshi.account", "kalshi.market", "kalshi.lifecycle", "price.ticks"),
)

E = TypeVar("E", bound=Event)


@pytest.fixture(scope="module")
def endpoints(brokers: str) -> Endpoints:
    reach = Endpoints(brokers, {}, "", embedded_broker=False, embedded_database=False)
    ensure_topics(reach)
    return reach


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Log:
    """What was appended to the topics since it was entered."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._events: list[Event] = []
        self._consumer = AIOKafkaConsumer(*TOPICS, bootstrap_servers=endpoints.brokers)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Read until the condition holds for what was read."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.read()

    async def read(self) -> int:
        """Take what there is; how much it was."""
        batches = await self._consumer.getmany(timeout_ms=500)
        found = [decode(one.value, one.headers) for batch in batches.values() for one in batch]
        self._events += found
        return len(found)

    def commands(self, account: str) -> list[OpenTrade | CloseTrade]:
        """Those that ask for an order of this account."""
        return [
            event
            for event in self._events
            if isinstance(event, OpenTrade | CloseTrade) and event.account == account
        ]

    def answers(self, account: str) -> list[OrderAccepted | OrderRejected | CloseFailed]:
        """Those to commands of this account."""
        return [
            event
            for event in self._events
            if isinstance(event, OrderAccepted | OrderRejected | CloseFailed)
            and event.account == account
        ]

    def of(self, kind: type[E]) -> list[E]:
        """Those of one kind."""
        return [event for event in self._events if isinstance(event, kind)]

    def unread(self) -> list[Unparsed]:
        """What the connectors could not read of the simulated venues."""
        return [one for one in self.of(Unparsed) if "simulated" in one.venue]


class World:
    """The simulated venues, live, with a home of their own."""

    def __init__(self, endpoints: Endpoints, home: Path, name: str) -> None:
        self.file = settings_file(home, name)
        self.counts = Counts()
        started = time.time_ns() // 1000
        self.account = f"simulated/demo/{name}-{started:x}/0"
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(
            live(Live(), endpoints, home, name, started, self.counts, lambda _: self._ready.set())
        )

    async def __aenter__(self) -> Self:
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            self._task.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """As a signal stops it."""
        await stopped(self._task)

    def settings(self) -> dict[str, str]:
        """Those of the file."""
        found = read_settings(self.file)
        assert found is not None
        return found


@asynccontextmanager
async def produced(world: World, endpoints: Endpoints) -> AsyncIterator[None]:
    """`tape produce` of all that the simulated venues tell, with the settings of their file."""
    tape = "from streams.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", tape, "produce", "simulated", "kalshi", "kalshi-account"),
        env=os.environ | world.settings() | {"TAPE_BROKERS": endpoints.brokers},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
        assert process.returncode is None
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_what_happens_at_the_simulated_venues_is_produced_by_the_feeds(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    async with Log(endpoints) as log, World(endpoints, tmp_path, "live-1") as world:
        account = world.account

        def is_settled() -> bool:
            return any(one.account == account for one in log.of(Settlement))

        async with produced(world, endpoints):
            await log.until(lambda: is_settled() and log.of(MarketSettled))
            await world.stop()  # waits for the account's last reading
        while await log.read():
            pass
    for kind in (PriceTrade, PriceQuote, PriceIndex, MarketTicker, MarketTrade, MarketDescribed):
        assert log.of(kind)
    assert log.of(BookSnapshot)
    assert log.of(BookDelta)
    assert not log.unread()
    asked = {command.command_id for command in log.commands(account)}
    assert {answer.command_id for answer in log.answers(account)} == asked
    assert len(asked) <= world.counts.commands < world.counts.events


async def test_anyone_may_trade_on_the_account_and_nothing_is_done_for_others(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    async with (
        Log(endpoints) as log,
        Producer(endpoints) as producer,
        World(endpoints, tmp_path, "live-2") as world,
    ):
        account, other = world.account, "simulated/demo/other/0"
        for_other, mine = [
            open_trade(account=owner, ticker="KXNOSUCH-T1", side="yes", count=1)
            for owner in (other, account)
        ]
        await log.until(lambda: log.answers(account))
        await producer.send(for_other)
        await producer.send(mine)
        await log.until(
            lambda: mine.command_id in {answer.command_id for answer in log.answers(account)}
        )
    (answer,) = [one for one in log.answers(account) if one.command_id == mine.command_id]
    assert isinstance(answer, OrderRejected)
    assert answer.reason == "market_not_found"
    assert not log.answers(other)


async def test_the_key_and_the_settings_are_private_and_gone_with_the_venues(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    async with World(endpoints, tmp_path, "live-3") as world:
        key_file = Path(world.settings()["TAPE_KALSHI_KEY_FILE"])
        for file in (world.file, key_file):
            assert file.stat().st_mode & 0o777 == 0o600
        assert world.settings()["TAPE_ACCOUNT"] == world.account
        assert b"PRIVATE KEY" not in world.file.read_bytes()
    assert not list(world.file.parent.iterdir())


async def test_a_broker_out_of_reach_is_told(tmp_path: Path) -> None:
    nowhere = Endpoints("127.0.0.1:1", {}, "", embedded_broker=True, embedded_database=True)
    with pytest.raises(UserError, match="127.0.0.1:1"):
        await live(Live(), nowhere, tmp_path, "none", 1, Counts(), lambda _: None)
    assert not list((tmp_path / "simulated").iterdir())
