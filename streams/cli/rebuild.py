"""`tape rebuild`: tables made anew from the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from streams.cli.repair import repair
from streams.errors import UserError

if TYPE_CHECKING:
    from projections.base import Partition
    from streams.rebuild.run import Outcome
    from streams.rebuild.source import Source

__all__ = ["rebuild"]


def rebuild(
    projections: Annotated[
        list[str] | None, typer.Argument(help="Which: account, market, prices.")
    ] = None,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Keep the replaced tables, for `tape rollback`.")
    ] = False,
    accept_dead_letters: Annotated[
        bool,
        typer.Option(
            "--accept-dead-letters",
            help="Swap although more records could not be projected than live.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="KAFKA_KEY",
            help="Repair the rows of this key in place; several times.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="OFFSET|TIME",
            help="The same for all keys of records since price.ticks[0]@12, or a time in UTC.",
        ),
    ] = None,
    accept_gap: Annotated[
        bool,
        typer.Option(
            "--accept-gap", help="Repair although the log may lack records that rows were made of."
        ),
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Drop what unfinished rebuilds left, and do no more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Make a projection's tables anew from the log, and swap them in.

    Workers go on, and readers see the old rows until the swap and the new ones
    after it. Whatever goes wrong, the live tables stay as they are; to run it
    again starts anew.

    With --only or --from the live tables are repaired in place: the rows of the
    affected Kafka keys are deleted and made anew in one transaction, without a
    swap, while workers wait.

    Examples:

        tape rebuild prices

        tape rebuild account market --keep-old

        tape rebuild prices --only coinbase:BTC-USD

        tape rebuild account --from 'kalshi.account[2]@1500'

        tape rebuild --clean
    """
    chosen = _known(projections or [])
    if clean:
        _clean(chosen, as_json)
        return
    if only or since is not None:
        if len(chosen) != 1:
            raise UserError("keys belong to one projection: name it, and no other")
        if keep_old or accept_dead_letters or clean:
            raise UserError("a repair in place has no swap: it takes --accept-gap and --json only")
        repair(chosen[0], only or [], since, accept_gap=accept_gap, as_json=as_json)
        return
    if not chosen:
        raise UserError(f"name what to rebuild; there are: {', '.join(_all())}")
    from streams.rebuild.run import Wishes
    from streams.settings import load_settings

    wishes = Wishes(keep_old, accept_dead_letters, load_settings().history_days)
    outcomes = [asyncio.run(_rebuild(name, wishes)) for name in chosen]
    if as_json:
        print(json.dumps([asdict(one) for one in outcomes], indent=2))
    else:
        for one in outcomes:
            _print(one)


async def _rebuild(name: str, wishes: Any) -> Outcome:
    from streams.rebuild.run import rebuild as run
    from streams.settings import endpoints, load_settings

    with Display(name) as display:
        return await run(name, endpoints(load_settings()), wishes, display)


def _known(names: list[str]) -> list[str]:
    """Raises UserError for a name that no projection has."""
    for name in names:
        if name not in _all():
            raise UserError(f"no projection is named {name!a}; there are: {', '.join(_all())}")
    return list(dict.fromkeys(names))


def _all() -> list[str]:
    from projections import PROJECTIONS

    return sorted(PROJECTIONS)


class Display:
    """Progress bars, one a partition, on standard error if that is a terminal."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._name = name
        self._tasks: dict[Partition, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._phase = self._progress.add_task(name, total=None, rate="")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def phase(self, name: str) -> None:
        self._progress.update(self._phase, description=f"{self._name}: {name}")

    def loading(self, source: Source) -> None:
        for part, (first, until) in source.bounds.items():
            if first < until:
                total = until - first
                self._tasks[part] = self._progress.add_task(str(part), total=total, rate="")

    def loaded(self, counts: Mapping[Partition, int]) -> None:
        for part, count in counts.items():
            task = self._tasks[part]
            speed = self._progress.tasks[task].speed
            rate = "" if speed is None else f"{speed:,.0f}/s"
            self._progress.update(task, completed=count, rate=rate)

    def waits(self, reason: str) -> None:
        self._progress.update(self._phase, description=f"{self._name}: swapping again ({reason})")


def _clean(chosen: list[str], as_json: bool) -> None:
    from streams.rebuild.alone import alone, clean
    from streams.rebuild.faults import explaining
    from streams.settings import endpoints, load_settings

    dsn = endpoints(load_settings(), with_kafka=False).dsn

    async def run() -> list[str]:
        dropped = []
        for name in chosen or _all():
            with explaining(name):
                async with alone(name, dsn) as connection:
                    dropped += [one.schema for one in await clean(connection, name)]
        return dropped

    dropped = asyncio.run(run())
    if as_json:
        print(json.dumps({"dropped": dropped}))
    else:
        for schema in dropped:
            print(f"dropped {schema}")
        if not dropped:
            print("nothing was left over")


def _print(outcome: Outcome) -> None:
    rate = outcome.records / outcome.seconds
    print(
        f"{outcome.projection}: generation {outcome.generation} took the place of"
        f" {outcome.replaced}; {outcome.records:,} records in {outcome.seconds:.1f} s"
        f" ({rate:,.0f}/s), readers held up for {outcome.lockout * 1000:.0f} ms"
    )
    if outcome.left is not None:
        print(f"  {outcome.left}; `tape rebuild --clean` tries again")
