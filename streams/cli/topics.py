"""`tape topics`: the topics of the catalogue on the broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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


def _print_table(topics: list[TopicState], records: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("topic", "id"):
        table.add_column(column, no_wrap=True)
    for column in ("parts", "kept", "records"):
        table.add_column(column, justify="right", no_wrap=True)
    for topic in topics:
        kept = "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // _DAY_MS} days"
        count = f"{records[topic.name]:,}"
        table.add_row(topic.name, topic.topic_id, str(topic.partitions), kept, count)
    Console().print(table)
    for topic in topics:
        for key, (found, wanted) in topic.differences.items():
            print(f"{topic.name}: {key} is {found}, the catalogue wants {wanted}")
