"""`tape wait`: until the tables have what the log has."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import parse_duration
from streams.errors import UserError

if TYPE_CHECKING:
    from streams.tracing import Place
    from streams.waiting import Late

__all__ = ["wait"]


def wait(
    projection: Annotated[str, typer.Argument(help="Such as account.")],
    positions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[POSITION]...", help="TOPIC[PARTITION]@OFFSET of a record."),
    ] = None,
    timeout: Annotated[str, typer.Option(help="How long: 500ms, 30s, 5m.")] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Wait until a projection has projected records, and all before them.

    `tape trade` prints where it recorded a command. Without a position it waits
    for all that the log has now. Exit status 1: the time was over before.

    Examples:

        tape wait account 'trade.commands[2]@104'

        tape wait prices --timeout 5m
    """
    from streams.settings import endpoints, load_settings
    from streams.waiting import Late, wait_for

    seconds = parse_duration(timeout)
    places = [_place(text) for text in positions] if positions else None
    began = time.monotonic()
    late: Late | None = None
    try:
        asyncio.run(wait_for(endpoints(load_settings()), projection, places, seconds))
    except Late as error:
        late = error
    waited = time.monotonic() - began
    if as_json:
        print(json.dumps(_as_json(projection, places, late, waited), indent=2))
    elif late is None:
        what = ", ".join(map(str, places)) if places else "all that the log had"
        print(f"{projection} has projected {what}")
    if late is not None:
        print(f"tape: {late}", file=sys.stderr)
        raise typer.Exit(1)


def _place(text: str) -> Place:
    from streams.tracing import Place, read_target

    place = read_target(text)
    if not isinstance(place, Place):
        raise UserError(
            f"{text!r} is no position; write it as topic[partition]@offset, such as"
            " 'trade.commands[2]@104'"
        )
    return place


def _as_json(
    projection: str, places: Sequence[Place] | None, late: Late | None, waited: float
) -> dict[str, object]:
    missing = late.missing if late else {}
    return {
        "projection": projection,
        "projected": late is None,
        "positions": None if places is None else [str(place) for place in places],
        "missing": [f"{source}@{mark.offset}" for source, mark in missing.items()],
        "reason": late.reason if late else None,
        "waited_s": round(waited, 3),
    }
