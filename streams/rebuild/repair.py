"""`tape rebuild PROJECTION --only KEY`: rows of some Kafka keys made anew in the live tables.

First the log is read, while live units go on, and the keys' records are kept on disk; then, with
live units waiting, the rows are deleted and written anew. So they wait only for as long as the
writing takes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.partitioner import DefaultPartitioner
from psycopg import errors

from projections import PROJECTIONS, checkpoint
from projections.base import Partition, Projection
from projections.database import connect
from projections.decisions import Operator
from projections.repair import DeadLetters, Repair, repairing
from streams.errors import UserError
from streams.log import LogReader
from streams.rebuild.faults import explaining
from streams.rebuild.selection import Moved, Selection, select
from streams.rebuild.source import Source, find_source
from streams.settings import Endpoints
from streams.tracing import Place

__all__ = ["Affected", "Outcome", "repair"]

#: So many records are left to be read while live units wait.
_CLOSE_ENOUGH = 10_000
#: Records in one unit.
_UNIT = 5_000
_AT_ONCE = 10_000
#: A live unit may lock the same checkpoints in another order.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Affected:
    """What is to be repaired: these Kafka keys, or those of all records from a place or an append
    time on."""

    keys: Sequence[str] = ()
    since: Place | datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A repair that is done. `scanned` records were read, `records` had the keys and were written
    anew; `held` is for how many of the `seconds` live units waited."""

    projection: str
    generation: int
    keys: int
    scanned: int
    records: int
    deleted: int
    dead_letters: DeadLetters
    held: float
    seconds: float


class _Swapped(Exception):
    """Another generation became the current one since the log was read."""


@dataclass(frozen=True, slots=True)
class _Live:
    generation: int
    positions: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """The records of the keys up to and without `untils`."""

    source: Source
    generation: int
    keys: Collection[str]
    records: Selection
    untils: Mapping[Partition, int]

    @property
    def raw_keys(self) -> list[bytes]:
        return [key.encode() for key in self.keys]


async def repair(
    name: str,
    affected: Affected,
    at: Endpoints,
    operator: Operator,
    moved: Moved,
    *,
    accept_gap: bool,
) -> Outcome:
    """Repair the rows of some Kafka keys. Whatever goes wrong, the live tables are as they were.

    Raises UserError for what is wrong with the request or the surroundings, among it that records
    are gone that rows were made of, unless `accept_gap`; and Refusal.
    """
    began = time.monotonic()
    projection = PROJECTIONS[name]()
    with explaining(name):
        source = await find_source(projection, at)
        async with LogReader.open(at) as reader:
            for attempt in range(_TRIES):
                live = await _read_live(projection, source, at)
                keys = affected.keys or await _keys_since(affected.since, source, live, reader)
                with Selection(source.bounds) as records:
                    untils = await _read(projection, source, live, keys, records, reader, at, moved)
                    found = _Found(source, live.generation, keys, records, untils)
                    _check_known(name, found)
                    try:
                        return await _write(
                            projection, found, reader, at, operator, began, accept_gap=accept_gap
                        )
                    except (_Swapped, errors.DeadlockDetected):
                        if attempt == _TRIES - 1:
                            raise
    raise AssertionError


async def _read_live(projection: Projection[Any], source: Source, at: Endpoints) -> _Live:
    """Raises UserError where the log is another than what the live tables were made from."""
    async with (
        await connect(at.dsn, f"{projection.name} repair", {}) as connection,
        connection.transaction(),
    ):
        name = projection.name
        generation = await checkpoint.current_generation(connection, name, projection.version)
        cursor = await connection.execute(
            "select topic, topic_id::text, partition, next_offset from public.checkpoints"
            " where projection = %s and generation = %s",
            [name, generation],
        )
        rows = await cursor.fetchall()
    anew = sorted({topic for topic, id_, *_ in rows if source.topic_ids.get(topic) != id_})
    if anew:
        raise UserError(
            f"{name}: {', '.join(anew)} was deleted and made anew since the live tables were made,"
            f" which hold what the log does not; `tape rebuild {name}` makes them from the new one"
        )
    return _Live(generation, {Partition(topic, part): at for topic, _, part, at in rows})


async def _keys_since(
    since: Place | datetime | None, source: Source, live: _Live, reader: LogReader
) -> list[str]:
    """The Kafka keys of the projected records from there on. Raises UserError: there are none."""
    starts = await _starts(since, source, reader)
    untils = {part: max(start, live.positions.get(part, start)) for part, start in starts.items()}
    first = since.timestamp() * 1000 if isinstance(since, datetime) else 0
    keys: set[bytes] = set()
    async for batches in reader.read(starts, untils, _AT_ONCE):
        records = (record for batch in batches for record in batch.records)
        keys |= {one.key for one in records if one.key and one.timestamp >= first}
    texts = sorted(text for text in map(_text, keys) if text is not None)
    if not texts:
        raise UserError(f"nothing that was projected was appended since {since}")
    return texts


