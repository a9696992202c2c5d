"""`tape topics`: the topics of the catalogue on the broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.retention import Check, Kept
    from streams.topics import TopicState

__all__ = ["app"]

app = typer.Typer(help="The Kafka topics: make them, look at them.", no_args_is_help=True)

_DAY_MS = 86_400_000


@app.command()
def create() -> None:
    """Make what is missing, and mend settings that are not the catalogue's. Safe to repeat.

    Example: tape topics create
    """
    from streams.settings import endpoints, load_settings
    from streams.topics import ensure_topics

    for topic in ensure_topics(endpoints(load_settings(), with_postgres=False)):
        done = "created" if topic.created else "is there"
        print(f"{topic.name} {done}, {topic.partitions} partitions, id {topic.topic_id}")
        for key, (found, wanted) in topic.differences.items():
            print(f"  {key} was {found}, is now {wanted}")


@app.command(name="list")
def list_topics(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the topics with their ids, sizes, and the settings that are not the catalogue's.

    Example: tape topics list --json
    """
    from streams.settings import endpoints, load_settings
    from streams.topics import record_counts, topic_states

    broker = endpoints(load_settings(), with_postgres=False)
    topics = topic_states(broker)
    records = record_counts(broker, [topic.name for topic in topics])
    if as_json:
        rows = [
            {
                "name": topic.name,
                "id": topic.topic_id,
                "partitions": topic.partitions,
                "retention_ms": topic.retention_ms,
                "records": records[topic.name],
                "differences": {key: item._asdict() for key, item in topic.differences.items()},
            }
            for topic in topics
        ]
        print(json.dumps(rows, indent=2))
    elif topics:
        _print_table(topics, records)
    else:
        print("no topics; `tape topics create` makes them")


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Can each projection be rebuilt in full, and do its workers read in time?

    What the log still keeps, how far behind each projection is, and the hours
    until its first unprojected record may be deleted. The broker deletes whole
    segments, by their newest record, so it takes at least as long. Exit status
    1: a projection cannot be rebuilt in full, a checkpoint fell off the log, or
    may within 24 hours.

    Example: tape topics check
    """
    from projections import PROJECTIONS
    from streams.reports.reading import database_faults
    from streams.retention import check as look
    from streams.settings import endpoints, load_settings

    topics = {name: projection.topics for name, projection in PROJECTIONS.items()}
    bounded = {name for name, one in PROJECTIONS.items() if one.keeps_days is not None}
    with database_faults():
        checks = asyncio.run(look(endpoints(load_settings()), topics, bounded))
    now = time.time_ns() // 1_000_000
    if as_json:
        print(json.dumps([_check_as_json(one, now) for one in checks], indent=2))
    else:
        _print_checks(checks, now)
    raise typer.Exit(1 if any(one.faults(now) for one in checks) else 0)


def _check_as_json(check: Check, now: int) -> dict[str, Any]:
    return {
        "projection": check.projection,
        "can_be_rebuilt": check.missing is None,
        "records_missing": check.missing.records if check.missing else 0,
        "hours_left": check.hours_left(now),
        "faults": [{"kind": fault.kind, "text": fault.text} for fault in check.faults(now)],
        "partitions": [_kept_as_json(check, one, now) for one in check.partitions],
    }


def _kept_as_json(check: Check, one: Kept, now: int) -> dict[str, Any]:
    holes = check.missing.ranges.get(one.source, ()) if check.missing else ()
    return {
        "topic": one.source.topic,
        "partition": one.source.partition,
        "log_start": one.log.offsets.first,
        "log_end": one.log.offsets.until,
        "missing": [list(hole) for hole in holes],
        "retention_ms": one.log.retention_ms,
        "retention_bytes": one.log.retention_bytes,
        "checkpoint": None if one.checkpoint is None else one.checkpoint.next_offset,
        "above_log_start": one.above_start,
        "unprojected": one.unprojected,
        "first_unprojected_appended_ms": one.oldest,
        "hours_left": one.hours_left(now),
    }


def _print_checks(checks: Sequence[Check], now: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("projection", "topic"):
        table.add_column(column, no_wrap=True)
    for column in ("kept", "missing", "unprojected", "hours left"):
        table.add_column(column, justify="right", no_wrap=True)
    by_size = set()
    for check in checks:
        for topic in dict.fromkeys(one.source.topic for one in check.partitions):
            some = [one for one in check.partitions if one.source.topic == topic]
            table.add_row(check.projection, topic, *_topic_cells(check, some, now))
            if any(one.log.retention_bytes >= 0 for one in some):
                by_size.add(topic)
    Console().print(table)
    for topic in sorted(by_size):
        print(f"{topic} is bounded by retention.bytes too: its records may go sooner than that")
    for check in checks:
        faults = check.faults(now)
        for fault in faults:
            lost = "LOST: " if fault.kind == "lost" else ""
            print(f"{lost}{fault.text}")
        if not faults:
            print(f"{check.projection} can be rebuilt in full, and is read in time")


def _topic_cells(check: Check, some: Sequence[Kept], now: int) -> list[str]:
    holes = check.missing.ranges if check.missing else {}
    gone = sum(until - first for one in some for first, until in holes.get(one.source, ()))
    hours = [left for one in some if (left := one.hours_left(now)) is not None]
    return [
        _retention(some[0].log.retention_ms),
        f"{gone:,}",
        f"{sum(one.unprojected for one in some):,}",
        f"{min(hours):,.1f}" if hours else "-",
    ]


def _retention(milliseconds: int) -> str:
    return "for ever" if milliseconds < 0 else f"{milliseconds // _DAY_MS} days"


def _print_table(topics: list[TopicState], records: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("topic", "id"):
        table.add_column(column, no_wrap=True)
    for column in ("parts", "kept", "records"):
        table.add_column(column, justify="right", no_wrap=True)
    for topic in topics:
        kept, count = _retention(topic.retention_ms), f"{records[topic.name]:,}"
        table.add_row(topic.name, topic.topic_id, str(topic.partitions), kept, count)
    Console().print(table)
    for topic in topics:
        for key, (found, wanted) in topic.differences.items():
            print(f"{topic.name}: {key} is {found}, the catalogue wants {wanted}")
