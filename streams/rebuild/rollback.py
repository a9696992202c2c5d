"""`tape rollback`: back to the generation that a rebuild kept."""

from __future__ import annotations

import time
from typing import Any

from projections import PROJECTIONS, generation
from projections.base import Connection, Projection
from projections.builder import Builder
from projections.decisions import Operator
from projections.errors import Refusal
from projections.generation import Generation
from streams.errors import UserError
from streams.events import ProjectionRolledBack
from streams.rebuild.alone import alone
from streams.rebuild.building import Reporter
from streams.rebuild.faults import explaining
from streams.rebuild.run import Outcome
from streams.rebuild.source import Source, find_source
from streams.rebuild.takeover import Taking, take_over
from streams.settings import Endpoints

__all__ = ["rollback"]


async def rollback(name: str, at: Endpoints, operator: Operator, reporter: Reporter) -> Outcome:
    """Catch the kept generation up from its own checkpoints, and swap back; keeps the other one.

    Raises UserError where none is kept, and Refusal where this program is of another version than
    the one that made it, or where the log no longer has what it lacks.
    """
    began = time.monotonic()
    projection = PROJECTIONS[name]()
    with explaining(name):
        source = await find_source(projection, at)
        async with alone(name, at.dsn) as control:
            kept = await _kept(control, projection)
            async with Builder(projection, at.dsn, kept.generation) as builder:
                await builder.claim(source.starts)
                starts = {part: one.next_offset for part, one in builder.claims.items()}
                _check_bounds(name, source, builder)
                taking = Taking(
                    source,
                    starts,
                    accepts_dead_letters=True,
                    keeps_old=True,
                    decision=ProjectionRolledBack,
                    operator=operator,
                    given_up={},
                )
                swapped = await take_over(builder, control, at, taking, reporter)
    records = sum(until - starts[part] for part, until in swapped.reached.items())
    seconds = time.monotonic() - began
    return Outcome(
        name, kept.generation, swapped.replaced, records, seconds, swapped.lockout, left=None
    )


async def _kept(connection: Connection, projection: Projection[Any]) -> Generation:
    """The generation that was current before."""
    name = projection.name
    for one in reversed(await generation.read_all(connection)):
        if one.projection == name and one.is_kept:
            break
    else:
        raise UserError(
            f"{name}: no generation is kept to go back to; `tape rebuild {name} --keep-old` keeps"
            " the one that it replaces"
        )
    if one.version != projection.version:
        raise Refusal(
            f"{name}: generation {one.generation} is of version {one.version}, and this program of"
            f" version {projection.version}; let the release of that version run the rollback"
        )
    return one


def _check_bounds(name: str, source: Source, builder: Builder) -> None:
    for part, (first, until) in source.bounds.items():
        position = builder.claims[part].next_offset
        if not first <= position <= until:
            raise Refusal(
                f"{name}: generation {builder.generation} stands at offset {position} of {part},"
                f" but the log holds {first} to {until}: it cannot catch up any more. The live"
                f" tables are as they were; `tape rebuild {name}` makes them anew"
            )
