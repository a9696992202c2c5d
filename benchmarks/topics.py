"""Topics of the bench: made anew, and filled with the dataset."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.dataset import PARTITIONS, records

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
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    count = 0
    try:
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for partition, record in records(rows, repeats=repeats):
            count += 1
            if not _append(batches[partition], record.key, record.value, record.headers):
                await producer.send_batch(batches[partition], topic, partition=partition)
                batches[partition] = producer.create_batch()
                _append(batches[partition], record.key, record.value, record.headers)
        for partition, batch in enumerate(batches):
            if batch.record_count():
                await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()
    return count


def _append(
    batch: BatchBuilder, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
) -> bool:
    return batch.append(key=key, value=value, timestamp=None, headers=headers) is not None
