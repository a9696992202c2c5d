"""What a projection is: a pure function of the log, from records to rows.

A subclass names its topics and its tables, says how records become facts (`decode`) and how facts
become rows (`write`). It never reads the clock, draws a random number or talks to a network: the
same class runs live, in a rebuild and in a test. Adding one is a module, an SQL file
(`sql/projections/<name>.sql`), a test, and a line in `projections/__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from psycopg import AsyncConnection

from streams.events import DecodeError, Event, Unparsed, decode
from streams.events.types import LATEST_AHEAD

#: The folder of all SQL: migrations, projections, views.
SQL = Path(__file__).parent.parent / "sql"

Connection = AsyncConnection[Any]

#: A unit of at most so many records is small: what pays only for many is not done for it. It is
#: tried at once, in one round trip to the server, and decoded without a thread.
SMALL_UNIT = 64
#: Fields of events that say when something happened, and so cannot lie ahead.
_EVENT_TIMES = ("time", "created", "updated", "finalized")
F = TypeVar("F")


class Record(Protocol):
    """A Kafka record as the transport delivers it; `timestamp` is the append time in ms."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in offset order."""

    source: Partition
    records: Sequence[Record]


def count_records(batches: Iterable[Batch]) -> int:
    """How many records these batches hold together."""
    return sum(len(batch.records) for batch in batches)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that cannot be projected, and why."""

    source: Partition
    record: Record
    error: str
    #: It belongs to a period that is closed, of which all that is written stays as it is.
    is_closed: bool = False


@dataclass(slots=True)
class Decoded(Generic[F]):
    """What became of some batches: the facts, and the records that are none."""

    facts: F
    refused: list[Refused] = field(default_factory=list)


class OutOfPlace(Exception):
    """A record cannot be written behind later ones of its partition; the message says why."""


class Projection(ABC, Generic[F]):
    """A set of tables that is a function of some topics. See the module's docstring."""

    #: Names the consumer group, the schema of each generation, and the SQL file.
    name: ClassVar[str]
    #: Changes with the tables or the rules; a generation of another version is never written to.
    version: ClassVar[int]
    topics: ClassVar[tuple[str, ...]]
    #: The tables that get a stable name, a view of that name over the current generation.
    tables: ClassVar[tuple[str, ...]]
    #: Of each table whose rows come from records: an SQL expression, over the row's columns, for
    #: the Kafka key of these. What only organises the others (a register of months) is not there.
    kafka_keys: ClassVar[Mapping[str, str]]
    #: A query for Kafka keys on whose records too the rows of the Kafka keys `keys` depend.
    related_keys: ClassVar[str | None] = None
    #: Columns that tell where or when a fact was first met, and not what it says: the same log in
    #: another order of partitions may give others. They are not compared.
    uncompared: ClassVar[frozenset[str]] = frozenset({"topic", "partition", "offset"})
    #: Those of them that get their keys and indexes after loading, in a rebuild. `load` must not
    #: rely on these, and `derive` settles what they would have refused.
    bulk_tables: ClassVar[tuple[str, ...]] = ()
    #: Where its tables hold only what is younger than so many days, which its topics keep: then it
    #: needs no history from offset 0 on, and passes over what the log no longer has. Its tables
    #: have a column `appended` each. None: it needs every record that there ever was.
    keeps_days: ClassVar[int | None] = None

    #: The family of its locks, where it is not the projection's name: of tables that are not live.
    lock_family: str | None = None

    @property
    def locks(self) -> str:
        """The family of the locks on its keys: see projections.locks."""
        return self.lock_family or self.name

    @classmethod
    def sql_path(cls) -> Path:
        """The SQL file that makes the tables, run in the schema of a generation."""
        return SQL / "projections" / f"{cls.name}.sql"

    @classmethod
    def of_keys(cls, table: str) -> str:
        """An SQL condition: the rows of a table that come from records with the Kafka keys `keys`.

        Without those that are final, for the log's records cannot make them again.
        """
        return f"({cls.kafka_keys[table]}) = any(%(keys)s)"

    @abstractmethod
    def decode(self, batches: Sequence[Batch]) -> Decoded[F]:
        """Facts and refused records. Pure, and never raises for what a record holds.

        Large units are decoded in a thread, while the unit before is being written.
        """

    async def prepare(
        self, connection: Connection, batches: Sequence[Batch], decoded: Decoded[F]
    ) -> Decoded[F]:
        """What must happen outside the unit of work, such as attaching a table's partition.

        `decoded` came from `batches`. `connection` is in autocommit mode, its search path is the
        generation's schema. Returns what is to be written, which may refuse more.
        """
        return decoded

    def is_ready(self, facts: F) -> bool:
        """Whether these may be written at once, without `prepare` and with hope that none fails."""
        return type(self).prepare is Projection.prepare

    def forget(self) -> None:
        """Remember nothing of the tables: partitions are claimed, maybe of another generation."""

    async def close_like(self, connection: Connection, live: str) -> None:
        """Close the periods that the generation in the schema `live` has closed.

        `connection` as for `prepare`.
        """

    async def maintain(self, connection: Connection, history_days: int | None) -> None:
        """What is due now and then outside of units, such as detaching old partitions.

        `connection` as for `prepare`. Days are counted by append times, back from the newest;
        None keeps the history whole.
        """

    async def hold_periods(self, connection: Connection) -> None:
        """Keep `maintain` from closing any period until the transaction of the caller ends."""

    async def erase(self, connection: Connection, keys: Sequence[str]) -> int:
        """Delete the rows of `of_keys`, which are to be written anew; returns how many.

        In the transaction of the caller, who holds the locks of these keys.
        """
        deleted = 0
        for table in self.kafka_keys:
            statement = f"delete from {table} where {self.of_keys(table)}"
            deleted += (await connection.execute(statement.encode(), {"keys": keys})).rowcount
        return deleted

    @abstractmethod
    async def write(self, connection: Connection, facts: F) -> None:
        """Write the facts and all that is derived from them, in the transaction of the caller.

        A small unit is tried at once first: the connection is then in pipeline mode, where errors
        and results come later (to ask for a result costs a round trip) and COPY is not supported.
        Where that fails, the same facts come again, outside of pipeline mode and under a savepoint.
        """

    async def load(self, connection: Connection, facts: F) -> None:
        """Write the facts into a generation that nobody reads yet; `derive` may do the rest.

        Several processes load at once, each some partitions. Never in pipeline mode.
        """
        await self.write(connection, facts)

    async def settle(self, connection: Connection) -> None:
        """Make the bulk tables fit for their keys, which they would not get as they are."""

    async def derive(self, connection: Connection) -> None:
        """Write what `load` left out, once all is loaded; in the transaction of the caller."""

    async def write_late(self, connection: Connection, facts: F) -> None:
        """Write the facts of one record behind later ones of its partition: of a dead letter.

        In the transaction of the caller, which keeps live units of that partition out.
        Where any order comes to the same rows, as here, this is `write`. Raises OutOfPlace, and
        has written nothing, where a row would not be as if the record had come in its place.
        """
        await self.write(connection, facts)


