"""A feed in a process of its own: a load's frames through the runner into the product's producer.

Arguments: the broker, the load's name, how many frames, the file to write to, and the venue's
address; without that, the frames come from memory. What it writes are the Unix times at which the
first frame was there and at which the last record was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import islice
from pathlib import Path

import structlog

from benchmarks.feeds.loads import LOADS, Load, answers
from benchmarks.feeds.waiting import write_whole
from streams.backoff import Backoff
from streams.connectors.base import Request, Rest
from streams.connectors.runner import Teller, into, run
from streams.heartbeat import Pulse
from streams.producer import Producer
from streams.settings import Endpoints

#: A socket's reader waits now and then as well, and lets the producer have its turn.
_AT_ONCE = 100
_LOOK_EVERY_S = 0.002


async def _from_memory(load: Load, count: int, producer: Producer) -> float:
    """Gives the time at which the first frame was there."""
    connector = load.connector("")
    frames = list(islice(load.frames(time.time_ns() // 1000), count))
    handle, as_records = into(producer)
    async with connector.rest() as rest:
        parser = connector.parser("bench", time.time_ns() // 1000)
        teller = Teller(
            connector.feed,
            parser,
            handle,
            Pulse("producer/bench", 0),
            Backoff(),
            structlog.get_logger(),
            as_records=as_records,
        )
        await _subscribe(teller, rest)
        await producer.flush()
        began = time.time()
        for number, frame in enumerate(frames):
            await teller.frame(frame)
            parser.outgoing()
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
    return began


async def _subscribe(teller: Teller, rest: Rest) -> None:
    while waiting := teller.parser.outgoing():
        for what in waiting:
            if isinstance(what, Request):
                await teller.frame(await rest.get(what), what)
                continue
            for reply in answers(what)[0]:
                await teller.frame(reply)


async def _from_venue(load: Load, count: int, producer: Producer, url: str) -> float:
    """The same."""
    pulse = Pulse("producer/bench", 0)
    feed = asyncio.create_task(run(load.connector(url), producer, pulse))
    await _events(load.events_before + 1, pulse, feed)
    began = time.time()
    await _events(load.events_before + count, pulse, feed)
    return began


async def _events(number: int, pulse: Pulse, feed: asyncio.Task[None]) -> None:
    while pulse.events < number:
        if feed.done():
            feed.result()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _measure(brokers: str, name: str, count: str, window: str, url: str = "") -> None:
    load = LOADS[name]
    async with Producer(Endpoints(brokers, {}, "", False, False)) as producer:
        if url:
            began = await _from_venue(load, int(count), producer, url)
        else:
            began = await _from_memory(load, int(count), producer)
        await producer.flush()
        write_whole(Path(window), json.dumps([began, time.time()]))
        await asyncio.Event().wait()  # the topic is looked at before a feed says that it ends


if __name__ == "__main__":
    asyncio.run(_measure(*sys.argv[1:]))  # the loop of `tape produce`
