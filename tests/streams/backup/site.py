"""A stack with a log of all projections, projected and backed up, whose parts are lost in tests."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from projections import PROJECTIONS
from projections.base import Projection
from projections.builder import Builder
from projections.migrations import migrate
from streams.admin import Broker
from streams.cli import app
from streams.embedded import kafka
from streams.embedded.home import Home
from streams.embedded.postgres import DATABASE
from streams.events import EncodedEvent, Event, encode
from streams.events.catalogue import TOPICS
from streams.producer import Producer
from streams.rebuild import building, loader, run
from tests.projections.registered import registered
from tests.streams.rebuild import told
from tests.streams.rebuild.logged import Logged
from tests.streams.rebuild.stage import OPERATOR, Quiet

#: What no projection can use.
GARBAGE = EncodedEvent(
    "price.ticks",
    b"coinbase:BTC-USD",
    b"{",
    [("ce_id", b"garbage"), ("ce_type", b"price.trade.v1")],
)
LETTERS = """
select projection, topic, partition, "offset", key, value, headers::text, error, appended
from dead_letters
order by 1, 2, 3, 4
"""


class Site(Logged):
    """`contents` is what must be equal after a loss; `backups` is where they are taken."""

    def __init__(self, home: Home, backups: Path) -> None:
        super().__init__(home)
        self.backups = backups
        self.endpoints = dataclasses.replace(self.endpoints, archive=str(home.path / "archive"))
        self.prices = 0
        self.send([*told.account(), *told.market(), GARBAGE])
        self.more(300)

    def send(self, events: Iterable[Event | EncodedEvent]) -> None:
        """Appends events, in order per key."""

        async def run() -> None:
            async with Producer(self.endpoints) as producer:
                for event in events:
                    record = encode(event) if isinstance(event, Event) else event
                    await producer.send_record(record)
                await producer.flush()

        asyncio.run(run())

    def more(self, count: int) -> None:
        """Appends so many further trades, and projects all that waits."""
        self.append(count)
        self.project()

    def append(self, count: int) -> None:
        numbers = range(self.prices, self.prices + count)
        self.prices += count
        self.send([told.price(10 + number, trade_id=f"n{number}") for number in numbers])

    def contents(self) -> dict[str, Any]:
        """The rows of every table, and what no projection could use."""
        found: dict[str, Any] = {"dead letters": self.query(LETTERS)}
        for projection in PROJECTIONS.values():
            for table in projection.kafka_keys:
                rows = self.query(
                    f"select (to_jsonb(t) - %s::text[])::text as row from {table} as t order by 1",
                    sorted(projection.uncompared),
                )
                found[table] = [row["row"] for row in rows]
        return found

    def places(self) -> list[dict[str, Any]]:
        """Where the live generations stand."""
        return self.query(
            "select projection, topic, partition, next_offset from checkpoints"
            " join generations using (projection, generation) where is_current order by 1, 2, 3"
        )

    def run(self, *words: object, **settings: str) -> Result:
        """`tape` in this process, which is quicker than to start one."""
        own = {"TAPE_HOME": str(self.home.path), **settings}
        return CliRunner(env=own).invoke(app, list(map(str, words)))

    def output(self, *words: object) -> str:
        """What it prints where it has to succeed."""
        result = self.run(*words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def told(self, *words: object) -> dict[str, Any]:
        """The same, as it tells it to programs."""
        found: dict[str, Any] = json.loads(self.output(*words, "--json"))
        return found

    def back_up(self) -> dict[str, Any]:
        return self.told("backup", "--to", self.backups)

    def lose_broker(self) -> None:
        """Its disk is empty after this."""
        kafka.stop(self.home, deadline_s=0)
        shutil.rmtree(self.home.kafka_folder / "data")
        kafka.start(self.home)

    def lose_topics(self) -> None:
        """As if the broker were lost, which takes longer."""
        broker = Broker(self.endpoints)
        admin = AdminClient({"bootstrap.servers": self.endpoints.brokers, "log_level": 0})
        names = [spec.name for spec in TOPICS]
        for future in admin.delete_topics(names).values():
            future.result(30)
        while broker.describe(names):  # the controller answers first
            pass

    def lose_database(self) -> None:
        """It is empty after this."""
        with psycopg.connect(self.home.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {DATABASE} with (force)".encode())
            connection.execute(f"create database {DATABASE}".encode())

    def migrate(self) -> None:
        asyncio.run(migrate(self.endpoints.dsn, registered()))

    def rebuild(self, patch: pytest.MonkeyPatch, *names: str, **wishes: Any) -> None:
        """Rebuilds these, or all, in this process, which is quicker than to start some."""
        patch.setattr(building, "load_all", self._load_all)
        for name in names or PROJECTIONS:
            asyncio.run(run.rebuild(name, self.endpoints, run.Wishes(OPERATOR, **wishes), Quiet()))

    async def _load_all(self, task: loader.Task, loaded: Any) -> None:
        projection: Projection[Any] = PROJECTIONS[task.projection]()
        async with Builder(projection, self.endpoints.dsn, task.generation) as builder:
            await loader.load(task, builder, self.endpoints)
