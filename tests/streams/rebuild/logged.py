"""A stack of the tests' own, whose log is projected in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from aiokafka.partitioner import DefaultPartitioner
from psycopg.rows import dict_row

from projections import PROJECTIONS
from projections.migrations import migrate
from projections.unit import Projector
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.events import EncodedEvent, Event, encode
from streams.log import LogReader
from streams.producer import Producer
from streams.rebuild.source import find_source
from streams.settings import Endpoints
from streams.topics import ensure_topics
from streams.tracing import Place
from tests.projections.registered import registered
from tests.streams.tape import Tape

Row = dict[str, Any]


class Logged:
    """The stack, `tape` on it, and what lies in its tables and topics."""

    def __init__(self, home: Home) -> None:
        info = embedded.start(home.path)
        self.home = home
        self.tape = Tape(TAPE_HOME=str(home.path))
        self.endpoints = Endpoints(info.brokers, {}, info.dsn, True, True)
        ensure_topics(self.endpoints)
        asyncio.run(migrate(info.dsn, registered()))

    def send(self, events: Iterable[Event | EncodedEvent]) -> None:
        """Append events, in order: each is acknowledged before the next."""

        async def run() -> None:
            async with Producer(self.endpoints) as producer:
                for event in events:
                    record = encode(event) if isinstance(event, Event) else event
                    await producer.send_record(record)
                    await producer.flush()

        asyncio.run(run())

    def project(self, *names: str) -> None:
        """Bring the live tables up to the end of the log."""
        for name in names or PROJECTIONS:
            asyncio.run(project(name, self.endpoints))

    def add(self, name: str, *events: Event | EncodedEvent) -> None:
        """Append events, and project them."""
        self.send(events)
        self.project(name)

    def query(self, statement: str, *values: object) -> list[Row]:
        with psycopg.connect(
            self.endpoints.dsn, autocommit=True, options="-c timezone=UTC", row_factory=dict_row
        ) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def records(self, topic: str) -> dict[str, list[tuple[Place, int]]]:
        """Where the records of each event id stand, and when they were appended (ms)."""
        return asyncio.run(records_of(topic, self.endpoints))


async def records_of(topic: str, at: Endpoints) -> dict[str, list[tuple[Place, int]]]:
    (name,) = (one for one in PROJECTIONS if topic in PROJECTIONS[one].topics)
    bounds = (await find_source(PROJECTIONS[name](), at)).bounds
    mine = {part: found for part, found in bounds.items() if part.topic == topic}
    places: dict[str, list[tuple[Place, int]]] = {}
    async with LogReader.open(at) as reader:
        starts = {part: first for part, (first, _) in mine.items()}
        async for batches in reader.read(
            starts, {part: end for part, (_, end) in mine.items()}, 500
        ):
            for batch in batches:
                for record in batch.records:
                    event_id = (dict(record.headers)["ce_id"] or b"").decode()
                    place = Place(*batch.source, record.offset)
                    places.setdefault(event_id, []).append((place, record.timestamp))
    return places


async def project(name: str, at: Endpoints) -> None:
    """One pass of a worker: claim, and commit units up to the log's end as it is now."""
    projector = Projector(PROJECTIONS[name](), at.dsn)
    try:
        await projector.claim((await find_source(projector.projection, at)).starts)
        async with LogReader.open(at) as reader:
            await follow(projector, reader)
    finally:
        await projector.close()


async def follow(projector: Projector, reader: LogReader) -> None:
    """Commit units up to the log's end as it is now."""
    starts = {part: one.next_offset for part, one in projector.claims.items()}
    untils = {part: end for part, (_, end) in (await reader.bounds(starts)).items()}
    async for batches in reader.read(starts, untils, 500):
        await projector.commit(batches)


def partition_of(key: str, partitions: Sequence[int] = range(4)) -> int:
    """The partition that a Kafka key leads to."""
    return int(DefaultPartitioner()(key.encode(), list(partitions), list(partitions)))
