"""Which dead letters a command of `tape dlq` is about."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from streams.reports.dead_letters import Chosen
    from streams.settings import Endpoints

__all__ = ["MOST", "AsJson", "Error", "Place", "Projection", "Since", "Topic", "choose"]
__all__ += ["endpoints_of"]

#: Dead letters of one command.
MOST = 1_000_000
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

Place = Annotated[
    str | None, typer.Argument(help="One record, as list shows it: price.ticks[0]@4041.")
]
Topic = Annotated[str | None, typer.Option(help="Of this topic only, such as price.ticks.")]
Projection = Annotated[str | None, typer.Option(help="Of this projection only: prices.")]
Error = Annotated[str | None, typer.Option(help="With this text in the reason only.")]
Since = Annotated[
    str | None, typer.Option(help="Appended since, in UTC: 2026-01-31 or 2026-01-31T14:30.")
]

_PLACE = re.compile(r"([A-Za-z0-9._-]+)\[([0-9]{1,9})\]@([0-9]{1,18})")


def choose(
    topic: str | None,
    projection: str | None,
    error: str | None,
    since: str | None,
    place: str | None = None,
) -> Chosen:
    """What these options, and the place of one record, are about.

    Raises UserError for what there is not: nothing would be of it, which means nothing.
    """
    from streams.reports.dead_letters import Chosen

    _check(topic, projection)
    chosen = Chosen(topic, projection, error, _time(since))
    if place is None:
        return chosen
    match = _PLACE.fullmatch(place)
    if match is None:
        raise UserError(f"{place!a} is no place; write it as list shows it: price.ticks[0]@4041")
    if topic not in {None, match[1]}:
        raise UserError(f"{place} is not of the topic {topic}; leave --topic away")
    _check(match[1], None)
    return Chosen(
        match[1], projection, error, chosen.since, partition=int(match[2]), offset=int(match[3])
    )


def _check(topic: str | None, projection: str | None) -> None:
    from projections import PROJECTIONS

    topics = {topic for one in PROJECTIONS.values() for topic in one.topics}
    for kind, name, names in (("topic", topic, topics), ("projection", projection, PROJECTIONS)):
        if name is not None and name not in names:
            known = ", ".join(sorted(names))
            raise UserError(f"no {kind} that is projected is named {name!a}; there are: {known}")


def _time(text: str | None) -> datetime | None:
    try:
        time = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        message = f"--since {text!r} is no time; write it as 2026-01-31 or 2026-01-31T14:30"
        raise UserError(message) from None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def endpoints_of(*, with_kafka: bool = True) -> Endpoints:
    """Where broker and database are, by the settings in force."""
    from streams.settings import endpoints, load_settings

    return endpoints(load_settings(), with_kafka=with_kafka)
