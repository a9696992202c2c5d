"""Projecting what is told of markets, and what then lies in their tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.market import Market
from projections.unit import Projector
from streams.events import Event, MarketDescribed, MarketDetermined, MarketSettled, MarketTicker
from tests.projections.logs import NOON, TOPIC_ID, empty, record_of, unreadable

START = NOON * 1_000_000
#: Closes on 2026-11-15 at 16:00 Eastern, 21:00 UTC.
TICKER = "KXBTCD-26NOV1516-T114749.99"


def told(model: type[Event], at: int = 0, **fields: Any) -> Any:
    """An event `at` microseconds after noon; what is not given is null."""
    values = dict.fromkeys(model.model_fields)
    values |= {"venue": "kalshi", "ticker": TICKER, "time": START + at, "received": START + at + 9}
    return model(**{**values, **fields})


def quoted(at: int = 0, **fields: Any) -> MarketTicker:
    event: MarketTicker = told(MarketTicker, at, **fields)
    return event


def described(at: int = 0, **fields: Any) -> MarketDescribed:
    event: MarketDescribed = told(MarketDescribed, at, **fields)
    return event


def determined(at: int = 0, **fields: Any) -> MarketDetermined:
    event: MarketDetermined = told(MarketDetermined, at, **fields)
    return event


def settled(at: int = 0, **fields: Any) -> MarketSettled:
    event: MarketSettled = told(MarketSettled, at, **fields)
    return event


@dataclass(frozen=True)
class Unreadable:
    """The record of an event whose value was destroyed."""

    event: Event


def units_of(
    events: Sequence[Event | Unreadable], lengths: Iterable[int], partitions: int = 1
) -> list[list[Batch]]:
    """The events in their order, cut into units; each partition counts its own offsets.

    An event's partition follows from its key.
    """
    ends: dict[Partition, int] = {}
    units: list[list[Batch]] = []
    rest = list(events)
    for length in (*lengths, len(rest)):
        unit: dict[Partition, list[Any]] = {}
        for one in rest[:length]:
            event = one.event if isinstance(one, Unreadable) else one
            source = Partition(event.topic, crc32(event.key().encode()) % partitions)
            record = record_of(event, ends.get(source, 0))
            ends[source] = record.offset + 1
            broken = isinstance(one, Unreadable)
            unit.setdefault(source, []).append(unreadable(record) if broken else record)
        rest = rest[length:]
        if unit:
            units.append([Batch(source, found) for source, found in unit.items()])
    return units


async def claimed(dsn: str, sources: Iterable[Partition]) -> Projector:
    """A process that holds these partitions."""
    projector = Projector(Market(), dsn)
    await projector.claim({source: LogStart(TOPIC_ID, 0) for source in sources})
    return projector


async def project(dsn: str, units: Iterable[Sequence[Batch]], partitions: int = 1) -> None:
    """Project these units by a fresh process; what a checkpoint is past is not projected again."""
    projector = await claimed(
        dsn, [Partition(topic, n) for topic in Market.topics for n in range(partitions)]
    )
    starts = {source: claim.next_offset for source, claim in projector.claims.items()}
    for unit in units:
        due = [
            Batch(batch.source, [r for r in batch.records if r.offset >= starts[batch.source]])
            for batch in unit
        ]
        if due := [batch for batch in due if batch.records]:
            await projector.commit(due)
    await projector.close()


def run(
    dsn: str,
    events: Sequence[Event | Unreadable],
    lengths: Iterable[int] = (),
    partitions: int = 1,
) -> None:
    asyncio.run(project(dsn, units_of(events, lengths, partitions), partitions))


def reset(dsn: str) -> None:
    names = [name for name in Market.tables if name not in {"market_book", "market_log_days"}]
    empty(dsn, *(f"market_1.{name}" for name in names))
