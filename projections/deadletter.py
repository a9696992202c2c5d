"""Dead letters: records that a projection could not use, kept whole, and the limit on them.

They become rows in the transaction that moves the checkpoint past them. Too many of them stop
the projection, because then the fault is most likely not in the records.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from projections.base import Connection, Partition, Refused
from projections.checkpoint import Span
from projections.errors import Refusal
from streams.events.types import moment

WINDOW = 1000

_INSERT = """
insert into public.dead_letters
    (projection, topic, topic_id, partition, "offset", key, headers, value, error, appended)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (projection, topic_id, partition, "offset") do nothing
"""

_INSERT_BUILT = """
insert into public.built_dead_letters
    (projection, generation, topic, topic_id, partition, "offset", key, headers, value, error,
    appended)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_RECENT = """
select d.topic, d.partition, d."offset"
from public.dead_letters as d
join public.checkpoints as c using (projection, topic, topic_id, partition)
where c.projection = %s and c.generation = %s and d."offset" >= c.next_offset - %s
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many dead letters of one partition stop its projection."""

    in_a_row: int = 100
    of_last_thousand: int = WINDOW // 2


def header_json(headers: Iterable[tuple[str, bytes | None]]) -> list[dict[str, str | None]]:
    """Headers as JSON, exactly: readable text where it is UTF-8 without NUL, else base64."""
    return [
        {**_text("name", name.encode(errors="surrogateescape")), **_text("value", value)}
        for name, value in headers
    ]


def _text(field: str, raw: bytes | None) -> dict[str, str | None]:
    if raw is None:
        return {field: None}
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    return {f"{field}_base64": b64encode(raw).decode()} if "\0" in text else {field: text}


def headers_of(stored: Iterable[Mapping[str, str | None]]) -> list[tuple[str, bytes | None]]:
    """The record's headers from their JSON, as the broker gave them: the inverse of header_json."""
    return [
        ((_raw(item, "name") or b"").decode(errors="surrogateescape"), _raw(item, "value"))
        for item in stored
    ]


def _raw(item: Mapping[str, str | None], field: str) -> bytes | None:
    encoded = item.get(f"{field}_base64")
    if encoded is not None:
        return b64decode(encoded)
    text = item[field]
    return None if text is None else text.encode()


async def insert(
    connection: Connection,
    projection: str,
    topic_ids: Mapping[str, str],
    refused: Sequence[Refused],
) -> None:
    """Keep refused records as rows, in the transaction of the caller."""
    async with connection.cursor() as cursor:
        rows = [(projection, *_row(topic_ids, item)) for item in refused]
        await cursor.executemany(_INSERT, rows)


async def insert_built(
    connection: Connection,
    projection: str,
    generation: int,
    topic_ids: Mapping[str, str],
    refused: Sequence[Refused],
) -> None:
    """Keep what a generation that is being built refused, in the transaction of the caller."""
    async with connection.cursor() as cursor:
        rows = [(projection, generation, *_row(topic_ids, item)) for item in refused]
        await cursor.executemany(_INSERT_BUILT, rows)


def _row(topic_ids: Mapping[str, str], item: Refused) -> tuple[Any, ...]:
    return (
        item.source.topic,
        topic_ids[item.source.topic],
        item.source.partition,
        item.record.offset,
        item.record.key,
        Jsonb(header_json(item.record.headers)),
        item.record.value,
        item.error.replace("\0", "\\0"),
        moment(item.record.timestamp * 1000),
    )


class Watch:
    """Counts dead letters per partition over the last thousand offsets; a function of the log."""

    def __init__(self, projection: str, limits: Limits) -> None:
        self._projection = projection
        self._limits = limits
        self._dead: dict[Partition, list[int]] = defaultdict(list)

    async def load(self, connection: Connection, generation: int) -> None:
        """Start from what the table holds, so that a restart forgets nothing."""
        cursor = await connection.execute(_RECENT, [self._projection, generation, WINDOW])
        self._dead.clear()
        for topic, partition, offset in await cursor.fetchall():
            self._dead[Partition(topic, partition)].append(offset)

    def check(self, refused: Sequence[Refused], unit: Mapping[Partition, Span]) -> None:
        """Raise Refusal when committing these would pass a limit.

        Looks back from each of them, so that how the log is cut into units makes no difference.
        """
        for source in unit:
            new = {item.record.offset: item.error for item in refused if item.source == source}
            dead = sorted({*self._dead.get(source, ()), *new})
            run = first = 0
            for at, offset in enumerate(dead):
                run = run + 1 if at and offset == dead[at - 1] + 1 else 1
                while dead[first] <= offset - WINDOW:
                    first += 1
                if offset not in new:
                    continue
                if run >= self._limits.in_a_row:
                    self._refuse(source, offset, f"{run} records in a row", new[offset])
                if (count := at - first + 1) >= self._limits.of_last_thousand:
                    count_text = f"{count} of the last {WINDOW} records"
                    self._refuse(source, offset, count_text, new[offset])

    def committed(self, refused: Sequence[Refused], unit: Mapping[Partition, Span]) -> None:
        """Remember what a unit has committed, as far back as the limits look."""
        for item in refused:
            self._dead[item.source].append(item.record.offset)
        for source, span in unit.items():
            if dead := self._dead.get(source):
                self._dead[source] = [offset for offset in dead if offset >= span.until - WINDOW]

    def _refuse(self, source: Partition, offset: int, count: str, error: str) -> None:
        raise Refusal(
            f"{self._projection}: {count} of {source} up to offset {offset} cannot be projected,"
            f" the last one because: {error}. Stopped before draining the topic into dead letters;"
            " mend the program or the producer, or, if these records are to be passed over, raise"
            " TAPE_DEAD_LETTERS_IN_A_ROW or TAPE_DEAD_LETTERS_OF_LAST_THOUSAND for one run"
        )
