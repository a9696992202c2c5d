"""Topics of a test's own on the real broker."""

from __future__ import annotations

import asyncio
import secrets

from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.settings import Endpoints

__all__ = ["delete_topic", "endpoints", "fill", "make_topic"]


def endpoints(brokers: str) -> Endpoints:
    return Endpoints(brokers, {}, "", True, True)


async def make_topic(brokers: str, stamp: str, partitions: int = 3, name: str | None = None) -> str:
    """A topic whose records are dated by this `message.timestamp.type`; its name."""
    name = name or f"times-{secrets.token_hex(4)}"
    config = {"message.timestamp.type": stamp}
    admin = AdminClient({"bootstrap.servers": brokers})
    future = admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name]
    await asyncio.to_thread(future.result)
    return name


async def fill(brokers: str, topic: str, count: int, *, size: int = 50, **options: object) -> None:
    """Batches of ten records or so in each partition."""
    async with AIOKafkaProducer(bootstrap_servers=brokers, **options) as producer:
        for number in range(count):
            await producer.send(
                topic, bytes(size), partition=number % 3, timestamp_ms=1000 + number
            )
            if number % 30 == 29:
                await producer.flush()


async def delete_topic(brokers: str, name: str) -> None:
    """Delete it, and wait until it is gone."""
    admin = AdminClient({"bootstrap.servers": brokers})
    await asyncio.to_thread(admin.delete_topics([name])[name].result)
    while name in (await asyncio.to_thread(admin.list_topics, timeout=10)).topics:
        await asyncio.sleep(0.05)