class Recorded(NamedTuple):
    """An event and where in the log it stands; `appended` in milliseconds since 1970 UTC."""

    source: Partition
    offset: int
    appended: int
    event: Event


@cache
def _times_of(model: type[Event]) -> tuple[str, ...]:
    return tuple(name for name in _EVENT_TIMES if name in model.model_fields)


def read_event(record: Record, topics: Collection[str] | None = None) -> Event:
    """The event of a record, if a projection may use it.

    Raises DecodeError for what is no event, for a frame that a connector could not read, for a time
    that is more than a day ahead of the record's appending, and for an event of none of `topics`.
    """
    event = decode(record.value, record.headers)
    if isinstance(event, Unparsed):
        raise DecodeError(f"a frame that the connector could not read: {event.error}")
    for name in _times_of(type(event)):
        time: int | None = getattr(event, name)
        if time is not None and time > record.timestamp * 1000 + LATEST_AHEAD:
            raise DecodeError(f"{name}: more than a day after the record was appended")
    if topics is not None and event.topic not in topics:
        raise DecodeError(f"{event.ce_type()} belongs to the topic {event.topic}")
    return event


def read_events(
    batches: Sequence[Batch], topics: Collection[str] | None = None
) -> Decoded[list[Recorded]]:
    """The events of these batches, one by one, and the records that `read_event` refuses."""
    decoded: Decoded[list[Recorded]] = Decoded([])
    for batch in batches:
        for record in batch.records:
            try:
                event = read_event(record, topics)
            except DecodeError as error:
                decoded.refused.append(Refused(batch.source, record, str(error)))
            else:
                decoded.facts.append(Recorded(batch.source, record.offset, record.timestamp, event))
    return decoded


class EventProjection(Projection[list[Recorded]]):
    """A projection that takes its events one by one: all but those of very high volume."""

    def decode(self, batches: Sequence[Batch]) -> Decoded[list[Recorded]]:
        return read_events(batches)
