"""Waiting until a projection has projected what stands at a place in the log.

place = await record(producer, command)
await wait_for(endpoints, "account", [place], timeout=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from confluent_kafka import TopicPartition

from projections import PROJECTIONS, waiting
from projections.base import Partition
from projections.waiting import Late, Mark
from streams.admin import Broker
from streams.errors import UserError
from streams.settings import Endpoints
from streams.topics import topic_ids
from streams.tracing import Place

__all__ = ["Late", "wait_for"]


async def wait_for(
    endpoints: Endpoints, projection: str, places: Collection[Place] | None, timeout: float
) -> None:
    """Return once the projection's tables have the records at these places, and all before them.

    Without places, at all that the log has now. `timeout` in seconds, for the tables: the broker
    is asked before.

    Raises UserError: there is no such projection, it does not read a place's topic, no log reaches
    to a place, or the broker is out of reach. Else as `projections.waiting.wait_for`.
    """
    if projection not in PROJECTIONS:
        raise UserError(
            f"there is no projection {projection!r}; there are: {', '.join(PROJECTIONS)}"
        )
    topics = PROJECTIONS[projection].topics
    for place in places or ():
        if place.topic not in topics:
            raise UserError(
                f"{projection} does not read {place.topic}; it reads {', '.join(topics)}"
            )
    position = await asyncio.to_thread(_position, endpoints, topics, places)
    await waiting.wait_for(endpoints.dsn, projection, position, timeout)


def _position(
    endpoints: Endpoints, topics: Collection[str], places: Collection[Place] | None
) -> dict[Partition, Mark]:
    names = topics if places is None else {place.topic for place in places}
    ids, broker = topic_ids(endpoints, names), Broker(endpoints)
    partitions = {
        Partition(name, one.id)
        for name, topic in broker.describe(names).items()
        for one in topic.partitions
    }
    if places is None:
        bounds = broker.all_bounds([TopicPartition(*source) for source in partitions])
        last = {Partition(*place): end - 1 for place, (_, end) in bounds.items() if end}
    else:
        last = _last(places)
        for source, offset in last.items():
            _check(broker, source, offset, partitions)
    return {source: Mark(ids[source.topic], last[source]) for source in sorted(last)}


def _last(places: Collection[Place]) -> dict[Partition, int]:
    """The last of the places in each partition: who has projected it has projected the others."""
    found: dict[Partition, int] = {}
    for place in places:
        source = Partition(place.topic, place.partition)
        found[source] = max(place.offset, found.get(source, 0))
    return found


def _check(
    broker: Broker, source: Partition, offset: int, partitions: Collection[Partition]
) -> None:
    if source not in partitions:
        count = sum(one.topic == source.topic for one in partitions)
        raise UserError(f"there is no {source}: {source.topic} has partitions 0 to {count - 1}")
    end = _end(broker, source)
    if offset >= end:
        has = f"its last offset is {end - 1}" if end else "it is empty"
        raise UserError(f"{source}@{offset} is beyond the end of the log: {has}")


def _end(broker: Broker, source: Partition) -> int:
    return broker.bounds(TopicPartition(source.topic, source.partition))[1]
