"""`tape rebuild`: a new generation from the log, which then takes the place of the live one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from projections import PROJECTIONS, generation, names
from projections.base import Connection, Projection
from projections.builder import Builder
from projections.decisions import Operator
from projections.swap import Swapped
from streams.events import ProjectionRebuilt
from streams.rebuild.alone import alone, clean, drop_quietly
from streams.rebuild.building import Reporter, build
from streams.rebuild.faults import explaining
from streams.rebuild.source import Source, find_source
from streams.rebuild.takeover import Taking, take_over, tidy
from streams.settings import Endpoints

__all__ = ["Outcome", "Wishes", "rebuild"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an operator said beside the projection's name; days as in projections.base."""

    operator: Operator
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
            left = await tidy(
                control, name, swapped.replaced if wishes.keep_old else None, reporter
            )
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
        starts = {part: first for part, (first, _) in source.bounds.items()}
        taking = Taking(
            source,
            starts,
            wishes.accept_dead_letters,
            wishes.keep_old,
            ProjectionRebuilt,
            wishes.operator,
        )
        return await take_over(builder, control, at, taking, reporter)
