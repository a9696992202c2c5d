"""Unread frames out of the dead letters, through the parser again, into the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from projections.base import Connection
from projections.database import connect
from projections.decisions import Operator, by_partition, record
from streams.dead_letters import original_headers
from streams.events import DeadLettersRedriven, DecodeError, Unparsed, decode
from streams.producer import Producer
from streams.reports.dead_letters import CHOSEN, IS_FRAME, Chosen
from streams.reports.reading import database_faults
from streams.reread import Reread, reread
from streams.settings import Endpoints
from streams.tracing import traceparent

__all__ = ["Retried", "retry"]

#: Frames in one page: each may have 700 kB, and most have less than one.
_PAGE = 100
#: Reasons that are counted each by itself; a reason may quote the frame.
_MOST_REASONS = 200
_OTHER = "other reasons"

# One record may be a dead letter of several projections: it is read once, for all of them.
_WAITING = f"""
select distinct on (topic_id, partition, "offset") topic_id::text as id, partition, "offset",
    headers, value
from public.dead_letters
where done is null and {CHOSEN} and {IS_FRAME}
    and (topic_id, partition, "offset")
        > (%(after_id)s::uuid, %(after_partition)s, %(after_offset)s)
order by topic_id, partition, "offset"
limit %(page)s
"""
_COUNT = f"""
select count(distinct (topic_id, partition, "offset"))
from public.dead_letters
where done is null and {CHOSEN} and {IS_FRAME}
"""
_MARK = """
update public.dead_letters set done = now(), outcome = 'read'
where done is null and (topic_id, partition, "offset") in (
    select * from unnest(%s::uuid[], %s::integer[], %s::bigint[])
)
returning projection, topic, topic_id::text, partition, "offset"
"""
#: Before the first place.
_START = ("00000000-0000-0000-0000-000000000000", -1, -1)


@dataclass
class Retried:
    """What a retry has done: `frames` were tried, `read` of them gave `events`.

    `left` and `unread` count the others by reason, as of `Reread`.
    """

    frames: int = 0
    read: int = 0
    events: int = 0
    left: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def add(self, found: Reread) -> None:
        """Count one frame."""
        self.frames += 1
        self.events += len(found.events)
        match found.outcome:
            case "read":
                self.read += 1
            case "left":
                self.left[found.reason] += 1
            case "unread":
                is_known = found.reason in self.unread or len(self.unread) < _MOST_REASONS
                self.unread[found.reason if is_known else _OTHER] += 1


async def retry(
    chosen: Chosen,
    endpoints: Endpoints,
    operator: Operator,
    limit: int,
    retried: Retried,
    advanced: Callable[[int], None],
) -> None:
    """Read the chosen frames again, at most `limit` of them, counting them in `retried`.

    `advanced` is given how many there are, at first and after each page. What a frame says
    is in the log before it is marked as done: a kill in between has it told twice, by the same ids.
    Raises UserError: the broker or the database is out of reach.
    """
    async with _database(endpoints.dsn) as connection:
        counted = await (await connection.execute(_COUNT, chosen.parameters())).fetchone()
        frames = min(counted[0], limit) if counted else 0
        advanced(frames)
        if frames:
            async with Producer(endpoints) as producer:
                await _retry(chosen, connection, producer, operator, frames, retried, advanced)


async def _retry(
    chosen: Chosen,
    connection: Connection,
    producer: Producer,
    operator: Operator,
    frames: int,
    retried: Retried,
    advanced: Callable[[int], None],
) -> None:
    place = _START
    while retried.frames < frames:
        after = dict(zip(("after_id", "after_partition", "after_offset"), place, strict=True))
        page = {"page": min(_PAGE, frames - retried.frames)}
        cursor = await connection.execute(_WAITING, {**chosen.parameters(), **page, **after})
        rows = await cursor.fetchall()
        if not rows:
            return
        done = await _send(rows, producer, retried)
        await producer.flush()
        if done:
            await _mark(connection, done, operator)
        place = rows[-1][:3]
        advanced(frames)


async def _mark(
    connection: Connection, done: Sequence[tuple[str, int, int]], operator: Operator
) -> None:
    async with connection.transaction():
        columns = [list(column) for column in zip(*done, strict=True)]
        marked = await (await connection.execute(_MARK, columns)).fetchall()
        for letters in by_partition(marked):
            decision = DeadLettersRedriven(**operator.decides(), **letters, generation=None)
            await record(connection, decision)


async def _send(
    rows: Sequence[Any], producer: Producer, retried: Retried
) -> list[tuple[str, int, int]]:
    """Send what the frames of these rows say; returns the places of those that could be read."""
    done = []
    for topic_id, partition, offset, headers, value in rows:
        try:
            event = decode(value, original_headers(headers))
        except DecodeError as error:
            retried.add(Reread("unread", reason=f"the record itself cannot be read: {error}"))
            continue
        if not isinstance(event, Unparsed):  # of a header given twice, the last one counts
            retried.add(Reread("left", reason=f"{event.ce_type()} is no frame"))
            continue
        found = reread(event)
        trace = traceparent(event.connection, event.arrival)
        for one in found.events:
            await producer.send(one, trace)
        retried.add(found)
        if found.outcome == "read":
            done.append((topic_id, partition, offset))
    return done


@asynccontextmanager
async def _database(dsn: str) -> AsyncIterator[Connection]:
    with database_faults():
        async with await connect(dsn, "dlq retry", {}) as connection:
            yield connection
