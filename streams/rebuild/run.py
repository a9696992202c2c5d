"""`tape rebuild`: a new generation from the log, which then takes the place of the live one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from projections import PROJECTIONS, built, generation, names
from projections.base import Connection, Projection
from projections.builder import Builder
from projections.errors import Refusal
from projections.migrations import create_views
from projections.swap import Swapped
from streams.errors import UserError
from streams.log import LogReader
from streams.rebuild.alone import alone, clean, drop, drop_quietly
from streams.rebuild.building import Reporter, build
from streams.rebuild.catching_up import Follower
from streams.rebuild.faults import explaining
from streams.rebuild.source import Source, find_source
from streams.rebuild.swapping import swap
from streams.settings import Endpoints

__all__ = ["Outcome", "Wishes", "rebuild"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an operator said beside the projection's name; days as in projections.base."""

    keep_old: bool = False
    accept_dead_letters: bool = False
    history_days: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rebuild that is done: the new generation, what it replaced, and how it went.

    `seconds` is all of it; `lockout` how many of them readers were held up by the swap; `left` says
    why the old generation was not dropped, where it should have been.
    """

    projection: str
    generation: int
    replaced: int
    records: int
    seconds: float
    lockout: float
    left: str | None


async def rebuild(name: str, at: Endpoints, wishes: Wishes, reporter: Reporter) -> Outcome:
    """Rebuild a projection and swap. Whatever goes wrong, the live generation is as it was.

    Raises UserError for what is wrong with the surroundings, and Refusal for what a person has to
    decide.
    """
    began = time.monotonic()
    projection = PROJECTIONS[name]()
    with explaining(name):
        source = await find_source(projection, at)
        async with alone(name, at.dsn) as control:
            await clean(control, name)
            number = await generation.begin(control, projection, "rebuild")
            try:
                await names.check_names(control, projection, number)
                swapped = await _build(projection, number, source, at, wishes, reporter, control)
            except BaseException:
                await drop_quietly(at.dsn, name, number)
                raise
            await create_views(control)
            reporter.phase("dropping")
            left = await _drop_old(control, name, swapped.replaced if wishes.keep_old else None)
    records = sum(until - source.bounds[part][0] for part, until in swapped.reached.items())
    seconds = time.monotonic() - began
    return Outcome(name, number, swapped.replaced, records, seconds, swapped.lockout, left)


async def _build(
    projection: Projection[Any],
    number: int,
    source: Source,
    at: Endpoints,
    wishes: Wishes,
    reporter: Reporter,
    control: Connection,
) -> Swapped:
    async with Builder(projection, at.dsn, number) as builder:
        await build(builder, source, reporter)
        await builder.maintain(wishes.history_days)
        reporter.phase("catching up")

        async def check() -> None:
            await _check(control, projection.name, number, source, at, wishes)

        async def in_transaction(connection: Connection, replaced: int) -> None:
            starts = {part: first for part, (first, _) in source.bounds.items()}
            await built.take_over(connection, projection.name, number, starts)
            kept = replaced if wishes.keep_old else None
            await generation.keep_only(connection, projection.name, kept)

        async with LogReader.open(at) as reader:
            return await swap(
                control,
                projection,
                number,
                Follower(builder, reader),
                in_transaction,
                check,
                reporter.waits,
            )


async def _drop_old(connection: Connection, name: str, kept: int | None) -> str | None:
    """Drop all that is neither current nor `kept`; returns why one stays, if so."""
    for one in await generation.read_all(connection):
        if one.projection == name and not one.is_current and one.generation != kept:
            reason = await drop(connection, name, one.generation)
            if reason is not None:
                return reason
    return None


async def _check(
    connection: Connection,
    name: str,
    number: int,
    source: Source,
    at: Endpoints,
    wishes: Wishes,
) -> None:
    """Raise what speaks against a swap."""
    now = await find_source(PROJECTIONS[name](), at)
    if now.topic_ids != source.topic_ids:
        changed = sorted(
            topic for topic, found in now.topic_ids.items() if found != source.topic_ids[topic]
        )
        raise UserError(
            f"{name}: {', '.join(changed)} was deleted and made anew during the rebuild; the live"
            " tables are as they were; run it again, if the new topic is the one to go by"
        )
    more = await built.more_than_live(connection, name, number)
    if more and not wishes.accept_dead_letters:
        shown = "; ".join(f"{one.topic}[{one.partition}]@{one.offset}: {one.error}" for one in more)
        raise Refusal(
            f"{name}: {more[0].in_all:,} records could not be projected that the live tables have:"
            f" {shown}. The live tables are as they were; mend the program, or, if these are to"
            " become dead letters, run it again with --accept-dead-letters"
        )
