"""Sending events to topics of a test's own, and projecting all that lies in them."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from projections import PROJECTIONS
from projections.migrations import migrate
from streams.events import Event, encode
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.processes.forked import Forked
from tests.projections.registered import registered
from tests.streams import projection_worker
from tests.streams.projection_worker import own_projection, own_topic

PARTITIONS = 4
WORKER = projection_worker.__name__


class OwnTopics:
    """The topics of one projection, made anew for a test."""

    def __init__(self, projection: str, brokers: str, dsn: str) -> None:
        self.endpoints = Endpoints(brokers, {}, dsn, True, True)
        self._projection = projection
        self._prefix = f"own-{secrets.token_hex(6)}"
        names = [own_topic(self._prefix, topic) for topic in PROJECTIONS[projection].topics]
        self.names = dict(zip(PROJECTIONS[projection].topics, names, strict=True))

    async def create(self) -> None:
        """The topics, and the tables."""
        client = AdminClient({"bootstrap.servers": self.endpoints.brokers})
        config = {"message.timestamp.type": "LogAppendTime"}
        new = [NewTopic(name, PARTITIONS, config=config) for name in self.names.values()]
        for made in client.create_topics(new).values():
            made.result()
        ensure_topics(self.endpoints)  # the producer insists on the catalogue's
        own = own_projection(self._prefix, self._projection)
        await migrate(self.endpoints.dsn, registered(own))

    def sink(self, producer: Producer) -> OwnTopicsSink:
        """The producer, but for the topics."""
        return OwnTopicsSink(producer, self.names)

    async def send(self, events: Sequence[Event]) -> None:
        """Append events, in order."""
        async with Producer(self.endpoints) as producer:
            for event in events:
                await self.sink(producer).send(event)
            await producer.flush()

    async def ends(self) -> int:
        """Records in all partitions."""
        async with AIOKafkaConsumer(bootstrap_servers=self.endpoints.brokers) as consumer:
            found = await consumer.end_offsets(
                [TopicPartition(name, n) for name in self.names.values() for n in range(PARTITIONS)]
            )
        return sum(found.values())

    def project(self, records: int) -> None:
        """Let a worker run until the checkpoints are behind the last record."""
        places = [self.endpoints.brokers, self.endpoints.dsn]
        command = [sys.executable, "-m", WORKER, self._prefix, self._projection, *places]
        worker = Forked[bytes](command)
        try:
            deadline = time.monotonic() + 90
            with psycopg.connect(self.endpoints.dsn, autocommit=True) as connection:
                while connection.execute("select sum(next_offset) from checkpoints").fetchone() != (
                    records,
                ):
                    assert worker.poll() is None
                    assert time.monotonic() < deadline, "the worker does not get through"
                    time.sleep(0.1)
        finally:
            worker.terminate()
            assert worker.wait(30) == 0


class OwnTopicsSink:
    """Takes events for the topics of the catalogue and sends them to a test's own."""

    def __init__(self, producer: Producer, names: dict[str, str]) -> None:
        self._producer = producer
        self._names = names

    async def send(self, event: Event, trace: str | None = None) -> None:
        await self._producer.send_record(replace(encode(event), topic=self._names[event.topic]))
