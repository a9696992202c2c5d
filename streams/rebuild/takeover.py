"""A generation takes the place of the live one: catch up, swap, and drop what is not needed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from projections import built, checkpoint, generation
from projections.base import Connection, Partition
from projections.builder import Builder
from projections.database import connect
from projections.decisions import Operator, record
from projections.errors import Refusal
from projections.migrations import create_views
from projections.swap import BUSY, Swapped, TooLong, try_swap
from streams.errors import UserError
from streams.events import Decision, GapAccepted, ProjectionRebuilt, ProjectionRolledBack
from streams.events.system_decisions import Reached
from streams.log import LogReader
from streams.rebuild.alone import drop
from streams.rebuild.building import Reporter
from streams.rebuild.catching_up import Follower
from streams.rebuild.source import Source, find_source
from streams.retention import Offsets
from streams.settings import Endpoints

__all__ = ["Taking", "take_over", "tidy"]

#: A swap is tried once catching up took so little: seconds.
_CLOSE_ENOUGH = 1.0
#: Live units wait no longer than so many seconds for a swap that catches up.
_LONGEST_HOLD = 1.0
#: Pauses between tries, in seconds.
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Taking:
    """How a generation is to take over: from which logs, from which offsets it has read them in
    this run, what the operator accepts, keeps and gives up, and as which decision it is told."""

    source: Source
    starts: Mapping[Partition, int]
    accepts_dead_letters: bool
    keeps_old: bool
    decision: type[ProjectionRebuilt | ProjectionRolledBack]
    operator: Operator
    given_up: Mapping[Partition, Sequence[Offsets]]


async def take_over(
    builder: Builder, connection: Connection, at: Endpoints, taking: Taking, reporter: Reporter
) -> Swapped:
    """Catch up, and swap as soon as nobody is in the way.

    Raises UserError and Refusal for what speaks against a swap, and psycopg's errors; the live
    generation is as it was then.
    """
    name, number = builder.projection.name, builder.generation

    async def in_transaction(swapping: Connection, replaced: int) -> None:
        await built.take_over(swapping, name, number, taking.starts)
        kept = replaced if taking.keeps_old else None
        await generation.keep_only(swapping, name, kept)
        for decision in _given_up(builder, taking):
            await record(swapping, decision)
        await record(swapping, await _decided(swapping, builder, replaced, taking))

    reporter.phase("catching up")
    async with LogReader.open(at) as reader:
        follower = Follower(builder, reader)

        async def catch_up(live: Mapping[Partition, int]) -> bool:
            return await follower.up_to(live, time.monotonic() + _LONGEST_HOLD)

        for attempt in itertools.count():
            while await follower.to_end() > _CLOSE_ENOUGH:
                pass
            await _check(builder, connection, at, taking)
            reporter.phase("swapping")
            try:
                return await try_swap(
                    connection, builder.projection, number, catch_up, in_transaction
                )
            except (*BUSY, TooLong) as error:
                reporter.waits(_why(error))
                await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            except psycopg.OperationalError:
                if not await _has_swapped(at.dsn, builder):
                    raise
                raise UserError(
                    f"{name}: the connection was lost right behind the swap: generation {number} is"
                    " live; `tape rebuild --clean` drops the one that it replaced"
                ) from None
    raise AssertionError


async def tidy(
    connection: Connection, name: str, kept: int | None, reporter: Reporter
) -> str | None:
    """Behind a swap: make the views that waited for it, and drop all that is neither current nor
    `kept`. Returns why a generation stays, if so."""
    reporter.phase("dropping")
    await create_views(connection)
    for one in await generation.read_all(connection):
        if one.projection == name and not one.is_current and one.generation != kept:
            reason = await drop(connection, name, one.generation)
            if reason is not None:
                return reason
    return None


async def _check(builder: Builder, connection: Connection, at: Endpoints, taking: Taking) -> None:
    """Raise what speaks against a swap."""
    name = builder.projection.name
    before = taking.source.topic_ids
    now = (await find_source(builder.projection, at)).topic_ids
    if now != before:
        changed = ", ".join(sorted(topic for topic in now if now[topic] != before[topic]))
        raise UserError(
            f"{name}: {changed} was deleted and made anew meanwhile; the live tables are as they"
            " were; run it again, if the new topic is the one to go by"
        )
    more = await built.more_than_live(connection, name, builder.generation)
    if more and not taking.accepts_dead_letters:
        shown = "; ".join(f"{one.topic}[{one.partition}]@{one.offset}: {one.error}" for one in more)
        raise Refusal(
            f"{name}: {more[0].in_all:,} records could not be projected that the live tables have:"
            f" {shown}. The live tables are as they were; mend the program, or, if these are to"
            " become dead letters, run it again with --accept-dead-letters"
        )


def _given_up(builder: Builder, taking: Taking) -> Iterator[Decision]:
    for part, ranges in taking.given_up.items():
        for offsets in ranges:
            yield GapAccepted(
                **taking.operator.decides(),
                projection=builder.projection.name,
                generation=builder.generation,
                of_topic=part.topic,
                partition=part.partition,
                from_offset=offsets.first,
                to_offset=offsets.until,
            )


async def _decided(
    connection: Connection, builder: Builder, replaced: int, taking: Taking
) -> Decision:
    name, number = builder.projection.name, builder.generation
    found = await generation.read_all(connection)
    versions = {one.generation: one.version for one in found if one.projection == name}
    reached = await checkpoint.read(connection, name, number)
    return taking.decision(
        **taking.operator.decides(),
        projection=name,
        from_generation=replaced,
        from_version=versions[replaced],
        to_generation=number,
        to_version=versions[number],
        reached=tuple(
            Reached(topic=source.topic, partition=source.partition, next_offset=one.next_offset)
            for source, one in sorted(reached.items())
        ),
    )


async def _has_swapped(dsn: str, builder: Builder) -> bool:
    """Whether the swap had been committed, although its reply was lost."""
    projection = builder.projection
    async with await connect(dsn, f"{projection.name} rebuild control", {}) as connection:
        current = await checkpoint.current_generation(
            connection, projection.name, projection.version
        )
    return current == builder.generation


def _why(error: Any) -> str:
    if isinstance(error, errors.LockNotAvailable):
        return "a unit of work is being committed, or someone reads for long"
    return " ".join(str(error).split())
