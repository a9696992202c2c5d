"""Trades at a steady rate, and when the broker appended each of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from benchmarks.dataset import KEYS, PARTITIONS
from streams.events import PriceTrade, encode

EVENTS_PER_SECOND = 1000


@dataclass(frozen=True)
class Sent:
    """An event that the broker has: index of its key, its `time` field (µs), append time (Unix
    seconds; LogAppendTime has whole milliseconds, rounded down)."""

    key: int
    time: int
    appended: float


def trade(venue: str, symbol: str, number: int) -> PriceTrade:
    """The trade of that number, executed and received now."""
    now = time.time_ns() // 1000
    return PriceTrade.model_validate(
        {
            "venue": venue,
            "symbol": symbol,
            "trade_id": str(number),
            "price": "64123.45",
            "size": "0.01500000",
            "side": "buy",
            "time": now,
            "sequence": number,
            "received": now,
        }
    )


class Pacer:
    """Sends events as soon as each is due."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._pending: list[tuple[int, int, asyncio.Future[RecordMetadata]]] = []

    async def send_for(self, seconds: float) -> None:
        """Paces for so long. A late wake-up is made up for at once, so that the rate is kept."""
        begin, already = time.monotonic(), len(self._pending)
        while (now := time.monotonic()) < begin + seconds:
            while len(self._pending) < already + int((now - begin) * EVENTS_PER_SECOND):
                await self._send()
            await asyncio.sleep(0.0005)

    async def _send(self) -> None:
        number = len(self._pending)
        index = number % len(KEYS)
        venue, symbol = KEYS[index]
        one = trade(venue, symbol, number)
        record = encode(one)
        future = await self._producer.send(
            self._topic,
            key=record.key,
            value=record.value,
            headers=record.headers,
            partition=index % PARTITIONS,
        )
        self._pending.append((index, one.time, future))

    async def sent(self) -> list[Sent]:
        """All events so far, with the append times that the broker has answered."""
        await self._producer.flush()
        return [Sent(key, at, (await future).timestamp / 1000) for key, at, future in self._pending]
