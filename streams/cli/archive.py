"""`tape archive`: topics' records kept as Parquet files, beyond Kafka's retention."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.bars import bar
from streams.cli.running import log_to_stderr
from streams.errors import UserError

if TYPE_CHECKING:
    from streams.archive.listing import Row
    from streams.archive.run import Run
    from streams.archive.verify import Verified

__all__ = ["app", "catalogued"]

app = typer.Typer(
    help="The archive: topics' records as Parquet files, kept when Kafka removes them.",
    no_args_is_help=True,
)

_Topics = Annotated[
    list[str] | None, typer.Argument(metavar="TOPIC", help="These only.", show_default=False)
]
_Place = Annotated[
    str | None,
    typer.Option("--in", help="The archive's folder or URL, instead of TAPE_ARCHIVE."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def run(
    topics: _Topics = None,
    to: Annotated[
        str | None, typer.Option(help="The archive's folder or URL, instead of TAPE_ARCHIVE.")
    ] = None,
    accept_gap: Annotated[
        bool,
        typer.Option(
            "--accept-gap", help="Go on behind records that were lost before they were archived."
        ),
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Archive what is new in the topics, up to where their logs end now.

    Without names: every topic but system.health and the copies of dead letters.
    It can be stopped at any time, and goes on when it is run again. Exit status
    1: something cannot be archived; it says what, and what to do.

    Examples:

        tape archive run

        tape archive run price.ticks --to s3://bucket/tape
    """
    log_to_stderr()
    report = asyncio.run(_run(topics, to, accept_gap=accept_gap))
    if as_json:
        print(json.dumps(_run_as_json(report), indent=2))
    else:
        _print_run(report)
    _end_by(report.problems)


async def _run(topics: list[str] | None, to: str | None, *, accept_gap: bool) -> Run:
    from streams.archive.run import Run
    from streams.archive.run import run as archive
    from streams.archive.store import archive_location, open_store
    from streams.settings import endpoints, load_settings

    settings = load_settings(**_given(to))
    store = open_store(archive_location(settings))
    broker = endpoints(settings, with_postgres=False)
    report = Run()
    with bar("records") as move:
        await archive(
            store,
            broker,
            topics or catalogued(),
            report,
            lambda records: move(records, report.due),
            accept_gaps=accept_gap,
        )
    return report


@app.command(name="list")
def list_(topics: _Topics = None, place: _Place = None, as_json: _AsJson = False) -> None:
    """List what is kept of each partition, and whether the log goes on from there.

    The log: `continues`, or how many records are new; a HOLE, if it begins
    behind the archive's end; ENDS BEFORE, if it has lost what the archive has;
    MADE ANEW, if the topic has another id.

    Example: tape archive list price.ticks --json
    """
    from streams.archive.listing import rows_of
    from streams.archive.log import find_logs
    from streams.archive.reader import read_manifest
    from streams.archive.store import archive_location, open_store
    from streams.archive.verify import archived_topics
    from streams.settings import endpoints, load_settings

    settings = load_settings(**_given(place))
    store = open_store(archive_location(settings))
    names = list(dict.fromkeys(topics or [*catalogued(), *archived_topics(store)]))
    try:
        logs = find_logs(endpoints(settings, with_postgres=False), names)
        reached = True
    except UserError as error:
        # An archive is looked at above all when its broker is lost.
        print(f"tape: the logs are not known: {error}", file=sys.stderr)
        logs, reached = {}, False
    rows = [
        row
        for name in names
        for row in rows_of(name, read_manifest(store, name), logs.get(name), reached=reached)
    ]
    if as_json:
        print(json.dumps({"archive": store.location, "partitions": list(map(asdict, rows))}))
    else:
        _print_rows(rows)
        print(f"in {store.location}")


@app.command()
def verify(topics: _Topics = None, place: _Place = None, as_json: _AsJson = False) -> None:
    """Read every file, and compare checksums, counts and offsets with the manifests.

    Needs no broker. Exit status 1: something is damaged; it says which file,
    and what to do.

    Example: tape archive verify --in /mnt/copy
    """
    from streams.archive.store import archive_location, open_store
    from streams.archive.verify import Verified, archived_topics
    from streams.archive.verify import verify as check
    from streams.settings import load_settings

    store = open_store(archive_location(load_settings(**_given(place))))
    found = Verified()
    with bar("bytes") as move:
        check(store, topics or archived_topics(store), found, move)
    if as_json:
        print(json.dumps({"archive": store.location, **asdict(found)}, indent=2))
    else:
        _print_verified(found, store.location)
    _end_by(found.faults)


def _given(place: str | None) -> dict[str, str]:
    return {} if place is None else {"archive": place}


def catalogued() -> list[str]:
    """The topics whose history projections need."""
    from streams.events import system_health
    from streams.events.catalogue import TOPICS

    return [topic.name for topic in TOPICS if topic.name != system_health.TOPIC]


def _end_by(problems: list[str]) -> None:
    for problem in problems:
        print(f"tape: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)


def _run_as_json(report: Run) -> dict[str, Any]:
    return {
        "due": report.due,
        "records": report.records,
        "files": [{"topic": one.topic, **part.model_dump()} for one, part in report.segments],
        "gaps": [{"topic": one.topic, **part.model_dump()} for one, part in report.gaps],
        "problems": report.problems,
    }


def _print_run(report: Run) -> None:
    for source, gap in report.gaps:
        print(f"{source}: a gap is noted, offsets {gap.first} to {gap.until - 1} are missing")
    for source, one in report.segments:
        records = _counted(one.records, "record")
        print(f"{source}: offsets {one.first} to {one.until - 1}, {records}, {_size(one.bytes)}")
    total = sum(one.bytes for _, one in report.segments)
    files = _counted(len(report.segments), "file")
    print(f"{_counted(report.records, 'record')} archived, in {files} of {_size(total)}")


def _print_rows(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("partition", no_wrap=True)
    for column in ("offsets", "newest, UTC", "files", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("the log")
    for row in rows:
        offsets = "-" if row.until is None else f"{row.first}-{row.until - 1}"
        time, size = _time(row.last_time), _size(row.bytes) if row.files else "-"
        cells = f"{row.topic}[{row.partition}]", offsets, time, str(row.files), size, _log(row)
        table.add_row(*cells)
    Console().print(table)


def _log(row: Row) -> str:
    match row.log:
        case "continues":
            told = f"{row.waiting:,} new" if row.waiting else "continues"
        case "hole":
            told = f"HOLE: begins at {row.log_start}"
        case "ends before":
            told = f"ENDS BEFORE, at {row.log_end}"
        case "made anew":
            told = "MADE ANEW"
        case _:
            told = row.log
    return f"{told}; {row.missing:,} missing" if row.missing else told


def _print_verified(found: Verified, location: str) -> None:
    whole = _counted(found.files, "file"), _counted(found.records, "record"), _size(found.bytes)
    print(f"whole: {', '.join(whole)}, in {location}")
    for name in found.unnamed:
        print(f"{name} is named by no manifest: what a killed run left; remove it if you like")


def _time(ms: int | None) -> str:
    from datetime import UTC, datetime

    return "-" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{count / 1000:,.1f} kB"
    return f"{count / 1_000_000:,.1f} MB"


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else one + 's'}"
