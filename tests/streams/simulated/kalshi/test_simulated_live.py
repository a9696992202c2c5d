"""The simulated account by the real broker: commands in, facts out, and a clean stop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Self

import pytest
from aiokafka import AIOKafkaConsumer

from streams.errors import UserError
from streams.events import (
    CloseFailed,
    CloseTrade,
    Event,
    OpenTrade,
    OrderAccepted,
    OrderRejected,
    PriceTrade,
    Settlement,
    Unparsed,
    decode,
)
from streams.producer import Producer
from streams.settings import Endpoints
from streams.simulated.kalshi.run import Counts, run
from streams.topics import ensure_topics
from streams.trading import open_trade

TOPICS = (
    *("trade.commands", "trade.events"),
    *("kalshi.account", "kalshi.market", "kalshi.lifecycle"),
)


@pytest.fixture(scope="module")
def endpoints(brokers: str) -> Endpoints:
    reach = Endpoints(brokers, {}, "", embedded_broker=False, embedded_database=False)
    ensure_topics(reach)
    return reach


@asynccontextmanager
async def prices(producer: Producer) -> AsyncIterator[None]:
    """A price of bitcoin, again and again."""

    async def send() -> None:
        for number in range(10**6):
            now = time.time_ns() // 1000
            price = Decimal(64000) + Decimal(number % 40)
            await producer.send(
                PriceTrade(
                    venue="simulated",
                    symbol="BTC-USD",
                    trade_id=f"{now}",
                    price=price,
                    size=Decimal(1),
                    side="buy",
                    sequence=None,
                    time=now,
                    received=now,
                )
            )
            await asyncio.sleep(0.05)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        await stopped(task)


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

    def settled(self, account: str) -> bool:
        """Whether a market paid this account."""
        return any(isinstance(one, Settlement) and one.account == account for one in self._events)

    def unread(self) -> list[Unparsed]:
        """What the connector could not read of the simulated venue."""
        return [
            one for one in self._events if isinstance(one, Unparsed) and "simulated" in one.venue
        ]


async def test_commands_go_by_the_log_and_all_are_answered_before_a_stop_ends(
    endpoints: Endpoints,
) -> None:
    account, counts = "simulated/demo/live-1/0", Counts()
    async with Log(endpoints) as log, Producer(endpoints) as producer, prices(producer):
        running = asyncio.create_task(run(endpoints, account, 1, counts))
        await log.until(lambda: log.settled(account) or running.done())
        assert not running.done(), running
        await stopped(running)
        while await log.read():
            pass
    asked = {command.command_id for command in log.commands(account)}
    assert {answer.command_id for answer in log.answers(account)} == asked
    assert not log.unread()
    assert len(asked) <= counts.commands < counts.events


async def test_anyone_may_trade_on_the_account_and_nothing_is_done_for_others(
    endpoints: Endpoints,
) -> None:
    account, other = "simulated/demo/live-2/0", "simulated/demo/other/0"
    for_other, mine = [
        open_trade(account=owner, ticker="KXNOSUCH-T1", side="yes", count=1)
        for owner in (other, account)
    ]
    async with Log(endpoints) as log, Producer(endpoints) as producer, prices(producer):
        running = asyncio.create_task(run(endpoints, account, 2, Counts()))
        await log.until(lambda: log.answers(account) or running.done())
        await producer.send(for_other)
        await producer.send(mine)
        await log.until(
            lambda: mine.command_id in {answer.command_id for answer in log.answers(account)}
        )
        await stopped(running)
    (answer,) = [one for one in log.answers(account) if one.command_id == mine.command_id]
    assert isinstance(answer, OrderRejected)
    assert answer.reason == "market_not_found"
    assert not log.answers(other)


async def test_a_broker_out_of_reach_is_told() -> None:
    nowhere = Endpoints("127.0.0.1:1", {}, "", embedded_broker=True, embedded_database=True)
    with pytest.raises(UserError, match="127.0.0.1:1"):
        await run(nowhere, "simulated/demo/none/0", 1, Counts())
