"""Topics of the bench: made anew, and filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.dataset import PARTITIONS, records
from streams.events import EncodedEvent

#: A producer under load fills such batches; small ones would measure the readers' framing.
BATCH_BYTES = 128 * 1024


async def create(brokers: str, topic: str) -> None:
    """Makes a topic of four partitions, with the settings of the catalogue's topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
        await admin.create_topics(
            [
                NewTopic(
                    topic, num_partitions=PARTITIONS, replication_factor=1, topic_configs=settings
                )
            ]
        )
    finally:
        await admin.close()


async def fill(brokers: str, topic: str, rows: int, *, repeats: bool = False) -> int:
    """Appends the dataset to a topic; gives the number of records."""
    listed = ((topic, partition, record) for partition, record in records(rows, repeats=repeats))
    return (await append(brokers, listed))[topic]


async def append(
    brokers: str,
    listed: Iterable[tuple[str, int, EncodedEvent]],
    batch_bytes: int = BATCH_BYTES,
) -> Mapping[str, int]:
    """Appends (topic, partition, record) in full batches; gives the number of each topic."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=batch_bytes,
    )
    await producer.start()
    batches: dict[tuple[str, int], BatchBuilder] = {}
    counts: Counter[str] = Counter()
    try:
        for topic, partition, record in listed:
            counts[topic] += 1
            batch = batches.get((topic, partition))
            if batch is None or not _append(batch, record):
                if batch is not None:
                    await producer.send_batch(batch, topic, partition=partition)
                batch = batches[topic, partition] = producer.create_batch()
                _append(batch, record)
        for (topic, partition), batch in batches.items():
            await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()
    return counts


def _append(batch: BatchBuilder, record: EncodedEvent) -> bool:
    taken = batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers)
    return taken is not None
