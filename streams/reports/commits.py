"""When a record's unit of work was committed, as the tables tell it.

Nothing is written for this: PostgreSQL keeps the commit time of every transaction, and rows name
the record that they are of. A row that was written again later, such as a fill that another channel
made more exact, has the later time. But the units of a partition are committed in the order of its
offsets, so that no record is committed after one that follows it. What is told is therefore the
earliest commit of its own rows, of rows of the records behind it, and of the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal, LiteralString, NamedTuple

from psycopg import sql

from projections.database import BY_INDEX
from projections.generation import schema_name
from streams.events import DecodeError, Event, decode
from streams.events.types import moment
from streams.reports.reading import Connection
from streams.reports.trace_log import LoggedRecord

__all__ = ["Commit", "Projected", "State", "find_commits"]

#: `row`: a table names the record. `no row`: it was projected, into rows that name no record or
#: another one. `waiting`: it was not projected yet.
State = Literal["row", "no row", "dead letter", "waiting"]

_TRACKED = "select current_setting('track_commit_timestamp')::boolean"
_COMMITTED = sql.SQL("pg_xact_commit_timestamp(t.xmin)")
_UNKNOWN = sql.SQL("null::timestamptz")

_GENERATIONS = sql.SQL("""
select g.projection, g.generation, g.created, t.topic_id::text, t.next_offset, {written}
from public.generations as g
left join public.checkpoints as t
    on t.projection = g.projection and t.generation = g.generation
    and t.topic = %(topic)s and t.partition = %(partition)s
where g.is_current and exists (
    select from public.checkpoints as c
    where c.projection = g.projection and c.generation = g.generation and c.topic = %(topic)s
)
order by g.projection
""")

_DEAD_LETTER = sql.SQL("""
select t.error, t.outcome, t.done, {written}
from public.dead_letters as t
where t.projection = %(projection)s and t.topic_id = %(topic_id)s
    and t.partition = %(partition)s and t."offset" = %(offset)s
""")

# Partitions of a table are read through it; those that were detached are tables by themselves.
_TABLES = """
select c.relname::text, columns.names, indexed.texts, indexed.has_time
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
cross join lateral (
    select array_agg(a.attname::text) as names
    from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
) as columns
cross join lateral (
    select
        array_agg(distinct a.attname::text) filter (where a.atttypid = 'text'::regtype) as texts,
        coalesce(bool_or(a.attname = 'time'), false) as has_time
    from pg_index as i
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = c.oid
) as indexed
where n.nspname = %(schema)s and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""

# No index holds partition and offset: rows are found by what the event says of their key.
_ROWS = sql.SQL("""
select t."offset", {written}
from json_to_recordset(%(keys)s)
    as k ("offset" bigint, appended timestamptz, "time" timestamptz{texts})
join {table} as t on t."partition" = %(partition)s and t."offset" = k."offset"{conditions}
""")
_TEXT = sql.SQL(", {name} text")
_SAME = sql.SQL(" and t.{name} = k.{name}")
# Tables may keep a time less finely than the event, or more so, from another channel.
_CONDITIONS = {
    "topic": sql.SQL(" and t.topic = %(topic)s"),
    "appended": sql.SQL(" and t.appended = k.appended"),
    "time": sql.SQL(
        """
    and t."time" between k."time" - interval '1 second' and k."time" + interval '1 second'
"""
    ),
}


@dataclass(frozen=True)
class Commit:
    """When the unit was committed: exactly, or at the latest.

    `by` names what tells it: a table with a row of the record, else the place of a record behind
    it, or the checkpoint.
    """

    time: datetime
    exact: bool
    by: str


@dataclass(frozen=True)
class Projected:
    """What became of one record in one projection.

    `tables` name the record; `lag` is how many records the projection must read to have it, None
    where it has not taken over the partition; `commit` is None where it is not known, `remarks`
    say why.
    """

    projection: str
    generation: int
    state: State
    tables: Sequence[str] = ()
    error: str | None = None
    lag: int | None = None
    commit: Commit | None = None
    remarks: Sequence[str] = ()


class _Generation(NamedTuple):
    """A current generation and its checkpoint of the record's partition, where it has one."""

    projection: str
    number: int
    created: datetime
    checkpoint: _Checkpoint | None


class _Checkpoint(NamedTuple):
    topic_id: str
    next_offset: int
    written: datetime | None


