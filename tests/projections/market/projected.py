"""Projecting what is told of markets, and what then lies in their tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from projections.base import Batch, Partition
from projections.checkpoint import LogStart
from projections.market import Market
from projections.unit import Projector
from streams.events import Event, MarketDescribed, MarketDetermined, MarketSettled, MarketTicker
from tests.projections.logs import NOON, TOPIC_ID, empty, record_of

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


def units_of(events: Sequence[Event], lengths: Iterable[int]) -> list[list[Batch]]:
    """The events in their order, cut into units; each topic counts its own offsets."""
    ends: dict[str, int] = {}
    units: list[list[Batch]] = []
    rest = list(events)
    for length in (*lengths, len(rest)):
        unit: dict[str, list[Any]] = {}
        for event in rest[:length]:
            offset = ends.get(event.topic, 0)
            ends[event.topic] = offset + 1
            unit.setdefault(event.topic, []).append(record_of(event, offset))
        rest = rest[length:]
        if unit:
            units.append([Batch(Partition(topic, 0), found) for topic, found in unit.items()])
    return units


async def project(dsn: str, units: Iterable[Sequence[Batch]]) -> None:
    """Project these units by a fresh process; what a checkpoint is past is not projected again."""
    projector = Projector(Market(), dsn)
    sources = [Partition(topic, 0) for topic in Market.topics]
    claims = await projector.claim({source: LogStart(TOPIC_ID, 0) for source in sources})
    starts = {source: claim.next_offset for source, claim in claims.items()}
    for unit in units:
        due = [
            Batch(batch.source, [r for r in batch.records if r.offset >= starts[batch.source]])
            for batch in unit
        ]
        if due := [batch for batch in due if batch.records]:
            await projector.commit(due)
    await projector.close()


def run(dsn: str, events: Sequence[Event], lengths: Iterable[int] = ()) -> None:
    asyncio.run(project(dsn, units_of(events, lengths)))


def reset(dsn: str) -> None:
    empty(dsn, *(f"market_1.{name}" for name in Market.tables))
