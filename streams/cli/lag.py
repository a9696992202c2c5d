"""`tape lag`: which consumer group is behind, by how much, and whether it catches up."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import log_nothing, parse_duration
from streams.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from rich.console import Console

    from streams.monitor.model import Group, Picture
    from streams.monitor.observatory import Observatory

__all__ = ["lag"]


def lag(
    group: Annotated[
        list[str] | None,
        typer.Option(help="A projection or a group: its partitions. Repeat for several."),
    ] = None,
    watch: Annotated[bool, typer.Option(help="Show it again and again, until Ctrl-C.")] = False,
    every: Annotated[str, typer.Option(help="How often with --watch.")] = "2s",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show the lag of every consumer group, in records and in seconds.

    Ours are measured by their checkpoints in PostgreSQL, which commit with the
    rows; others by what they committed to Kafka. Seconds are the age of the
    first record that waits, as the log dates it. Rates are of one second.
    Exit status 1: something that should answer does not.

    Examples:

        tape lag

        tape lag --group prices --watch
    """
    from rich.console import Console

    console = Console()
    if watch and (as_json or not console.is_terminal):
        raise UserError("--watch is for a terminal; for programs, run it with --json now and then")
    seconds = parse_duration(every)
    log_nothing()
    if watch:
        asyncio.run(_watch(console, group or [], seconds))
        return
    picture = asyncio.run(_look())
    if as_json:
        print(json.dumps(_as_json(picture, group or []), indent=2))
    else:
        from streams.cli.lag_tables import render

        console.print(render(picture, _chosen(picture, group or []), partitions=bool(group)))
    if any(not source.is_up for source in picture.sources):
        raise typer.Exit(1)


async def _look() -> Picture:
    """Two looks, a second apart: a rate needs both."""
    async with _observatory(1.0) as observatory:
        await observatory.look()
        await asyncio.sleep(1.0)
        return await observatory.look()


def _observatory(every: float) -> AbstractAsyncContextManager[Observatory]:
    from streams.monitor.observatory import Observatory
    from streams.monitor.thresholds import thresholds_of
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    return Observatory.open(endpoints(settings), thresholds_of(settings), every)


async def _watch(console: Console, names: Sequence[str], every: float) -> None:
    from rich.live import Live

    from streams.cli.lag_tables import render

    async with _observatory(every) as observatory:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                picture = await observatory.look()
                chosen = _chosen(picture, names)
                live.update(render(picture, chosen, partitions=bool(names)), refresh=True)
                await asyncio.sleep(every)


def _chosen(picture: Picture, names: Sequence[str]) -> list[Group]:
    """All groups, or those that are named. Raises UserError for one that is not there."""
    known = {name: one for one in picture.groups for name in (one.name, one.projection) if name}
    unknown = [name for name in names if name not in known]
    if unknown and picture.groups:
        raise UserError(
            f"there is no group {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )
    return [known[name] for name in names if name in known] if names else list(picture.groups)


def _as_json(picture: Picture, names: Sequence[str]) -> dict[str, object]:
    from streams.monitor.plain import plain

    found = plain(picture)
    chosen = {one.name for one in _chosen(picture, names)}
    return {
        "taken": found["taken"],
        "sources": found["sources"],
        "groups": [one for one in found["groups"] if one["name"] in chosen],
    }