def _text(key: bytes) -> str | None:
    """None where no row can be of such a key."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


async def _starts(
    since: Place | datetime | None, source: Source, reader: LogReader
) -> dict[Partition, int]:
    if isinstance(since, datetime):
        found = await reader.offsets_at(set(source.bounds), int(since.timestamp() * 1000))
        held = await reader.bounds(source.bounds)
        # Where that is the first that the broker has, an archive may have earlier ones.
        return {
            part: first if found[part] == held[part][0] else found[part]
            for part, (first, _) in source.bounds.items()
        }
    assert since is not None
    part = Partition(since.topic, since.partition)
    if part not in source.bounds:
        known = ", ".join(map(str, source.bounds))
        raise UserError(f"the projection does not read {part}; it reads {known}")
    first, until = source.bounds[part]
    if not first <= since.offset < until:
        raise UserError(f"the log of {part} holds the offsets {first} to {until - 1}, not {since}")
    return {part: since.offset}


async def _read(
    projection: Projection[Any],
    source: Source,
    live: _Live,
    keys: Sequence[str],
    records: Selection,
    reader: LogReader,
    at: Endpoints,
    moved: Moved,
) -> dict[Partition, int]:
    """Find the records of the keys, up to about where the live tables are; returns how far."""
    raw = [key.encode() for key in keys]
    reached = {part: first for part, (first, _) in source.bounds.items()}
    positions = live.positions
    while True:
        untils = {part: max(start, positions.get(part, start)) for part, start in reached.items()}
        missing = sum(untils[part] - start for part, start in reached.items())
        await select(reader, reached, untils, raw, records, moved)
        reached = untils
        if missing <= _CLOSE_ENOUGH:
            break
        positions = (await _read_live(projection, source, at)).positions
    records.arrange()
    return reached


def _check_known(name: str, found: _Found) -> None:
    known = found.records.sources_by_key()
    unknown = [key for key in found.keys if key.encode() not in known]
    if unknown:
        raise UserError(
            f"{name}: no record of {', '.join(sorted(found.source.topic_ids))} has the Kafka key"
            f" {', '.join(map(ascii, unknown))}; nothing was changed"
        )


async def _write(
    projection: Projection[Any],
    found: _Found,
    reader: LogReader,
    at: Endpoints,
    operator: Operator,
    began: float,
    *,
    accept_gap: bool,
) -> Outcome:
    with Selection(found.source.bounds) as late:
        async with repairing(projection, at.dsn, list(found.keys)) as live:
            held = time.monotonic()
            if live.generation != found.generation:
                raise _Swapped
            untils = {part: live.positions.get(part, at) for part, at in found.untils.items()}
            await select(reader, found.untils, untils, found.raw_keys, late, lambda *_: None)
            late.arrange()
            parts = (found.records, late)
            for part in parts:
                await live.know(part.places())
            if not accept_gap:
                await _check_whole(projection, found, live)
            deleted = await live.erase()
            for part in parts:
                for first in range(0, len(part), _UNIT):
                    await live.write(part.read(first, first + _UNIT))
            dead_letters = await live.settle(found.source.topic_ids)
            await live.decided(operator, list(found.keys))
        ended = time.monotonic()
        scanned = sum(until - found.source.bounds[part][0] for part, until in untils.items())
        records = sum(map(len, parts))
    return Outcome(
        projection=projection.name,
        generation=found.generation,
        keys=len(found.keys),
        scanned=scanned,
        records=records,
        deleted=deleted,
        dead_letters=dead_letters,
        held=ended - held,
        seconds=ended - began,
    )


async def _check_whole(projection: Projection[Any], found: _Found, live: Repair) -> None:
    """Raise UserError where rows would be lost: what they were made of is not there any more."""
    cut = _cut_short(found)
    lost = await live.foreign()
    if not cut and not lost:
        return
    reasons = []
    if cut:
        places = ", ".join(f"{part} begins at offset {first}" for part, first in cut.items())
        reasons.append(f"the log may lack records of these keys: {places}")
    if lost:
        rows = ", ".join(f"{count:,} of {table}" for table, count in lost.items())
        reasons.append(f"rows were made by records that are gone or of another Kafka key: {rows}")
    raise UserError(
        f"{projection.name}: {'; '.join(reasons)}. What is deleted could not be made again, so the"
        " live tables are as they were. With --accept-gap the rows are made of what the log still"
        " holds, and the rest of them is lost"
    )


def _cut_short(found: _Found) -> dict[Partition, int]:
    """The partitions that may have held records of the keys before their first offset."""
    partitioner = DefaultPartitioner()  # the producer's own
    met = found.records.sources_by_key()
    by_topic: dict[str, list[int]] = {}
    for part in found.source.bounds:
        by_topic.setdefault(part.topic, []).append(part.partition)
    may = {part for key in found.raw_keys for part in met.get(key, ())} | {
        Partition(topic, partitioner(key, numbers, numbers))
        for key in found.raw_keys
        for topic, numbers in by_topic.items()
    }
    bounds = found.source.bounds
    return {part: bounds[part][0] for part in sorted(may) if bounds[part][0] > 0}
