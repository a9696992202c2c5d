"""A stack of a module's own, whose topics are filled once and projected in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from projections import PROJECTIONS
from projections.base import Partition
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
from tests.projections.registered import registered
from tests.streams.tape import Tape

Row = dict[str, Any]


class Logged:
    """The stack, `tape` on it, and what lies in its tables."""

    def __init__(self, home: Home) -> None:
        info = embedded.start(home.path)
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

    def query(self, statement: str, *values: object) -> list[Row]:
        with psycopg.connect(
            self.endpoints.dsn, autocommit=True, options="-c timezone=UTC", row_factory=dict_row
        ) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def tables(self, name: str) -> Mapping[str, list[Row]]:
        """All that a projection wrote, in a comparable order."""
        return {
            table: sorted(self.query(f"select * from {table}"), key=repr)
            for table in PROJECTIONS[name].kafka_keys
        }


async def project(name: str, at: Endpoints, at_once: int = 500) -> None:
    """One pass of a worker: claim, and commit units up to the log's end as it is now."""
    projector = Projector(PROJECTIONS[name](), at.dsn)
    source = await find_source(projector.projection, at)
    claims = await projector.claim(source.starts)
    starts: dict[Partition, int] = {part: one.next_offset for part, one in claims.items()}
    untils = {part: until for part, (_, until) in source.bounds.items()}
    try:
        async with LogReader.open(at) as reader:
            async for batches in reader.read(starts, untils, at_once):
                await projector.commit(batches)
    finally:
        await projector.close()
