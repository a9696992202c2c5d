"""Feeds side by side, and when each of their records was acknowledged.

Arguments: the broker, the file to write to, how many frames a feed gets, the venue's address, the
loads' names. What it writes are the receive times of the frames and the times at which their
records were acknowledged, in microseconds since 1970 UTC.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson

from benchmarks.feeds.loads import LOADS
from benchmarks.feeds.waiting import write_whole
from streams.connectors.runner import run
from streams.events import EncodedEvent, Event, encode
from streams.heartbeat import Pulse
from streams.producer import Producer
from streams.settings import Endpoints


class _Timed:
    """A producer that notes when it has the acknowledgement of a topic's records."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._waiting: set[asyncio.Task[None]] = set()
        self.times: list[tuple[int, int]] = []

    async def send(self, event: Event, trace: str | None = None) -> None:
        await self.send_record(encode(event, trace))

    async def send_record(self, record: EncodedEvent) -> None:
        await self._producer.send_record(record)
        if record.topic == self._topic:
            task = asyncio.create_task(self._acknowledged(record))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _acknowledged(self, record: EncodedEvent) -> None:
        """What was sent before it is waited for as well, so this is at the most."""
        await self._producer.flush()
        now = time.time_ns() // 1000
        self.times.append((orjson.loads(record.value)["received"], now))


async def _feed(brokers: str, name: str, count: int, address: str) -> list[tuple[int, int]]:
    load = LOADS[name]
    async with Producer(Endpoints(brokers, {}, "", False, False)) as producer:
        sink = _Timed(producer, load.topic)
        pulse = Pulse("producer/bench", 0)
        feed = asyncio.create_task(run(load.connector(f"{address}/{name}"), sink, pulse))
        while len(sink.times) < count:
            if feed.done():
                feed.result()
            await asyncio.sleep(0.1)
        feed.cancel()
        await asyncio.wait([feed])
        return sink.times[:count]


async def _measure(brokers: str, times: str, count: str, address: str, *names: str) -> None:
    feeds = [_feed(brokers, name, int(count), address) for name in names]
    found = await asyncio.gather(*feeds)
    write_whole(Path(times), orjson.dumps([one for some in found for one in some]).decode())


if __name__ == "__main__":
    asyncio.run(_measure(*sys.argv[1:]))  # the loop of `tape produce`
