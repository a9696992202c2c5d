"""The account feed over real sockets, into the real broker: faults, restarts, the log's memory."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from streams.backoff import Backoff
from streams.connectors.kalshi.account import KalshiAccountConnector
from streams.connectors.kalshi.memory import remembered
from streams.connectors.runner import run
from streams.events import (
    AccountUnparsed,
    Event,
    Fill,
    Order,
    Position,
    SnapshotFinished,
    Transfer,
    decode,
    encode,
)
from streams.events.kalshi_account import TOPIC
from streams.heartbeat import Pulse
from streams.producer import Producer
from streams.settings import Endpoints, Settings
from streams.simulated.kalshi.venue.limits import Limits
from streams.topics import ensure_topics
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults
from tests.venue.keys import api_key
from tests.venue.world import SECOND, World

from .account_talk import newest, truth

PATIENCE = 60.0


class Account:
    """An account of a test's own, on the shared broker."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.endpoints = Endpoints(brokers, {}, "", True, True)
        self.owner = f"kalshi/prod/t{secrets.token_hex(6)}"
        self._key_file = folder / "key.pem"
        self._key_file.write_bytes(api_key().pem)
        self._key_file.chmod(0o600)
        ensure_topics(self.endpoints)

    def connector(self, venue: FakeKalshi) -> KalshiAccountConnector:
        return KalshiAccountConnector.live(
            Settings(
                account=f"{self.owner}/0",
                kalshi_key_id=SecretStr(api_key().id),
                kalshi_key_file=self._key_file,
                kalshi_rest_url=venue.rest_url,
                kalshi_websocket_url=venue.websocket_url,
            )
        )

    @asynccontextmanager
    async def running(self, venue: FakeKalshi) -> AsyncIterator[Pulse]:
        """The feed, as a process of its own would run it."""
        counts = Pulse("producer/test", 0)
        async with Producer(self.endpoints) as producer:
            connector = self.connector(venue)
            await connector.prepare(self.endpoints)
            task = asyncio.create_task(run(connector, producer, counts, Backoff(first=0.02)))
            try:
                yield counts
                assert not task.done(), task
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def log(self) -> list[Event]:
        """All that is in the log of this account, by partition."""
        found = []
        async with AIOKafkaConsumer(
            TOPIC, bootstrap_servers=self.endpoints.brokers, auto_offset_reset="earliest"
        ) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                        found += [decode(one.value, one.headers) for one in records]
        return [one for one in found if getattr(one, "account", "").startswith(f"{self.owner}/")]

    async def until_true(self, world: World) -> list[Event]:
        """The log, once it says what happened."""
        async with asyncio.timeout(PATIENCE):
            while newest(events := await self.log()) != truth(world):
                await asyncio.sleep(0.2)
        return events


@pytest.fixture
def account(brokers: str, tmp_path: Path) -> Account:
    return Account(brokers, tmp_path)


async def lived(account: Account, world: World, faults: Faults) -> list[Event]:
    """Live through the faults, then calm; the log."""
    async with (
        FakeKalshi(world, keys=[api_key()], faults=faults) as venue,
        account.running(venue),
    ):
        for _ in range(25):
            await venue.step(2)
            await asyncio.sleep(0.05)
        faults.calm = True
        # REST comes to know of the last steps, and a new connection asks it.
        world.venue.publish(world.venue.now + SECOND, [])
        venue.hang_up()
        return await account.until_true(world)


@pytest.mark.parametrize("seed", [1, 2])
async def test_through_faults_of_all_kinds_the_log_says_what_happened(
    account: Account, seed: int
) -> None:
    faults = Faults(
        seed=seed,
        chances={
            **dict.fromkeys(("repeat", "reorder", "skip"), 0.1),
            **dict.fromkeys(("garbage", "half", "disconnect", "channel_error", "overflow"), 0.02),
        },
        reply_chances=dict.fromkeys(("429", "500", "503", "html", "half", "disconnect"), 0.03),
    )
    faults.at_upgrade(2, "503", times=2)
    world = World(100 + seed, portfolio_lag=300_000)
    world.step(10)
    events = await lived(account, world, faults)
    assert len({one.fault for one in faults.inflicted}) > 5
    fills = Counter(event.event_id() for event in events if isinstance(event, Fill))
    assert set(fills.values()) == {1}


async def test_a_process_begun_anew_produces_nothing_twice(account: Account) -> None:
    world = World(7)
    world.step(20)
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        async with account.running(venue):
            first = await account.until_true(world)
        assert any(isinstance(event, Transfer) for event in first)
        async with account.running(venue), asyncio.timeout(PATIENCE):
            while len(bounds(again := await account.log())) < 4:
                await asyncio.sleep(0.1)
    assert facts(again) == facts(first)


async def test_what_happened_while_no_process_ran_is_produced(account: Account) -> None:
    world = World(8)
    world.step(20)
    async with FakeKalshi(world, keys=[api_key()]) as venue:
        async with account.running(venue):
            await account.until_true(world)
        await venue.step(10)
        world.until_close()
        assert world.truth.settlements
        async with account.running(venue):
            await account.until_true(world)


async def test_more_requests_than_the_venue_allows_are_waited_for(account: Account) -> None:
    world = World(9, limits=Limits(rate=60, capacity=20))
    world.step(5)
    async with FakeKalshi(world, keys=[api_key()]) as venue, account.running(venue):
        await account.until_true(world)


def bounds(events: list[Event]) -> list[SnapshotFinished]:
    return [event for event in events if isinstance(event, SnapshotFinished)]


def facts(events: list[Event]) -> Counter[str]:
    kinds = (Fill, Order, Position, Transfer)
    return Counter(event.event_id() for event in events if isinstance(event, kinds))


async def test_memory_is_of_one_account_and_of_the_reading_before_the_last(
    account: Account, brokers: str, tmp_path: Path
) -> None:
    other = Account(brokers, tmp_path)
    fill = Fill(
        account=f"{account.owner}/0",
        origin="native",
        received=1_795_384_770_000_000,
        raw=None,
        ticker="KXBTCD-26NOV2217-T91999.99",
        trade_id="t-1",
        order_id="o-1",
        client_order_id=None,
        side="yes",
        yes_price="0.5",
        count="1",
        fee="0.01",
        is_taker=True,
        post_position=None,
        time=1_795_384_770_000_000,
    )
    elsewhere = fill.model_copy(update={"account": f"{other.owner}/0"})
    imported = fill.model_copy(update={"origin": "legacy", "trade_id": "t-2"})
    garbage = AccountUnparsed(
        venue="kalshi",
        connection=account.owner[-13:],
        arrival=1,
        frame="Z2FyYmFnZQ==",
        error="no",
        received=fill.received,
    )
    ends = [
        SnapshotFinished(
            account=fill.account,
            origin="native",
            received=fill.received + number,
            raw=None,
            snapshot_id=f"{account.owner}-{number}",
            time=fill.received + number,
            tickers=[],
        )
        for number in range(3)
    ]
    async with Producer(account.endpoints) as producer:
        await producer.send_records(map(encode, [fill, imported, garbage, *ends]))
        await producer.flush()
    seen, records = await remembered(account.endpoints, account.owner)
    assert records >= 6
    assert seen.read_until == ends[1].time
    assert seen.news(fill) is None
    assert seen.unread(garbage) is None
    assert seen.news(imported.model_copy(update={"origin": "native"})) is not None
    assert seen.news(elsewhere) is not None
    nothing, _ = await remembered(other.endpoints, other.owner)
    assert nothing.read_until is None
    assert nothing.news(elsewhere) is not None
