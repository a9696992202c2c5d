"""`tape rebuild`: a new generation from the log, which then takes the place of the live one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from projections import PROJECTIONS, checkpoint, generation, names
from projections.base import Connection, Projection
from projections.builder import Builder
from projections.decisions import Operator
from projections.errors import Refusal
from projections.swap import Swapped
from streams.events import ProjectionRebuilt
from streams.rebuild.alone import alone, clean, drop_quietly
from streams.rebuild.building import Reporter, build
from streams.rebuild.faults import explaining
from streams.rebuild.history import Lacking, lacking
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
    accept_gap: bool = False
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
        async with alone(name, at.dsn) as control:
            await clean(control, name)
            live = await checkpoint.standing(control, name)
            source = await find_source(projection, at)
            gap = _accepted(lacking(projection, live, source), wishes)
            number = await generation.begin(control, projection, "rebuild")
            try:
                await names.check_names(control, projection, number)
                swapped = await _build(
                    projection, number, source, gap, at, wishes, reporter, control
                )
            except BaseException:
                await drop_quietly(control, at.dsn, name, number)
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
    gap: Lacking | None,
    at: Endpoints,
    wishes: Wishes,
    reporter: Reporter,
    control: Connection,
) -> Swapped:
    accepts = wishes.accept_dead_letters
    async with Builder(projection, at.dsn, number, accepts_dead_letters=accepts) as builder:
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
            {} if gap is None else gap.ranges,
        )
        return await take_over(builder, control, at, taking, reporter)


def _accepted(gap: Lacking | None, wishes: Wishes) -> Lacking | None:
    """What would be missing, if the operator accepts that. Raises Refusal if not."""
    if gap is None or wishes.accept_gap:
        return gap
    raise Refusal(
        f"{'; '.join(gap.sentences)}. The rebuilt tables would lack what these records say, and the"
        " live ones are as they were. Point TAPE_ARCHIVE at an archive that has them, or, if they"
        " are to be given up, run it again with --accept-gap"
    )
