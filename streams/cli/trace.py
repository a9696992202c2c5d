"""`tape trace`: how long a record took from hop to hop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.reports.trace import Trace
    from streams.tracing import Target

__all__ = ["trace"]


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Trace id or traceparent, ce_id, or price.ticks[0]@12 (or :0:12)."
        ),
    ],
    topic: Annotated[
        list[str] | None, typer.Option(help="Search this one; several times. Without it, all.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back to search: 30s, 5m, 24h.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what became of a frame or an event, and the delay of each hop.

    All records of a frame are shown. The hops: the event's own time, the
    connector, Kafka, the commit in PostgreSQL. Each delay is from the hop before;
    where clocks differ it may be negative. docs/tracing.md tells how exact each
    is. By its place a record is found whatever its age.

    Examples:

        tape trace coinbase:BTC-USD:995098700

        tape trace 'kalshi.market[2]@18232' --json

        tape trace 4bf92f3577b34da6a3ce929d0e0e4736 --since 24h --topic price.ticks
    """
    from streams.cli.running import parse_duration
    from streams.cli.trace_tables import as_json_value, print_traces
    from streams.reports.text import as_json as to_json
    from streams.tracing import read_target

    found = _find(read_target(what), topic or [], parse_duration(since))
    if as_json:
        print(to_json([as_json_value(one) for one in found]))
    else:
        print_traces(found)


def _find(target: Target, topics: list[str], seconds: float) -> list[Trace]:
    from streams.events.catalogue import TOPICS
    from streams.reports.commits import find_commits
    from streams.reports.reading import reading
    from streams.reports.trace import make_trace
    from streams.reports.trace_log import find_records
    from streams.settings import endpoints, load_settings

    places = endpoints(load_settings())
    names = topics or [spec.name for spec in TOPICS]
    found = asyncio.run(find_records(places, target, names, seconds))
    with reading(places.dsn) as connection:
        traces = []
        for record in found.records:
            topic_id = found.topic_ids[record.place.topic]
            behind = found.followers[record.place]
            traces.append(make_trace(record, find_commits(connection, record, behind, topic_id)))
        return traces
