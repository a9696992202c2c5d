"""Every sample goes through Kafka and a worker into PostgreSQL, with as much as its file holds."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from projections.migrations import migrate
from streams.embedded.stack import StackInfo
from streams.events import Event, encode
from streams.producer import Producer
from streams.recording import read
from streams.replay import Summary, replay
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.streams.prices_worker import prices_over
from tests.streams.test_samples import EXPECTED, Count, count

PARTITIONS = 4
WORKER = Path(__file__).parent / "prices_worker.py"


class OwnTopic:
    """The producer, but for the topic."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def send(self, event: Event) -> None:
        await self._producer.send_record(replace(encode(event), topic=self._topic))


@pytest.fixture
def topic(brokers: str) -> str:
    name = f"samples-{secrets.token_hex(6)}"
    new = NewTopic(name, PARTITIONS, config={"message.timestamp.type": "LogAppendTime"})
    client = AdminClient({"bootstrap.servers": brokers})
    client.create_topics([new])[name].result()
    ensure_topics(Endpoints(brokers, {}, "", True, True))  # the producer insists on the catalogue's
    return name


async def send(path: Path, endpoints: Endpoints, topic: str) -> None:
    async with Producer(endpoints) as producer:
        await replay(read(path), OwnTopic(producer, topic), None, Summary())
        await producer.flush()


async def ends(brokers: str, topic: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=brokers) as consumer:
        found = await consumer.end_offsets([TopicPartition(topic, n) for n in range(PARTITIONS)])
    return sum(found.values())


async def quotes_in(brokers: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        left, quotes = await ends(brokers, topic), 0
        while left:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                left -= len(records)
                quotes += sum(dict(r.headers)["ce_type"] == b"price.quote.v1" for r in records)
    return quotes


def project(endpoints: Endpoints, topic: str, records: int) -> None:
    """Let a worker run until the checkpoints are behind the last record."""
    command = [sys.executable, str(WORKER), topic, endpoints.brokers, endpoints.dsn]
    worker = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 90
        with psycopg.connect(endpoints.dsn, autocommit=True) as connection:
            while connection.execute("select sum(next_offset) from checkpoints").fetchone() != (
                records,
            ):
                assert worker.poll() is None
                assert time.monotonic() < deadline, "the worker does not get through"
                time.sleep(0.1)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0


def landed(dsn: str, quotes: int) -> Count:
    with psycopg.connect(dsn) as connection:
        (trades,) = connection.execute("select count(*) from price_history").fetchone() or (0,)
        last = connection.execute("select symbol, price::text from latest_price").fetchall()
    return Count(trades, quotes, dict(last))


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_sample_lands_whole(
    samples: Path, stack: StackInfo, dsn: str, topic: str, name: str
) -> None:
    endpoints = Endpoints(stack.brokers, {}, dsn, True, True)
    await migrate(dsn, [prices_over(topic)()])
    await send(samples / name, endpoints, topic)
    await asyncio.to_thread(project, endpoints, topic, await ends(stack.brokers, topic))

    found = landed(dsn, await quotes_in(stack.brokers, topic))
    assert found == EXPECTED[name] == count(samples / name)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from dead_letters").fetchone() == (0,)
        assert connection.execute("select count(*) from price_conflicts").fetchone() == (0,)
