"""`tape rebuild PROJECTION --only KEY` and `--from`: repair in place, without a swap."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streams.cli.bars import bar
from streams.cli.building import tell_decisions
from streams.cli.running import parse_time
from streams.errors import UserError

if TYPE_CHECKING:
    from streams.rebuild.repair import Affected, Outcome

__all__ = ["repair"]


def repair(
    name: str,
    only: list[str],
    since: str | None,
    why: str | None,
    *,
    accept_gap: bool,
    as_json: bool,
) -> None:
    """Repair rows of one projection, and print what was done."""
    from streams.decisions import operator_of
    from streams.rebuild.repair import repair as run
    from streams.settings import endpoints, load_settings

    affected = _affected(only, since)
    settings = load_settings()
    at, operator = endpoints(settings), operator_of(settings, why)
    with bar(f"{name}: reading the log") as moved:
        outcome = asyncio.run(run(name, affected, at, operator, moved, accept_gap=accept_gap))
    tell_decisions()
    if as_json:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        _print(outcome)


def _affected(only: list[str], since: str | None) -> Affected:
    from streams.rebuild.repair import Affected
    from streams.tracing import Place, read_target

    if only and since is not None:
        raise UserError("--only names the keys, --from finds them: give one of the two")
    if since is None:
        if broken := [key for key in only if "\0" in key or not key.isprintable() or not key]:
            raise UserError(f"{broken[0]!a} is no Kafka key")
        return Affected(keys=list(dict.fromkeys(only)))
    if "[" in since:
        place = read_target(since)
        if not isinstance(place, Place):
            raise UserError(f"--from {since!r} is no place; write it as price.ticks[0]@12")
        return Affected(since=place)
    time = parse_time(since, "--from")
    if time > datetime.now(UTC):
        raise UserError(f"--from {since!r} is in the future")
    return Affected(since=time)


def _print(outcome: Outcome) -> None:
    keys = "1 key" if outcome.keys == 1 else f"{outcome.keys:,} keys"
    print(
        f"{outcome.projection}: the rows of {keys} made anew: {outcome.deleted:,} deleted,"
        f" {outcome.records:,} of {outcome.scanned:,} records written, in {outcome.seconds:.1f} s;"
        f" live units waited for {outcome.held:.1f} s"
    )
    letters = outcome.dead_letters
    if letters.added:
        print(f"  {letters.added:,} of these records became dead letters: `tape dlq list`")
    if letters.done:
        print(f"  {letters.done:,} dead letters are projected now, and done")
