"""`tape backfill kalshi` as a process: killed at random and begun again, into the real broker."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from aiokafka import AIOKafkaConsumer

from streams.events import Event, MarketTrade, decode
from streams.settings import Endpoints
from streams.simulated.kalshi.venue import Cutoffs
from streams.simulated.kalshi.venue.limits import Limits
from streams.topics import ensure_topics
from tests.processes.forked import Forked
from tests.streams.test_backfill import said, truth
from tests.venue.fake import FakeKalshi
from tests.venue.keys import api_key
from tests.venue.world import HOUR, World

TOPICS = ("kalshi.account", "kalshi.market")


def lived(seed: int) -> World:
    world = World(seed, strikes=2, limits=Limits(rate=10**6, capacity=10**6))
    world.step(8, 13.0)
    world.until_close()
    world.step(8, 13.0)
    world.until_close()
    world.venue.cutoffs = Cutoffs.at(world.now - HOUR // 2)
    world.step(5)
    world.venue.publish(world.now + 5_000_000, [])
    return world


@contextmanager
def served(world: World) -> Iterator[FakeKalshi]:
    """The fake venue in a thread of its own: the tests wait for processes."""
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    found: list[FakeKalshi] = []

    async def serve() -> None:
        async with FakeKalshi(world, keys=[api_key()]) as venue:
            found.append(venue)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


class Place(Protocol):
    """Where a venue is."""

    @property
    def rest_url(self) -> str: ...

    @property
    def websocket_url(self) -> str: ...


class Nowhere:
    """A venue that no one answers for."""

    rest_url = "http://127.0.0.1:9"
    websocket_url = "ws://127.0.0.1:9"


class Command:
    """The command, of an account of the test's own."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.brokers = brokers
        self.owner = f"kalshi/prod/b{secrets.token_hex(6)}"
        ensure_topics(Endpoints(brokers, {}, "", True, True))
        key = folder / "key.pem"
        key.write_bytes(api_key().pem)
        key.chmod(0o600)
        self._environment = {
            **os.environ,
            "TAPE_HOME": str(folder / "home"),
            "TAPE_BROKERS": brokers,
            "TAPE_ACCOUNT": f"{self.owner}/0",
            "TAPE_KALSHI_KEY_ID": api_key().id,
            "TAPE_KALSHI_KEY_FILE": str(key),
        }
        self._folder = folder

    def forget_key(self) -> None:
        del self._environment["TAPE_KALSHI_KEY_ID"], self._environment["TAPE_KALSHI_KEY_FILE"]

    def start(self, venue: Place, *options: str) -> subprocess.Popen[str]:
        code = "import sys; from streams.cli import main; sys.argv[0] = 'tape'; main()"
        return Forked(
            [sys.executable, "-c", code, "backfill", "kalshi", "--since", "2026-11-01", *options],
            cwd=self._folder,
            env={
                **self._environment,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TAPE_KALSHI_REST_URL": venue.rest_url,
                "TAPE_KALSHI_WEBSOCKET_URL": venue.websocket_url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def log(self, world: World) -> list[Event]:
        """What is in the log of this account, and of the world's trades."""
        found = []
        async with AIOKafkaConsumer(
            *TOPICS, bootstrap_servers=self.brokers, auto_offset_reset="earliest"
        ) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                        found += [decode(one.value, one.headers) for one in records]
        return [
            one
            for one in found
            if getattr(one, "account", "").startswith(f"{self.owner}/")
            or (isinstance(one, MarketTrade) and one.trade_id in world.truth.trades)
        ]


@pytest.fixture
def command(brokers: str, tmp_path: Path) -> Command:
    return Command(brokers, tmp_path)


def test_killed_at_random_and_begun_again_it_ends_in_what_happened(command: Command) -> None:
    seed = secrets.randbits(40)
    world, chance = lived(seed), random.Random(seed)
    options = ("--only", "fills,orders,settlements,trades", "--series", "KXBTCD", "--json")
    with served(world) as venue:
        for _ in range(4):
            killed = command.start(venue, *options)
            asked = len(venue.requests)
            limit = asked + chance.randint(1, 25)
            while killed.poll() is None and len(venue.requests) < limit:
                time.sleep(0.001)
            killed.kill()
            killed.communicate()
        last = command.start(venue, *options)
        out, err = last.communicate(timeout=120)
        assert last.returncode == 0, err
    summary = json.loads(out)
    assert summary["complete"]
    expected = truth(world, command.owner)
    del expected["candles"]
    assert said(asyncio.run(command.log(world))) == expected, seed


def test_interrupted_it_says_how_to_go_on(command: Command) -> None:
    world = lived(secrets.randbits(40))
    with served(world) as venue:
        venue.close_port()
        stopped = command.start(venue)
        assert stopped.stderr is not None
        for line in stopped.stderr:  # it waits for the venue
            if "tried again" in line:
                break
        stopped.send_signal(signal.SIGINT)
        _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, err
    assert "goes on from here" in err


def test_its_summary_counts_what_was_sent(command: Command) -> None:
    world = lived(secrets.randbits(40))
    with served(world) as venue:
        done = command.start(venue, "--only", "fills,candles")
        out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    assert f"fills: {len(world.truth.fills):,} records in 1 units" in out
    assert api_key().pem.decode().splitlines()[1] not in out + err


def test_a_refused_key_is_one_sentence(command: Command) -> None:
    with served(World(1)) as venue:
        venue.expire_keys()
        refused = command.start(venue)
        _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "refused the key" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "yesterday"], "--since 'yesterday' is no day; write it as 2026-01-31"),
        (["--since", "1999-01-01"], "--since 1999-01-01 is before all markets"),
        (["--since", "2999-01-01"], "--since 2999-01-01 lies in the future"),
        (["--until", "2026-10-01"], "--until 2026-10-01 is not after --since 2026-11-01"),
        (["--only", "fills,books"], "--only 'books' is none of fills, orders"),
        (["--series", "KX BTC"], "--series 'KX BTC' is no series"),
    ],
)
def test_what_is_wrong_with_an_option_is_one_sentence(
    command: Command, options: list[str], message: str
) -> None:
    refused = command.start(Nowhere(), *options)
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert err.startswith("tape: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_without_a_key_it_says_so_before_it_connects(command: Command) -> None:
    command.forget_key()
    refused = command.start(Nowhere())
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert err.startswith("tape: there is no Kalshi API key")
