"""Which topics there are: their ids, who leads their partitions, how long they keep records.

aiokafka stops at Metadata version 5, which has no topic ids: this is version 12 of Kafka's protocol
guide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    Int16,
    Int32,
    Schema,
)

from projections.base import Partition
from streams.errors import UserError
from streams.monitor.reading.layout import TAGS, TEXT, Uuid
from streams.monitor.reading.wire import Wire

__all__ = ["Topics", "read_retention", "read_topics"]

#: Of DescribeConfigs.
_TOPIC = 2
_RETENTION = "retention.ms"
_NO_ERROR, _UNKNOWN_TOPIC = 0, 3


class Topics(NamedTuple):
    """The id (a UUID) of each topic, and the node that leads each partition, -1 where none does.

    Without the broker's own topics.
    """

    ids: Mapping[str, str]
    leaders: Mapping[Partition, int]


class _Response(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", TEXT),
                ("port", Int32),
                ("rack", TEXT),
                TAGS,
            ),
        ),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", TEXT),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        TAGS,
                    ),
                ),
                ("topic_authorized_operations", Int32),
                TAGS,
            ),
        ),
        TAGS,
    )


class _RequestV12(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("name", TEXT), TAGS),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        TAGS,
    )


class _Request(Request[_RequestV12]):
    API_KEY = 3

    def build(self, request_struct_class: type[_RequestV12]) -> _RequestV12:
        every_topic = None
        return request_struct_class(every_topic, False, False, {})


async def read_topics(wire: Wire) -> Topics:
    """Ask any broker. Raises aiokafka's KafkaError and OSError where none answers."""
    reply: Any = await wire.send_to_any(_Request())
    ids: dict[str, str] = {}
    leaders: dict[Partition, int] = {}
    for _, name, topic_id, is_internal, partitions, *_ in reply.topics:
        if not is_internal and not name.startswith("__"):
            ids[name] = topic_id
            leaders |= {Partition(name, number): leader for _, number, leader, *_ in partitions}
    return Topics(ids, leaders)


async def read_retention(wire: Wire, topics: Collection[str]) -> dict[str, int]:
    """`retention.ms` of each of these that is still there: -1 where it is kept for ever.

    Raises UserError where the broker does not tell it; aiokafka's KafkaError and OSError where none
    answers.
    """
    if not topics:
        return {}
    asked = [(_TOPIC, name, [_RETENTION]) for name in topics]
    reply: Any = await wire.send_to_any(DescribeConfigsRequest(asked))
    found = {}
    for error, message, _, name, entries in reply.resources:
        if error not in {_NO_ERROR, _UNKNOWN_TOPIC}:
            reason = message or for_code(error).__name__
            raise UserError(f"the broker tells no settings of topic {name}: {reason}")
        for _, value, *_ in entries:
            found[name] = int(value)
    return found
