"""`tape dlq`: dead letters, and unread frames through the parser again."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.running import log_to_stderr
from streams.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from streams.reports.dead_letters import Chosen, DeadLetters
    from streams.retry import Retried

__all__ = ["app"]

app = typer.Typer(
    help="Dead letters: frames that could not be read, and records that a projection refused.",
    no_args_is_help=True,
)

_Topic = Annotated[str | None, typer.Option(help="Of this topic only, such as price.ticks.")]
_Projection = Annotated[str | None, typer.Option(help="Of this projection only: prices.")]
_Error = Annotated[str | None, typer.Option(help="With this text in the reason only.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_WIDTH = 80
#: Reasons for people, the most frequent first.
_MOST_REASONS = 10
_WHAT = {
    "frame": "a frame that could not be read",
    "record": "a record that was refused",
}


@app.command(name="list")
def list_(
    topic: _Topic = None,
    projection: _Projection = None,
    error: _Error = None,
    since: Annotated[
        str | None, typer.Option(help="Appended since, in UTC: 2026-01-31 or 2026-01-31T14:30.")
    ] = None,
    with_done: Annotated[
        bool, typer.Option("--all", help="Those too that `tape dlq retry` is done with.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")] = 50,
    as_json: _AsJson = False,
) -> None:
    """List the dead letters that wait, the newest first. Times are Eastern.

    Examples:

        tape dlq list

        tape dlq list --topic kalshi.account --error "not JSON" --limit 1000 --json
    """
    from streams.reports.dead_letters import read_dead_letters
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json
    from streams.settings import endpoints, load_settings

    chosen = _chosen(topic, projection, error, since)
    with reading(endpoints(load_settings(), with_kafka=False).dsn) as connection:
        found = read_dead_letters(connection, chosen, limit, with_done=with_done)
    if as_json:
        listed = [{**one, "key": _text(one["key"])} for one in found.listed]
        counts = {"frames": found.frames, "records": found.records, "done": found.done}
        print(to_json({"dead_letters": listed, **counts}))
    else:
        _print_list(found, with_done=with_done)


@app.command()
def retry(
    topic: _Topic = None,
    projection: _Projection = None,
    error: _Error = None,
    as_json: _AsJson = False,
) -> None:
    """Send frames that could not be read through the parser again.

    What they say goes to the topics of its events, and they are done with. To
    do it twice changes no table. Messages of order books and REST replies are
    left, for they are of no use by themselves, and so are records that a
    projection refused. Exit status 1: some frame still cannot be read; it stays listed.

    Example: tape dlq retry --topic kalshi.account
    """
    log_to_stderr()
    retried = asyncio.run(_retry(_chosen(topic, projection, error)))
    if as_json:
        print(json.dumps(vars(retried), indent=2))
    else:
        _print_retried(retried)
    if retried.unread:
        raise typer.Exit(1)


async def _retry(chosen: Chosen) -> Retried:
    from streams import retry as retrying
    from streams.settings import endpoints, load_settings

    retried = retrying.Retried()
    with _progress() as progress:
        task = progress.add_task("frames", total=None)

        def move(frames: int) -> None:
            progress.update(task, completed=retried.frames, total=frames)

        await retrying.retry(chosen, endpoints(load_settings()), retried, move)
    return retried


def _progress() -> Progress:
    """A bar over the frames, with the remaining time, on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _chosen(
    topic: str | None, projection: str | None, error: str | None, since: str | None = None
) -> Chosen:
    """Raises UserError for what there is not: nothing would be of it, which means nothing."""
    from projections import PROJECTIONS
    from streams.reports.dead_letters import Chosen

    topics = {topic for one in PROJECTIONS.values() for topic in one.topics}
    for kind, name, names in (("topic", topic, topics), ("projection", projection, PROJECTIONS)):
        if name is not None and name not in names:
            known = ", ".join(sorted(names))
            raise UserError(f"no {kind} that is projected is named {name!a}; there are: {known}")
    return Chosen(topic, projection, error, _time(since))


def _time(text: str | None) -> datetime | None:
    try:
        time = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        message = f"--since {text!r} is no time; write it as 2026-01-31 or 2026-01-31T14:30"
        raise UserError(message) from None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="backslashreplace")


def _print_list(found: DeadLetters, *, with_done: bool) -> None:
    for one in found.listed:
        _print_one(one)
    count = found.frames + found.records + (found.done if with_done else 0)
    if len(found.listed) < count:
        print(f"the newest {len(found.listed):,} of {count:,}; --limit shows more")
    frames = _counted(found.frames, "frame that could not be read", "frames that could not be read")
    records = _counted(found.records, "refused record", "refused records")
    print(f"waiting: {frames}, {records}")
    if found.done and not with_done:
        print(f"done: {found.done:,}; --all shows them too")


def _print_one(one: Mapping[str, Any]) -> None:
    from streams.events.tickers import EASTERN

    place = f"{one['topic']}[{one['partition']}]@{one['offset']}"
    appended = f"{one['appended'].astimezone(EASTERN):%Y-%m-%d %H:%M:%S}"
    key = _text(one["key"])
    about = [
        _WHAT[one["what"]] + ("" if one["done"] is None else ", done"),
        f"by {one['projection']}",
        "without a key" if key is None else f"key {key}",
    ]
    _print_folded(f"{appended}  {place}", "")
    _print_folded(", ".join(about), "  ")
    _print_folded(one["error"], "  ")
    print()


def _print_folded(text: str, indent: str) -> None:
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    for line in textwrap.wrap(
        shown, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    ):
        print(line)


def _print_retried(retried: Retried) -> None:
    if retried.frames == 0:
        print("no frame waits that could not be read")
    else:
        frames = _counted(retried.frames, "frame", "frames")
        events = _counted(retried.events, "event", "events")
        print(f"{frames} tried: {retried.read:,} read, into {events}")
    for what, reasons in (("left", retried.left), ("still cannot be read", retried.unread)):
        if reasons:
            print(f"{sum(reasons.values()):,} {what}:")
        for reason, count in sorted(reasons.items(), key=lambda one: -one[1])[:_MOST_REASONS]:
            _print_folded(f"{count:,}: {reason}", "  ")
        if len(reasons) > _MOST_REASONS:
            more = len(reasons) - _MOST_REASONS
            print(f"  and {more:,} more reasons; --json shows them")
    if retried.refused:
        records = _counted(retried.refused, "refused record", "refused records")
        print(f"{records} left: retry is for frames; `tape dlq list` shows them")


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
