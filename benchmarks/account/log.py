"""The product's own topics, empty or with the account's events in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient

from benchmarks import topics
from streams.delivery import partition_of
from streams.embedded.stack import StackInfo
from streams.events import Event, encode
from streams.settings import Endpoints
from streams.topics import ensure_topics, topic_states

#: Of any Kafka producer, unless it is told otherwise. An account's events seldom come in bulk: in
#: full batches of the largest size one topic would be far ahead of the other in the log itself.
_BATCH_BYTES = 16 * 1024


def endpoints(info: StackInfo, dsn: str) -> Endpoints:
    """The stack's broker with that database."""
    return Endpoints(info.brokers, {}, dsn, embedded_broker=False, embedded_database=False)


def make_anew(info: StackInfo) -> None:
    """All topics of the catalogue, empty."""
    reach = endpoints(info, info.dsn)
    if names := [state.name for state in topic_states(reach)]:
        asyncio.run(_delete(info.brokers, names))
    ensure_topics(reach)


def fill(info: StackInfo, events: Iterable[Event]) -> Mapping[str, int]:
    """Appends events where their keys lead to; gives the number of records in each topic."""
    partitions = {
        state.name: tuple(range(state.partitions))
        for state in topic_states(endpoints(info, info.dsn))
    }
    listed = (
        (record.topic, partition_of(record.key, partitions[record.topic]), record)
        for record in map(encode, events)
    )
    return asyncio.run(topics.append(info.brokers, listed, _BATCH_BYTES))


async def _delete(brokers: str, names: list[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.delete_topics(names)
    finally:
        await admin.close()
