"""`tape explain` and `tape at`: which events made a row, and what it was at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.bars import bar
from streams.cli.running import parse_time
from streams.errors import UserError

if TYPE_CHECKING:
    from streams.rebuild.explain import Event, Explanation, Known

__all__ = ["at", "explain"]

_Table = Annotated[str, typer.Argument(help="A table by its stable name: trades.")]
_Key = Annotated[
    list[str], typer.Argument(help="Its primary key: values in order, or column=value.")
]
_KafkaKey = Annotated[
    list[str] | None,
    typer.Option(help="Records with this Kafka key too; several times."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

#: Values for people are cut to so many characters.
_LONGEST = 60


def explain(
    table: _Table,
    key: _Key,
    kafka_key: _KafkaKey = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
    as_json: _AsJson = False,
) -> None:
    """Show the events that made a row, in order, and what each changed in it.

    All of the log of the table's projection is read, as far as the live tables
    have come. Nothing live is changed or held up. Append times are Eastern.
    Exit status 1: no event made such a row.

    Examples:

        tape explain trades T-20251130-17

        tape explain price_seconds coinbase BTC-USD 2026-11-30T14:30:05Z

        tape explain fills trade_id=f-1 account=kalshi/prod/main/0 origin=native --json
    """
    from streams.rebuild.explain import Question
    from streams.rebuild.explain import explain as run
    from streams.reports.text import as_json as to_json
    from streams.settings import endpoints, load_settings

    question = Question(table, key, kafka_key or ())
    with bar(f"{table}: reading the log") as moved:
        found = asyncio.run(run(question, limit, endpoints(load_settings()), moved))
    if as_json:
        print(to_json(_explanation_value(found)))
    else:
        _print_explanation(found)
    if not found.events:
        raise typer.Exit(1)


def at(
    time: Annotated[str, typer.Argument(help="In UTC: 2026-01-31 or 2026-01-31T14:30:05.123.")],
    table: _Table,
    key: _Key,
    kafka_key: _KafkaKey = None,
    as_json: _AsJson = False,
) -> None:
    """Show a row as the records make it that were appended up to a time.

    Whether they were projected by then does not matter. Exit status 1: it was
    not there yet, or no longer.

    Example: tape at 2026-11-30T14:30 trades T-20251130-17
    """
    from streams.rebuild.explain import Question, row_at
    from streams.reports.text import as_json as to_json
    from streams.settings import endpoints, load_settings

    until = parse_time(time, "TIME")
    if until > datetime.now(UTC):
        raise UserError(f"TIME {time!r} is in the future")
    question = Question(table, key, kafka_key or ())
    with bar(f"{table}: reading the log") as moved:
        known, row = asyncio.run(row_at(question, until, endpoints(load_settings()), moved))
    if as_json:
        print(to_json({**_known_value(known), "time": until, "row": row}))
    else:
        _print_row(known, row, until)
    if row is None:
        raise typer.Exit(1)


def _known_value(known: Known) -> dict[str, Any]:
    return {
        "projection": known.projection,
        "key": known.key,
        "kafka_keys": list(known.kafka_keys),
        "topics": list(known.topics),
        "scanned": known.scanned,
        "records": known.records,
        "begins_late": [str(part) for part in known.begins_late],
    }


def _explanation_value(found: Explanation) -> dict[str, Any]:
    return {
        **_known_value(found.known),
        "events": [_event_value(event) for event in found.events],
        "are_all": found.are_all,
        "row": found.row,
        "live_differs": list(found.differs),
    }


def _event_value(event: Event) -> dict[str, Any]:
    return {
        "topic": event.source.topic,
        "partition": event.source.partition,
        "offset": event.offset,
        "appended": event.appended,
        "type": event.type,
        "id": event.id,
        "what": _what(event),
        "changes": {name: {"old": old, "new": new} for name, (old, new) in event.changes.items()},
    }


def _what(event: Event) -> str:
    if event.before is None:
        return "made"
    return "deleted" if event.after is None else "changed"


def _print_explanation(found: Explanation) -> None:
    print(found.known.key)
    if not found.are_all:
        print(f"the newest {len(found.events):,} events; --limit shows older ones")
    for event in found.events:
        _print_event(event)
    print()
    if not found.events:
        print("no event made such a row")
    _print_known(found.known)
    if found.differs:
        print(
            f"the live row differs from what the log makes of it: {', '.join(found.differs)};"
            f" `tape rebuild {found.known.projection} {_only(found.known)}` repairs it"
        )


def _only(known: Known) -> str:
    return " ".join(f"--only {_printable(key)}" for key in known.kafka_keys)


def _print_event(event: Event) -> None:
    from streams.events.tickers import EASTERN

    appended = event.appended.astimezone(EASTERN)
    print(f"\n{appended:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  {event.source}@{event.offset}")
    print(f"  {_printable(event.type)}  {_printable(event.id)}")
    if event.after is None:
        print("  the row is deleted")
    elif event.before is None:
        _print_values({name: new for name, (_, new) in event.changes.items()})
    else:
        width = max((len(name) for name in event.changes), default=0)
        for name, (old, new) in event.changes.items():
            print(f"  {name:{width}}  {_shown(old)} → {_shown(new)}")
        if not event.changes:
            print("  only where it came from")


def _print_row(known: Known, row: Mapping[str, Any] | None, until: datetime) -> None:
    print(f"{known.key} as of {until:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC")
    if row is None:
        print("  it was not there")
    else:
        _print_values(row)
    print()
    _print_known(known)


def _print_values(values: Mapping[str, Any]) -> None:
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if value is not None:
            print(f"  {name:{width}}  {_shown(value)}")


def _print_known(known: Known) -> None:
    print(
        f"{known.scanned:,} records of {', '.join(known.topics)} read,"
        f" {known.records:,} with the Kafka key {', '.join(map(_printable, known.kafka_keys))}"
    )
    if known.begins_late:
        parts = ", ".join(map(str, known.begins_late))
        print(f"the log no longer has the first records of {parts}")


def _shown(value: object) -> str:
    text = "-" if value is None else _printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
