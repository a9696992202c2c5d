"""`tape health`: whether all is well; an exit status for any monitor."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import log_nothing

if TYPE_CHECKING:
    from streams.monitor.model import Picture

__all__ = ["health"]


def health(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say whether all is well, and if not, what the cause is and what follows from it.

    Exit status: 0 all is well, 1 a warning, 2 something critical. It looks
    once: what flickers is damped by `tape monitor`, which looks again and again.

    Examples:

        tape health

        tape health --json | jq .level
    """
    log_nothing()
    picture = asyncio.run(_look())
    if as_json:
        from streams.monitor.plain import plain

        print(json.dumps(plain(picture), indent=2))
    else:
        _print(picture)
    raise typer.Exit(int(picture.level))


async def _look() -> Picture:
    from streams.monitor.observatory import Observatory
    from streams.monitor.thresholds import thresholds_of
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    opened = Observatory.open(endpoints(settings), thresholds_of(settings), 1.0, is_patient=False)
    async with opened as observatory:
        return await observatory.look()


def _print(picture: Picture) -> None:
    from streams.monitor.model import Level
    from streams.monitor.sentences import clock, span

    for one in picture.incidents:
        print(f"{one.level.name} since {clock(one.opened)}: {one.title}")
        for text in one.symptoms[1:]:
            print(f"  {text}")
    if picture.level == Level.OK:
        behind = max((one.lag_s or 0.0 for one in picture.groups if one.projection), default=0.0)
        fresh = max((one.age_s for one in picture.freshness if one.is_open), default=None)
        age = f", the oldest source {span(fresh)} old" if fresh is not None else ""
        print(f"OK: all projections are within {span(behind)} of the log{age}")
