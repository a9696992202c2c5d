"""Events projected by units of work in this process: no Kafka, and the clock of the caller."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from benchmarks.dataset import PARTITIONS
from projections.account import Account
from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.unit import Projector
from streams.delivery import partition_of
from streams.events import Event, encode

_LOG_START = LogStart(str(uuid.UUID(int=1)), 0)
_PARTITIONS = tuple(range(PARTITIONS))
_SOURCES = [Partition(topic, number) for topic in Account.topics for number in _PARTITIONS]


class _Record(NamedTuple):
    """As the broker would hand it over."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Units:
    """The end of an imagined log, and the projector that follows it."""

    def __init__(self, dsn: str) -> None:
        self._projector = Projector(Account(), dsn)
        self._ends: dict[Partition, int] = {}

    async def __aenter__(self) -> Self:
        claims = await self._projector.claim(dict.fromkeys(_SOURCES, _LOG_START))
        self._ends = {source: claim.next_offset for source, claim in claims.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._projector.close()

    async def project(self, events: Sequence[Event], size: int) -> float:
        """Project events in units of `size`; gives the seconds that the units took."""
        units = list(self._cut(events, size))
        began = time.perf_counter()
        for unit in units:
            await self._projector.commit(unit)
        return time.perf_counter() - began

    def _cut(self, events: Sequence[Event], size: int) -> Iterator[list[Batch]]:
        now = time.time_ns() // 1_000_000
        for begin in range(0, len(events), size):
            unit: dict[Partition, list[_Record]] = {}
            for event in events[begin : begin + size]:
                coded = encode(event)
                source = Partition(coded.topic, partition_of(coded.key, _PARTITIONS))
                record = _Record(self._ends[source], now, coded.key, coded.value, coded.headers)
                unit.setdefault(source, []).append(record)
                self._ends[source] += 1
            yield [Batch(source, records) for source, records in unit.items()]
