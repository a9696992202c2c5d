"""Dead letters: what waits, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from streams.events import Unparsed, catalogue
from streams.reports.reading import Connection

__all__ = ["CHOSEN", "IS_FRAME", "Chosen", "DeadLetters", "read_dead_letters"]
__all__ += ["read_records"]

#: The condition of `Chosen`; done or not is another.
CHOSEN = """
(%(topic)s::text is null or topic = %(topic)s)
and (%(projection)s::text is null or projection = %(projection)s)
and (%(error)s::text is null or strpos(error, %(error)s) > 0 or strpos(last_error, %(error)s) > 0)
and (%(since)s::timestamptz is null or appended >= %(since)s)
and (%(partition)s::integer is null or partition = %(partition)s)
and (%(offset)s::bigint is null or "offset" = %(offset)s)
"""
#: Whether the record is an Unparsed; all else are records that a projection refused.
IS_FRAME = """
exists (
    select from jsonb_array_elements(headers) as h
    where h ->> 'name' = 'ce_type' and h ->> 'value' = any(%(unparsed)s)
)
"""
_LISTED = f"""
select projection, topic, partition, "offset", key, appended, refused, error,
    tries, tried, last_error, done, outcome,
    case when {IS_FRAME} then 'frame' else 'record' end as what
from public.dead_letters
where {CHOSEN} and (%(with_done)s or done is null)
order by appended desc, topic, partition, "offset" desc, projection
limit %(limit)s
"""
_RECORDS = f"""
select projection, topic, topic_id::text, partition, "offset", key, headers, value, appended,
    refused, error, tries, tried, last_error, done, outcome,
    case when {IS_FRAME} then 'frame' else 'record' end as what
from public.dead_letters
where {CHOSEN}
order by appended, projection
"""
_COUNTS = f"""
select count(*) filter (where done is null and {IS_FRAME}),
    count(*) filter (where done is null and not {IS_FRAME}),
    count(*) filter (where done is not null)
from public.dead_letters
where {CHOSEN}
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which dead letters: of a topic, of a projection, with a text in an error, appended since.

    `partition` and `offset` are those of one record, where that alone is meant.
    """

    topic: str | None = None
    projection: str | None = None
    error: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None

    def parameters(self) -> dict[str, Any]:
        """What `CHOSEN` and `IS_FRAME` refer to."""
        return {**asdict(self), "unparsed": _unparsed()}


def _unparsed() -> list[str]:
    """The types of frames that could not be read, of every version: old ones are retried too."""
    frames = [model for model in catalogue.EVENTS if issubclass(model, Unparsed)]
    return [name for model in frames for name in catalogue.versions_of(model)]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The newest of those chosen, newest first, and how many there are in all.

    Each has projection, topic, partition, offset, key (bytes or None), appended, refused (times),
    error, and `what`: a `frame` that a connector could not read, or a `record` that the projection
    refused; `tries` to redrive it that failed, the last one at `tried` because of `last_error`;
    `done` (a time) and `outcome` (`read`, `projected` or `discarded`), None while it waits.
    `frames` and `records` count what waits.
    """

    listed: Sequence[dict[str, Any]]
    frames: int
    records: int
    done: int


def read_records(connection: Connection, chosen: Chosen) -> list[dict[str, Any]]:
    """The dead letters chosen, as `DeadLetters.listed` has them, with topic_id, headers and value.

    `headers` are as projections.deadletter.header_json makes them, `value` is bytes or None.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_RECORDS, chosen.parameters()).fetchall()


def read_dead_letters(
    connection: Connection, chosen: Chosen, limit: int, *, with_done: bool
) -> DeadLetters:
    """The newest `limit` dead letters that wait, or with those that are done."""
    parameters = chosen.parameters()
    with connection.cursor(row_factory=dict_row) as cursor:
        shown = {**parameters, "with_done": with_done, "limit": limit}
        listed = cursor.execute(_LISTED, shown).fetchall()
    frames, records, done = connection.execute(_COUNTS, parameters).fetchone() or (0, 0, 0)
    return DeadLetters(listed, frames, records, done)
