"""`tape backfill`: what a venue knows of the past, into Kafka."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import log_to_stderr, until_stopped
from streams.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from streams.backfill.plan import Kind, Span
    from streams.backfill.run import Backfill

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Read what a venue knows of the past, into Kafka.")

#: The venue began in the summer of 2021.
_FIRST_DAY = "2021-06-01"


@app.callback()
def _venues() -> None:
    pass


@app.command()
def kalshi(
    since: Annotated[str, typer.Option(help="First day, in UTC: 2026-01-31.")] = _FIRST_DAY,
    until: Annotated[
        str | None, typer.Option(help="Day before which to end; without it, now.")
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(help="All markets of a series, such as KXBTCD; several times."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Some of fills,orders,settlements,trades,candles.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Send Kalshi's past to the topics kalshi.account and kalshi.market.

    These are the account's fills, orders and settlements, and public trades and
    candlesticks of a minute of the markets that it traded, and of --series. What
    was stopped or killed goes on where it was when the same command is given
    again. To do it twice changes no table. Exit status 1: some of it could not be
    read, and was kept as it came; the same command tries that again.

    Example: tape backfill kalshi --since 2026-01-01 --only trades --series KXBTCD
    """
    log_to_stderr()
    span = _span(since, until, datetime.now(UTC))
    backfill = asyncio.run(_backfill(span, until, _kinds(only), _series(series or [])))
    unread = sum(count.unread for count in backfill.counts.values())
    if as_json:
        counts = {kind: asdict(count) for kind, count in backfill.counts.items()}
        is_complete = backfill.is_complete
        print(json.dumps({**counts, "unknown": backfill.unknown, "complete": is_complete}))
    else:
        _print(backfill)
    if backfill.is_complete:
        return
    if unread:
        raise typer.Exit(1)
    print("stopped: the same command goes on from here", file=sys.stderr)
    raise typer.Exit(130)


async def _backfill(
    span: Span, until: str | None, kinds: tuple[Kind, ...], series: tuple[str, ...]
) -> Backfill:
    from streams.backfill.journal import Journal
    from streams.backfill.run import Backfill, Options
    from streams.connectors.base import ConnectorError
    from streams.connectors.kalshi.environment import environment
    from streams.connectors.kalshi.feed import owner_of
    from streams.connectors.kalshi.keys import load_key
    from streams.connectors.kalshi.rest import KalshiRest
    from streams.producer import Producer
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    key, place = load_key(settings), environment(settings)
    owner = owner_of(settings.account)
    what = {"owner": owner, "since": span.start, "until": until, "kinds": kinds, "series": series}
    with Journal.open(settings.home, what) as journal:
        # Begun anew without an end of its own, it goes on to the end that it had then.
        options = Options(owner, span._replace(end=journal.until(span.end)), kinds, series)
        async with (
            Producer(endpoints(settings, with_postgres=False)) as producer,
            KalshiRest(place, key) as rest,
        ):
            with _progress() as progress:
                backfill = Backfill(options, rest, producer, journal, _Bars(progress))
                try:
                    await until_stopped(backfill.run(), None)
                except ConnectorError as error:
                    raise UserError(str(error)) from None
    return backfill


def _span(since: str, until: str | None, now: datetime) -> Span:
    from streams.backfill.plan import Span
    from streams.events.types import micros_of

    present = micros_of(now)
    start = _midnight("--since", since)
    end = present if until is None else min(present, _midnight("--until", until))
    if start >= present:
        raise UserError(f"--since {since} lies in the future; give a day that has begun")
    if start >= end:
        raise UserError(f"--until {until} is not after --since {since}; give a later day")
    return Span(start, end)


def _midnight(option: str, day: str) -> int:
    from streams.events.types import EARLIEST_TIME, micros_of

    try:
        micros = micros_of(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        raise UserError(f"{option} {day!r} is no day; write it as 2026-01-31") from None
    if micros < EARLIEST_TIME:
        raise UserError(f"{option} {day} is before all markets; give a day from 2009 on")
    return micros


def _kinds(only: str | None) -> tuple[Kind, ...]:
    from streams.backfill.plan import KINDS

    if only is None:
        return KINDS
    wanted = [name.strip() for name in only.split(",")]
    for name in wanted:
        if name not in KINDS:
            raise UserError(f"--only {name!r} is none of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted)


def _series(names: list[str]) -> tuple[str, ...]:
    from streams.events.types import TICKER

    for name in names:
        if re.fullmatch(TICKER, name) is None:
            raise UserError(f"--series {name!r} is no series; write it as KXBTCD")
    return tuple(sorted(set(names)))


def _print(backfill: Backfill) -> None:
    for kind, count in backfill.counts.items():
        before = f", {count.done_before:,} of them before" if count.done_before else ""
        unread = f", {count.unread:,} not read" if count.unread else ""
        print(f"{kind}: {count.events:,} records in {count.units:,} units{before}{unread}")
    if backfill.unknown:
        some = ", ".join(backfill.unknown[:5])
        print(f"{len(backfill.unknown):,} markets are not known to the venue any more: {some}")


def _progress() -> Progress:
    """A bar for each kind, over its units, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[events]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class _Bars:
    """The bars of a backfill, and what moves them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Kind, TaskID] = {}

    def planned(self, kind: Kind, units: int) -> None:
        """So many more units are to be done."""
        if kind not in self._tasks:
            self._tasks[kind] = self._progress.add_task(kind, total=0, events=0, rate=0.0)
        task = self._progress.tasks[self._tasks[kind]]
        self._progress.update(task.id, total=(task.total or 0) + units)

    def sent(self, kind: Kind, events: int) -> None:
        """So many more records were sent."""
        if kind in self._tasks:
            task = self._progress.tasks[self._tasks[kind]]
            total = task.fields["events"] + events
            rate = total / task.elapsed if task.elapsed else 0.0
            self._progress.update(task.id, events=total, rate=rate)

    def done(self, kind: Kind) -> None:
        """One more unit is done."""
        if kind in self._tasks:
            self._progress.advance(self._tasks[kind])
