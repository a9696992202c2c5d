"""`tape restore`: the log from the archive, the database from a dump."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.bars import bar
from streams.cli.running import log_to_stderr
from streams.errors import UserError

if TYPE_CHECKING:
    from projections.carrying import Ahead, Carried, Move
    from streams.backup.log import Restored
    from streams.settings import Settings

__all__ = ["app"]

app = typer.Typer(
    help="What was lost: the log from the archive, the database from a backup.",
    no_args_is_help=True,
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Why = Annotated[str | None, typer.Option(help="Why, for the record in system.decisions.")]


@app.command()
def log(
    place: Annotated[
        str | None,
        typer.Option("--from", help="The archive's folder or URL, instead of TAPE_ARCHIVE."),
    ] = None,
    why: _Why = None,
    as_json: _AsJson = False,
) -> None:
    """Bring the archived topics back into a broker that has lost them.

    Records get the offsets and the append times that they had. Stop workers and
    producers before. A topic that holds other records is refused, and nothing is
    deleted. It can be stopped, and goes on when it is run again.

    Checkpoints and dead letters are carried over to the new topics. Where the
    database is away, run it again once that is back. Exit status 1: a projection
    had read further than the archive; it says what to do.

    Examples:

        tape restore log

        tape restore log --from s3://bucket/tape --why "the disk of the broker"
    """
    log_to_stderr()
    report, carried = asyncio.run(_restore_log(place, why))
    if as_json:
        told = asdict(report) | {"carried": None if carried is None else asdict(carried)}
        print(json.dumps(told, indent=2))
    else:
        _print_log(report)
        _print_carried(carried)
    _end_by(carried)


@app.command()
def database(
    place: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A backup's folder, or that of several: the newest. Else `backups` in TAPE_HOME.",
        ),
    ] = None,
    why: _Why = None,
    as_json: _AsJson = False,
) -> None:
    """Load a backup's dump into an empty database, and bring it up to this program.

    All of it is loaded, or nothing. Workers then go on from its checkpoints.
    Where the log was restored before, these are carried over to its topics. The
    tables are those of the backup: what a newer rebuild or migration changed is
    to be done again. Exit status 1 as with `tape restore log`.

    Example: tape restore database --from /mnt/backups
    """
    log_to_stderr()
    taken, done, carried = asyncio.run(_restore_database(place, why))
    if as_json:
        told = {"taken": taken, "migrated": done}
        print(json.dumps(told | {"carried": asdict(carried) if carried else None}, indent=2))
    else:
        print(f"restored as of {taken}")
        for line in done:
            print(line)
        _print_carried(carried)
    _end_by(carried)


async def _restore_database(
    place: Path | None, why: str | None
) -> tuple[str, list[str], Carried | None]:
    from projections import PROJECTIONS
    from projections.migrations import migrate
    from streams.archive.store import open_store
    from streams.backup.carrying import archived_moves
    from streams.backup.database import load_database
    from streams.backup.folder import checked_dump, find
    from streams.events.catalogue import TOPICS
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    dsn = endpoints(settings, with_kafka=False).dsn
    folder = settings.home / "backups" if place is None else place.expanduser().absolute()
    found, backup = find(folder)
    with bar("restoring"):
        await load_database(dsn, checked_dump(found, backup))
        done = await migrate(dsn, [projection() for projection in PROJECTIONS.values()])
    store = open_store(settings.archive_location() or backup.archive)
    moves = archived_moves(store, TOPICS)
    return backup.taken, done, await _carry_over(settings, moves, why)


async def _restore_log(place: str | None, why: str | None) -> tuple[Restored, Carried | None]:
    from streams.archive.store import archive_location, open_store
    from streams.backup.log import Restored, restore_log
    from streams.cli.archive import catalogued
    from streams.events.catalogue import TOPICS
    from streams.settings import endpoints, load_settings
    from streams.topics import ensure_topics

    settings = load_settings(**({} if place is None else {"archive": place}))
    at = endpoints(settings, with_postgres=False)
    specs = [spec for spec in TOPICS if spec.name in catalogued()]
    report = Restored()
    with bar("records") as move:
        store = open_store(archive_location(settings))
        await restore_log(
            store, at, specs, report, lambda: move(report.appended, max(report.due, 1))
        )
    await asyncio.to_thread(ensure_topics, at)
    return report, await _carry_over(settings, report.moves, why)


async def _carry_over(settings: Settings, moves: list[Move], why: str | None) -> Carried | None:
    """What projections have of the topics stands for the restored ones, where there are tables."""
    import psycopg

    from projections.carrying import carry_over
    from projections.database import connect
    from streams.decisions import operator_of
    from streams.settings import endpoints

    operator = operator_of(settings, why)
    try:
        dsn = endpoints(settings, with_kafka=False).dsn
        async with await connect(dsn, "restore", {}) as connection:
            carried = await carry_over(connection, moves, operator)
    except (UserError, psycopg.OperationalError) as error:
        reason = " ".join(str(error).split())
        print(
            f"tape: the database was not reached, so checkpoints are not carried over: {reason}. "
            "`tape restore log` does that, run again once the database is there",
            file=sys.stderr,
        )
        return None
    if carried is not None and carried.decisions:
        await _tell_decisions(settings)
    return carried


async def _tell_decisions(settings: Settings) -> None:
    """Send what was decided; where the broker cannot take it yet, a worker does it."""
    from streams.decisions import send_decisions
    from streams.settings import endpoints

    try:
        await send_decisions(endpoints(settings))
    except UserError as error:
        print(
            "tape: the decision is kept in the database, and a worker sends it to "
            f"system.decisions: {error}",
            file=sys.stderr,
        )


def _print_log(report: Restored) -> None:
    for one in report.topics:
        print(f"{one.topic}: {one.records:,} records; id {one.topic_id} instead of {one.former_id}")
    print(f"{_counted(len(report.topics), 'topic')} restored")


def _print_carried(carried: Carried | None) -> None:
    if carried is not None:
        checkpoints = _counted(carried.checkpoints, "checkpoint")
        letters = _counted(carried.dead_letters, "dead letter")
        print(f"{checkpoints} and {letters} carried over to restored topics")


def _end_by(carried: Carried | None) -> None:
    ahead = [] if carried is None else carried.ahead
    for one in ahead:
        print(f"tape: {_told(one)}", file=sys.stderr)
    if ahead:
        raise typer.Exit(1)


def _told(one: Ahead) -> str:
    lost = one.next_offset - one.until
    return (
        f"{one.projection}: its tables hold {lost:,} records of {one.source}, from offset "
        f"{one.until} on, that were not archived: they are lost to the log. Its workers refuse to "
        f"go on; `tape rebuild {one.projection} --accept-gap` gives these records up"
    )


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else one + 's'}"