class _DeadLetter(NamedTuple):
    """Written again once its copy was sent, so that its time is never exact."""

    error: str
    outcome: str | None
    done: datetime | None
    written: datetime | None


class _Table(NamedTuple):
    """A table whose rows name their records, and the columns by which they are found quickly."""

    schema: str
    name: str
    columns: frozenset[str]
    indexed_texts: Sequence[str]
    has_indexed_time: bool


class _Row(NamedTuple):
    """A row that names a record, and when it was last written, where that is known."""

    table: str
    offset: int
    written: datetime | None


def find_commits(
    connection: Connection, record: LoggedRecord, followers: Sequence[LoggedRecord], topic_id: str
) -> list[Projected]:
    """What became of a record in each projection that reads its topic, in the current generations.

    `followers` are the next records of its partition, `topic_id` is the broker's.
    """
    connection.execute(BY_INDEX)
    tracked = connection.execute(_TRACKED).fetchone() == (True,)
    reader = _Reader(connection, record, followers, topic_id, tracked)
    return [reader.projected(generation) for generation in reader.generations()]


@dataclass(frozen=True)
class _Reader:
    connection: Connection
    record: LoggedRecord
    followers: Sequence[LoggedRecord]
    topic_id: str
    tracked: bool

    @property
    def written(self) -> sql.Composable:
        """SQL: when the row `t` was last written, if that is known."""
        return _COMMITTED if self.tracked else _UNKNOWN

    def generations(self) -> list[_Generation]:
        """Those that read the record's topic."""
        place = self.record.place
        query = _GENERATIONS.format(written=self.written)
        asked = {"topic": place.topic, "partition": place.partition}
        return [
            _Generation(name, number, created, None if rest[0] is None else _Checkpoint(*rest))
            for name, number, created, *rest in self._all(query, asked)
        ]

    def projected(self, generation: _Generation) -> Projected:
        """What became of the record there."""
        offset = self.record.place.offset
        name, number, created, checkpoint = generation
        if checkpoint is None:
            return Projected(name, number, "waiting")
        if checkpoint.topic_id != self.topic_id:
            remark = "the topic was made anew since; its checkpoint is of the one before"
            return Projected(name, number, "waiting", remarks=[remark])
        if checkpoint.next_offset <= offset:
            return Projected(name, number, "waiting", lag=offset + 1 - checkpoint.next_offset)
        dead = self._dead_letter(name)
        rows = self._rows(generation, [self.record, *self.followers])
        own = [row for row in rows if row.offset == offset]
        behind = [row for row in rows if row.offset > offset]
        commit = self._commit(own, behind, dead, checkpoint)
        remarks = list(self._remarks(own, created))
        if dead is not None and dead.done is not None:
            remarks.append(
                f"the dead letter was {dead.outcome} at {dead.done:%Y-%m-%d %H:%M:%S} UTC"
            )
        return Projected(
            name,
            number,
            "dead letter" if dead else "row" if own else "no row",
            tables=[row.table for row in own],
            error=dead.error if dead else None,
            commit=commit,
            remarks=remarks,
        )

    def _commit(
        self,
        own: Sequence[_Row],
        behind: Sequence[_Row],
        dead: _DeadLetter | None,
        checkpoint: _Checkpoint,
    ) -> Commit | None:
        """The earliest that is known; exact where it is the record's own, not written again."""
        place = self.record.place
        limits = [(row.written, row.table) for row in own]
        if dead is not None:
            limits.append((dead.written, "dead_letters"))
        limits += [(row.written, str(replace(place, offset=row.offset))) for row in behind]
        limits.append((checkpoint.written, "the checkpoint"))
        known = [(time, by) for time, by in limits if time is not None]
        if not known:
            return None
        time, by = min(known, key=itemgetter(0))
        is_own = any(row.table == by for row in own)
        return Commit(time, is_own and self._stands(time, behind, checkpoint), by)

    def _stands(self, time: datetime, behind: Sequence[_Row], checkpoint: _Checkpoint) -> bool:
        """Whether the record's row, last written at this time, cannot have been written again.

        What writes it again is a later record of the same kind and key, whose own row it is then
        not; and if that came behind all that is looked at, their rows would be older.
        """
        rows = {row.offset for row in behind}
        projected = [one for one in self.followers if one.place.offset < checkpoint.next_offset]
        kind = _kind(self.record)
        if any(one.place.offset not in rows and _kind(one) == kind for one in projected):
            return False
        seen_all = self.record.place.offset + len(projected) + 1 == checkpoint.next_offset
        return seen_all or any(row.written and row.written > time for row in behind)

    def _remarks(self, own: Sequence[_Row], created: datetime) -> Iterator[str]:
        if not self.tracked:
            yield (
                "the database keeps no commit times: `alter system set track_commit_timestamp = "
                "on`, and start it anew"
            )
        elif own and all(row.written is None for row in own):
            yield (
                "the commit time of its row is not kept any more, or never was: it is older than "
                "what the database froze, or than track_commit_timestamp"
            )
        if created > moment(self.record.appended * 1000):
            yield f"the tables were made after it was appended, at {created:%Y-%m-%d %H:%M:%S} UTC"

    def _dead_letter(self, projection: str) -> _DeadLetter | None:
        place = self.record.place
        asked = {
            "projection": projection,
            "topic_id": self.topic_id,
            "partition": place.partition,
            "offset": place.offset,
        }
        found = self._all(_DEAD_LETTER.format(written=self.written), asked)
        return _DeadLetter(*found[0]) if found else None

    def _rows(self, generation: _Generation, records: Sequence[LoggedRecord]) -> list[_Row]:
        """The rows of these records, which are of one partition."""
        schema = schema_name(generation.projection, generation.number)
        by_model: dict[type[Event], list[tuple[LoggedRecord, Event]]] = {}
        for record in records:
            event = _event(record)
            if event is not None:
                by_model.setdefault(type(event), []).append((record, event))
        return [
            _Row(table.name, offset, written)
            for table in self._tables(schema)
            for model, some in by_model.items()
            for offset, written in self._rows_in(table, model, some)
        ]

    def _tables(self, schema: str) -> list[_Table]:
        """The tables of a generation whose rows name the record that they are of.

        Where the topic is not among the columns, the append time tells its records from others.
        """
        found = [
            _Table(schema, name, frozenset(columns), texts or (), timed)
            for name, columns, texts, timed in self._all(_TABLES, {"schema": schema})
        ]
        return [
            table
            for table in found
            if table.columns >= {"partition", "offset"} and table.columns & {"topic", "appended"}
        ]

    def _rows_in(
        self, table: _Table, model: type[Event], some: Sequence[tuple[LoggedRecord, Event]]
    ) -> list[tuple[Any, ...]]:
        """Offset and last writing of the rows of events of one model."""
        texts = [
            name
            for name in table.indexed_texts
            if name in model.model_fields
            and all(isinstance(getattr(event, name), str) for _, event in some)
        ]
        conditions: list[sql.Composable] = [
            _SAME.format(name=sql.Identifier(name)) for name in texts
        ]
        conditions += [_CONDITIONS[name] for name in ("topic", "appended") if name in table.columns]
        if table.has_indexed_time and "time" in model.model_fields:
            conditions.append(_CONDITIONS["time"])
        query = _ROWS.format(
            written=self.written,
            texts=sql.SQL("").join(_TEXT.format(name=sql.Identifier(name)) for name in texts),
            table=sql.Identifier(table.schema, table.name),
            conditions=sql.SQL("").join(conditions),
        )
        keys = [_key(record, event, texts) for record, event in some]
        place = self.record.place
        asked = {"topic": place.topic, "partition": place.partition, "keys": json.dumps(keys)}
        return self._all(query, asked)

    def _all(self, query: LiteralString | sql.Composed, asked: Mapping[str, Any]) -> list[Any]:
        return self.connection.execute(query, asked).fetchall()


def _key(record: LoggedRecord, event: Event, texts: Iterable[str]) -> dict[str, Any]:
    time: int | None = getattr(event, "time", None)
    return {
        "offset": record.place.offset,
        "appended": moment(record.appended * 1000).isoformat(),
        "time": None if time is None else moment(time).isoformat(),
        **{name: getattr(event, name) for name in texts},
    }


def _kind(record: LoggedRecord) -> tuple[bytes | None, str]:
    """Its key and its event's name: versions of one event write the same rows."""
    return record.key, (record.attribute("ce_type") or "").rpartition(".v")[0]


def _event(record: LoggedRecord) -> Event | None:
    try:
        return decode(record.value, record.headers)
    except DecodeError:
        return None
