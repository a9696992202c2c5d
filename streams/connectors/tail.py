"""The newest records of a topic: what a feed that begins has to know of what was produced before.

Whoever produced it may have died, so no memory but the log's is to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams import tolerant
from streams.clients import running
from streams.delivery import partition_of
from streams.errors import UserError
from streams.events import Event
from streams.settings import Endpoints

__all__ = ["MOST", "is_told", "tail"]

#: Records of one partition: read within a fraction of a second, for a standby takes over soon.
MOST = 25_000
_BATCH = 5_000
_WAIT_MS = 1_000

Take = Callable[[ConsumerRecord[bytes, bytes]], None]


async def tail(
    endpoints: Endpoints, topic: str, take: Take, keys: Collection[bytes] | None = None
) -> int:
    """Hand the newest `MOST` records of each partition to `take`, the oldest first.

    With `keys`, only of the partitions that they lead to. Needs no group. Returns how many records
    that were. Raises UserError where the broker is out of reach.
    """
    tolerant.install()
    try:
        return await _read(endpoints, topic, take, keys)
    except KafkaError as error:
        raise UserError(
            f"the topic {topic} on {endpoints.brokers} cannot be read: {error!r}; "
            "`tape doctor` tries the connection"
        ) from error


def is_told(record: ConsumerRecord[bytes, bytes], venue: str, *events: type[Event]) -> bool:
    """Whether a record is, by its headers, one of these events of market data of the venue."""
    headers: dict[str, bytes | None] = dict(record.headers)
    types = {event.ce_type().encode() for event in events}
    return (
        headers.get("ce_source") == f"/venues/{venue}".encode() and headers.get("ce_type") in types
    )


async def _read(
    endpoints: Endpoints, topic: str, take: Take, keys: Collection[bytes] | None
) -> int:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=endpoints.brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **endpoints.kafka,
    )
    count = 0
    async with running(consumer):
        due = _partitions(consumer.assignment(), keys)
        ends = await consumer.end_offsets(due)
        for partition, start in (await consumer.beginning_offsets(due)).items():
            consumer.seek(partition, max(start, ends[partition] - MOST))
            if start == ends[partition]:
                due.discard(partition)
        while due:
            found = await consumer.getmany(*due, timeout_ms=_WAIT_MS, max_records=_BATCH)
            for partition, records in found.items():
                for record in records:
                    take(record)
                count += len(records)
                if await consumer.position(partition) >= ends[partition]:
                    due.discard(partition)
    return count


def _partitions(
    all_of_them: Collection[TopicPartition], keys: Collection[bytes] | None
) -> set[TopicPartition]:
    if keys is None:
        return set(all_of_them)
    numbers = tuple(sorted(one.partition for one in all_of_them))
    wanted = {partition_of(key, numbers) for key in keys}
    return {one for one in all_of_them if one.partition in wanted}
