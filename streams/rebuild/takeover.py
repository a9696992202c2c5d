"""A generation takes the place of the live one: catch up, swap, and drop what is not needed."""

from __future__ import annotations

import asyncio
import itertools
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
            deadline = asyncio.get_running_loop().time() + _LONGEST_HOLD
            return await follower.up_to(live, deadline)

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
            except psycopg.OperationalError as error:
                await _tell_outcome(at.dsn, builder, error)
                raise
    raise AssertionError


async def tidy(
    connection: Connection, name: str, kept: int | None, reporter: Reporter
) -> str | None:
    """Behind a swap: make the views that waited for it, and drop all that is neither current nor
    `kept`. Returns what could not be done, if so: the swap stands whatever happens here."""
    reporter.phase("dropping")
    try:
        waiting = await _create_views(connection)
        if waiting:
            return f"views wait for another rebuild: {', '.join(waiting)}"
        for one in await generation.read_all(connection):
            if one.projection == name and not one.is_current and one.generation != kept:
                reason = await drop(connection, name, one.generation)
                if reason is not None:
                    return f"{reason}; `tape rebuild --clean` tries again"
    except psycopg.Error as error:
        return (
            f"not all was tidied up behind the swap: {' '.join(str(error).split())}; `tape db"
            " migrate` makes the views, `tape rebuild --clean` drops the old tables"
        )
    return None


async def _create_views(connection: Connection) -> list[str]:
    """Readers of the views queue behind this: so it waits for none of them for long.

    Returns the views that cannot be made. Raises psycopg's errors.
    """
    for pause in (*_PAUSES, *[1.0] * 10):
        try:
            async with connection.transaction():
                await connection.execute("set local lock_timeout = 50")
                return list(await create_views(connection))
        except BUSY:
            await asyncio.sleep(pause)
    return list(await create_views(connection))


async def _check(builder: Builder, connection: Connection, at: Endpoints, taking: Taking) -> None:
    """Raise what speaks against a swap."""
    name = builder.projection.name
    before = taking.source.topic_ids
    found = await find_source(builder.projection, at)
    if more := found.bounds.keys() - taking.source.bounds.keys():
        raise UserError(
            f"{name}: {', '.join(map(str, sorted(more)))} came meanwhile; the live tables are as"
            " they were; run it again"
        )
    now = found.topic_ids
    if now != before:
        changed = ", ".join(sorted(topic for topic in now if now[topic] != before[topic]))
        raise UserError(
            f"{name}: {changed} was deleted and made anew meanwhile; the live tables are as they"
            " were; run it again, if the new topic is the one to go by"
        )
    if not taking.accepts_dead_letters:
        await built.check_none_more(connection, name, builder.generation)


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


async def _tell_outcome(dsn: str, builder: Builder, lost: BaseException) -> None:
    """Raise UserError where the swap was committed, or may have been: its reply was lost."""
    name, number = builder.projection.name, builder.generation
    try:
        async with await connect(dsn, f"{name} rebuild control", {}) as connection:
            found = await generation.read_all(connection)
    except psycopg.Error:
        raise UserError(
            f"{name}: the connection was lost in the midst of the swap ({lost}), and the database"
            " does not answer: whether it swapped is not known; `tape doctor` tells which tables"
            " are live once it does"
        ) from lost
    if any(one.projection == name and one.generation == number and one.is_current for one in found):
        raise UserError(
            f"{name}: the connection was lost right behind the swap: generation {number} is live;"
            " `tape rebuild --clean` drops the one that it replaced"
        ) from lost


def _why(error: Any) -> str:
    if isinstance(error, errors.LockNotAvailable):
        return "a unit of work is being committed, or someone reads for long"
    return " ".join(str(error).split())
