"""The broker away while a venue sends as fast as it is read: bounded memory, nothing pretended."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import psutil
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.errors import UserError
from streams.events import PriceGap, PriceTrade
from streams.events.price import TOPIC
from streams.settings import Endpoints
from streams.topics import record_counts
from tests.streams.tape import Tape, events_of
from tests.survival import misfortunes

#: What the producer may hold is 32 MiB of records; with them come Python's own of each.
MOST_MB = 300


@dataclass
class Torrent:
    """A Coinbase that sends numbered trades as fast as they are taken."""

    symbol: str
    url: str = ""
    sent: int = 0

    async def converse(self, connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(orjson.dumps({"type": "subscriptions", "channels": []}), text=True)
        with suppress(ConnectionClosed):  # the feed comes again
            while True:
                self.sent += 1
                await connection.send(trade(self.symbol, self.sent), text=True)


@asynccontextmanager
async def torrent(symbol: str) -> AsyncIterator[Torrent]:
    venue = Torrent(symbol)
    async with serve(venue.converse, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        venue.url = f"ws://127.0.0.1:{port}"
        yield venue


def trade(symbol: str, number: int) -> bytes:
    said = {
        "type": "match",
        "trade_id": number,
        "sequence": number,
        "product_id": symbol,
        "side": "sell",
        "price": "64000.01",
        "size": "0.01",
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return orjson.dumps(said)


async def lose_broker(home: Home, away: float) -> None:
    """Every number is a trade in the log, or within a gap that the log tells of."""
    started = await asyncio.to_thread(embedded.start, home.path)
    symbol = f"S{secrets.token_hex(5).upper()}-USD"
    async with torrent(symbol) as venue:
        tape = Tape(
            TAPE_HOME=str(home.path),
            TAPE_WEBSOCKET_URLS=f"coinbase={venue.url}",
            TAPE_REST_URLS="coinbase=http://127.0.0.1:1",  # so what is missed stays missed
        )
        with tape.start_apart("produce", "coinbase", "--symbol", symbol) as process:
            sizes: list[int] = []
            meter = asyncio.create_task(measure(process.pid, sizes))
            await grown(started.brokers, by=5_000)
            await asyncio.to_thread(misfortunes.kill_kafka, home)
            await asyncio.sleep(away)
            assert process.poll() is None
            await asyncio.to_thread(embedded.start, home.path)
            await grown(started.brokers, by=5_000)
            meter.cancel()
            process.send_signal(signal.SIGTERM)
            output, errors = await asyncio.to_thread(process.communicate, timeout=60)
            assert process.returncode == 0, errors
    events = await events_of(started.brokers, TOPIC, f"coinbase:{symbol}")
    told = {int(one.trade_id) for one in events if isinstance(one, PriceTrade)}
    gaps = [range(one.expected, one.got) for one in events if isinstance(one, PriceGap)]
    missed = {number for gap in gaps for number in gap}
    assert told | missed >= set(range(min(told), max(told) + 1))
    assert max(told) <= venue.sent
    peak = max(sizes) / 1e6
    print(
        f"{len(told):,} trades, {len(missed):,} in {len(gaps)} gaps, peak {peak:.0f} MB; {output}"
    )
    assert peak < MOST_MB


async def measure(pid: int, found: list[int]) -> None:
    """Add the process's resident bytes, now and then."""
    process = psutil.Process(pid)
    while True:
        found.append(process.memory_info().rss)
        await asyncio.sleep(0.2)


async def grown(brokers: str, by: int) -> None:
    """Wait until the topic has so many more records."""
    endpoints = Endpoints(brokers, {}, "", True, True)

    def count() -> int | None:
        with suppress(UserError):  # a broker that has just begun does not know everything yet
            return record_counts(endpoints, [TOPIC])[TOPIC]
        return None

    before: int | None = None
    async with asyncio.timeout(120):
        while True:
            found = await asyncio.to_thread(count)
            before = found if before is None else before
            if found is not None and before is not None and found >= before + by:
                return
            await asyncio.sleep(0.1)


async def test_a_broker_away_for_a_moment_at_full_rate(survival_home: Home) -> None:
    await lose_broker(survival_home, away=3)


@pytest.mark.chaos
async def test_a_broker_away_for_a_minute_at_full_rate(survival_home: Home) -> None:
    await lose_broker(survival_home, away=60)
