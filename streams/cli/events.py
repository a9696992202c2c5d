"""`tape events`: the catalogue of events, for people and for other tools."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from streams.errors import UserError

__all__ = ["app"]

app = typer.Typer(help="The events: their types, schemas and versions.", no_args_is_help=True)


@app.command(name="list")
def list_events() -> None:
    """List the event types with their topic and what they are.

    Example: tape events list
    """
    from streams.events.catalogue import EVENTS

    width = max(len(event.ce_type()) for event in EVENTS)
    for event in EVENTS:
        summary = (event.__doc__ or "").splitlines()[0]
        print(f"{event.ce_type():<{width}}  {event.topic}  {summary}")


@app.command()
def schema(
    event_type: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="As in the header ce_type.")
    ] = None,
) -> None:
    """Print the JSON Schema of an event type, or of all as one object.

    Example: tape events schema price.trade.v1
    """
    from streams.events.catalogue import BY_TYPE
    from streams.events.schema import event_schema

    if event_type is None:
        _print({name: event_schema(event) for name, event in BY_TYPE.items()})
    elif event_type in BY_TYPE:
        _print(event_schema(BY_TYPE[event_type]))
    else:
        raise UserError(f"there is no event type {event_type!r}; there are: {', '.join(BY_TYPE)}")


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI 3.0 document of all topics and events.

    Example: tape events asyncapi > asyncapi.json
    """
    from streams.events.schema import asyncapi as document

    _print(document())


@app.command()
def publish() -> None:
    """Write the schemas of new or compatibly changed events to be committed.

    An incompatible change of a published version is refused.

    Example: tape events publish
    """
    from streams.events.compatibility import PUBLISHED
    from streams.events.compatibility import publish as write

    for name in write() or ["nothing changed"]:
        print(f"{PUBLISHED.name}/{name}.json" if "." in name else name)


def _print(document: object) -> None:
    print(json.dumps(document, indent=2))
