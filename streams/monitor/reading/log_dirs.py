"""What partitions take on the brokers' disks, and what these have left.

aiokafka knows no such request: its layout is DescribeLogDirs version 4 of Kafka's protocol guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    Int16,
    Int32,
    Int64,
    Schema,
)

from projections.base import Partition
from streams.monitor.reading.layout import TAGS, TEXT
from streams.monitor.reading.wire import Wire

__all__ = ["LogDir", "LogDirs", "read_log_dirs"]


class _Response(Response):
    API_KEY = 35
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            CompactArray(
                ("error_code", Int16),
                ("log_dir", TEXT),
                (
                    "topics",
                    CompactArray(
                        ("name", TEXT),
                        (
                            "partitions",
                            CompactArray(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                                TAGS,
                            ),
                        ),
                        TAGS,
                    ),
                ),
                ("total_bytes", Int64),
                ("usable_bytes", Int64),
                TAGS,
            ),
        ),
        TAGS,
    )


class _RequestV4(RequestStruct):
    API_KEY = 35
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic", TEXT), ("partitions", CompactArray(Int32)), TAGS),
        ),
        TAGS,
    )


class _Request(Request[_RequestV4]):
    API_KEY = 35

    def build(self, request_struct_class: type[_RequestV4]) -> _RequestV4:
        return request_struct_class(None, {})


@dataclass(frozen=True, slots=True)
class LogDir:
    """A folder of a broker: bytes of its file system, -1 where the broker cannot tell."""

    node: int
    path: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class LogDirs:
    """All folders, and the bytes that each partition takes: of its largest replica."""

    folders: tuple[LogDir, ...]
    sizes: Mapping[Partition, int]


async def read_log_dirs(wire: Wire) -> LogDirs:
    """Ask every broker. Raises aiokafka's KafkaError and OSError where one does not answer."""
    folders: list[LogDir] = []
    sizes: dict[Partition, int] = {}
    for node in wire.nodes():
        reply: Any = await wire.send(node, _Request())
        if reply.error_code:
            raise KafkaError(f"broker {node} gives no sizes: error {reply.error_code}")
        for _, path, topics, total, free, _ in reply.results:
            folders.append(LogDir(node, path, total, free))
            for topic, partitions, _ in topics:
                for number, size, *_ in partitions:
                    place = Partition(topic, number)
                    sizes[place] = max(size, sizes.get(place, 0))
    return LogDirs(tuple(folders), sizes)
