"""The topics on the broker, as far as the archive asks: where their logs lie, and their records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from projections.base import Partition
from streams import tolerant
from streams.clients import running
from streams.errors import UserError
from streams.settings import Endpoints
from streams.topics import partition_bounds, topic_ids

__all__ = ["Log", "LogReader", "find_logs"]

_BATCH = 10_000
_FETCH_BYTES = 8 * 1024 * 1024
#: The broker may hold a fetch so long at the end of a log, and with it the next partition's.
_HELD_MS = 20
_WAIT_MS = 500
#: A broker that gives nothing for so many waits is given up.
_WAITS = 60


@dataclass(frozen=True)
class Log:
    """A topic on the broker.

    `topic_id` is UUID text; `bounds` are the first offset of each partition and the one behind its
    last, when it was looked at.
    """

    topic: str
    topic_id: str
    bounds: Mapping[int, tuple[int, int]]


def find_logs(endpoints: Endpoints, names: Collection[str]) -> dict[str, Log]:
    """Those of the topics that the broker has. Raises UserError when it is out of reach. Blocks."""
    bounds: dict[str, dict[int, tuple[int, int]]] = {}
    for (name, partition), held in partition_bounds(endpoints, names).items():
        bounds.setdefault(name, {})[partition] = held
    ids = topic_ids(endpoints, bounds)
    return {name: Log(name, ids[name], held) for name, held in bounds.items()}


class LogReader:
    """Reads one partition after the other, without a group."""

    def __init__(self, consumer: AIOKafkaConsumer, brokers: str) -> None:
        self._consumer = consumer
        self._brokers = brokers

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints) -> AsyncIterator[LogReader]:
        """Connect. Raises UserError where the broker is out of reach."""
        tolerant.install()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=endpoints.brokers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_HELD_MS,
            **endpoints.kafka,
        )

        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(running(consumer))
            except KafkaError as error:
                raise UserError(
                    f"no consumer on the broker {endpoints.brokers}: {error!r}; "
                    "`tape doctor` tries the connection"
                ) from error
            yield cls(consumer, endpoints.brokers)

    async def read(self, source: Partition, start: int, until: int) -> AsyncIterator[list[Any]]:
        """The records from offset `start` below `until`, as aiokafka gives them.

        Offsets that hold no record are passed over. Raises UserError: the log does not begin at or
        before `start` any more, or the broker gives nothing.
        """
        partition = TopicPartition(*source)
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        waits = 0
        try:
            while await self._consumer.position(partition) < until:
                got = await self._consumer.getmany(
                    partition, timeout_ms=_WAIT_MS, max_records=_BATCH
                )
                waits = 0 if got else waits + 1
                if waits > _WAITS:
                    raise UserError(
                        f"{self._brokers} gives no records of {source}; "
                        "`tape doctor` tries the connection"
                    )
                if records := [one for one in got.get(partition, []) if one.offset < until]:
                    yield records
        except OffsetOutOfRangeError as error:
            raise UserError(
                f"{source}: records from offset {start} on were removed from the log while they "
                "were to be read; run it again, and it says what is missing"
            ) from error
        except KafkaError as error:
            raise UserError(
                f"{source} on {self._brokers} cannot be read: {error!r}; "
                "`tape doctor` tries the connection"
            ) from error
