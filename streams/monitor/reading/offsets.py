"""Where the logs of partitions start and end, in one request to each broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.offset import OffsetRequest

from projections.base import Partition
from streams.errors import UserError
from streams.monitor.reading.wire import Wire

__all__ = ["EARLIEST", "LATEST", "read_offsets"]

#: The first record that there is, and the one after the last, as if they were times.
EARLIEST, LATEST = -2, -1
_NO_ERROR = 0
_READ_UNCOMMITTED = 0
_NO_REPLICA = -1
#: Nobody serves the partition, for now or for ever: it is gone, its leader changes or starts.
_UNAVAILABLE = {3, 5, 6, 9, 74, 76, 78, 103}


async def read_offsets(
    wire: Wire, leaders: Mapping[Partition, int], which: int
) -> dict[Partition, int]:
    """The offsets; `leaders` are the nodes to ask. Without partitions that nobody serves.

    Raises UserError where a broker refuses, aiokafka's KafkaError and OSError where one does not
    answer.
    """
    asked: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for (topic, number), node in leaders.items():
        if node >= 0:
            asked.setdefault(node, {}).setdefault(topic, []).append((number, which))
    found = {}
    for node, topics in asked.items():
        request = OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, list(topics.items()))
        reply: Any = await wire.send(node, request)
        for topic, partitions in reply.topics:
            for number, error, _, offset in partitions:
                if error == _NO_ERROR:
                    found[Partition(topic, number)] = offset
                elif error not in _UNAVAILABLE:
                    raise UserError(
                        f"the broker tells no offsets of topic {topic}: {for_code(error).__name__}"
                    )
    return found
