"""A topic of the test's own on the real broker, and archives of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Source
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from projections.base import Partition
from streams.admin import Broker
from streams.archive.reader import Archive
from streams.archive.run import Run, run
from streams.archive.store import open_store
from streams.embedded.stack import StackInfo
from streams.settings import Endpoints
from tests.streams.archive.keeping import plain

PARTITIONS = 2

#: Key, value, headers.
Sent = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


@dataclass
class Topic:
    """A topic of two partitions, and where it is archived."""

    name: str
    endpoints: Endpoints
    location: str
    admin: AdminClient

    def make(self) -> None:
        config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
        asked = [NewTopic(self.name, PARTITIONS, 1, config=config)]
        self.admin.create_topics(asked)[self.name].result(30)
        Broker(self.endpoints).wait_for([self.name])

    def make_anew(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result(30)
        while Broker(self.endpoints).describe([self.name]):  # the controller answers first
            pass
        self.make()

    def remove_before(self, partition: int, offset: int) -> None:
        """As retention does."""
        asked = [TopicPartition(self.name, partition, offset)]
        for future in self.admin.delete_records(asked).values():
            future.result(30)

    async def send(self, partition: int, *records: Sent) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.endpoints.brokers, acks="all") as out:
            for key, value, headers in records:
                await out.send(self.name, value, key, partition=partition, headers=list(headers))
            await out.flush()

    async def consumed(self, partition: int) -> list[tuple[Any, ...]]:
        """All that a plain consumer reads of a partition."""
        source = Source(self.name, partition)
        found: list[Any] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.endpoints.brokers, auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign([source])
            end = (await consumer.end_offsets([source]))[source]
            while await consumer.position(source) < end:
                found += (await consumer.getmany(source, timeout_ms=500)).get(source, [])
        return plain(found)

    def archived(self, partition: int, start: int = 0) -> list[tuple[Any, ...]]:
        """All that the archive holds of a partition."""
        batches = Archive(self.location).read(Partition(self.name, partition), start)
        return plain([record for batch in batches for record in batch])

    async def run(self, *, accept_gaps: bool = False) -> Run:
        store, report = open_store(self.location), Run()
        await run(store, self.endpoints, [self.name], report, accept_gaps=accept_gaps)
        return report


def numbered(start: int, until: int, *, text: str = "") -> list[Sent]:
    """Records that differ; with another text all of them are others."""
    return [
        (b"key", f"{text}{number}".encode(), [("ce_id", f"{text}{number}".encode())])
        for number in range(start, until)
    ]


@pytest.fixture
def topic(stack: StackInfo, tmp_path: Path) -> Topic:
    endpoints = Endpoints(stack.brokers, {}, "", True, True)
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    made = Topic(f"archive-{secrets.token_hex(4)}", endpoints, str(tmp_path / "archive"), admin)
    made.make()
    asyncio.run(made.send(0, *numbered(0, 10)))
    return made
