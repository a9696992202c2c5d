"""Every sample goes through Kafka and a worker into PostgreSQL, with as much as its file holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.embedded.stack import StackInfo
from streams.producer import Producer
from streams.recording import read
from streams.replay import Summary, replay
from tests.streams.landing import PARTITIONS, OwnTopics
from tests.streams.test_samples import EXPECTED, Count, count

TOPIC = "price.ticks"


async def send(path: Path, own: OwnTopics) -> None:
    async with Producer(own.endpoints) as producer:
        await replay(read(path), own.sink(producer), None, Summary())
        await producer.flush()


async def quotes_in(own: OwnTopics) -> int:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=own.endpoints.brokers, auto_offset_reset="earliest"
    )
    async with consumer:
        consumer.assign([TopicPartition(own.names[TOPIC], number) for number in range(PARTITIONS)])
        left, quotes = await own.ends(), 0
        while left:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                left -= len(records)
                quotes += sum(dict(r.headers)["ce_type"] == b"price.quote.v1" for r in records)
    return quotes


def landed(dsn: str, quotes: int) -> Count:
    with psycopg.connect(dsn) as connection:
        (trades,) = connection.execute("select count(*) from price_history").fetchone() or (0,)
        last = connection.execute("select symbol, price::text from latest_price").fetchall()
    return Count(trades, quotes, dict(last))


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_sample_lands_whole(samples: Path, stack: StackInfo, dsn: str, name: str) -> None:
    own = OwnTopics("prices", stack.brokers, dsn)
    await own.create()
    await send(samples / name, own)
    await asyncio.to_thread(own.project, await own.ends())

    found = landed(dsn, await quotes_in(own))
    assert found == EXPECTED[name] == count(samples / name)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from dead_letters").fetchone() == (0,)
        assert connection.execute("select count(*) from price_conflicts").fetchone() == (0,)
