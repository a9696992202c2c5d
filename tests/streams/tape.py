"""`tape` as a user runs it, what it leaves in Kafka, and tables of trades to run it on."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from psycopg import sql

from projections.migrations import migrate
from streams.events import Event, decode
from tests.processes.forked import Forked
from tests.projections.registered import registered

ROOT = Path(__file__).parents[2]
MAIN = "kalshi/prod/main/0"
MARKET = "KXBTCD-25AUG0619-T114749.99"

_TRADE: Mapping[str, Any] = {
    "id": 1,
    "account": MAIN,
    "ticker": MARKET,
    "status": "open",
    "asked_at": datetime(2025, 8, 6, 22, 10, tzinfo=UTC),
    "side": "yes",
    "requested": Decimal(10),
    "position": Decimal(10),
    "held": Decimal(10),
    "canceled": Decimal(0),
    "fees": Decimal(0),
    "fee_estimated": False,
    "origin": "native",
}
_FILL: Mapping[str, Any] = {
    "account": MAIN,
    "part": 0,
    "ticker": MARKET,
    "role": "open",
    "time": datetime(2025, 8, 6, 22, 11, tzinfo=UTC),
    "side": "yes",
    "fee": Decimal(0),
    "fee_source": "fill",
}
_PIPES: Mapping[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


class Tape:
    """Runs `tape` with these settings, and without the caller's own."""

    def __init__(self, **settings: str) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAPE_", "POSTGRES_"))
        }
        self._environment = inherited | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | settings

    def start(self, *words: object, **settings: str) -> subprocess.Popen[str]:
        return Forked(_command(words), env=self._environment | settings, **_PIPES)

    def start_apart(self, *words: object, **settings: str) -> subprocess.Popen[str]:
        """In an interpreter of its own: all the memory that it has it asked for itself."""
        return subprocess.Popen(_command(words), env=self._environment | settings, **_PIPES)

    def run(self, *words: object, **settings: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        with self.start(*words, **settings) as process:
            output, errors = process.communicate(timeout=120)
            return process.returncode, output, errors

    def output(self, *words: object, **settings: str) -> str:
        """The standard output of what has to succeed, without a word on standard error."""
        status, output, errors = self.run(*words, **settings)
        assert (status, errors) == (0, "")
        return output

    def complaint(self, *words: object, **settings: str) -> str:
        """What a user's mistake is answered with."""
        status, output, errors = self.run(*words, **settings)
        assert (status, output) == (2, "")
        assert "Traceback" not in errors
        return errors


def _command(words: Iterable[object]) -> list[str]:
    return [sys.executable, "-c", "from streams.cli import main; main()", *map(str, words)]


async def records_of(
    brokers: str, topic: str, key: str, partitions: int = 4
) -> list[ConsumerRecord]:
    """The records of this key that are in the topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    async with consumer:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        found: list[ConsumerRecord] = []
        for partition in assigned:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=1000)
                found += [one for one in batch.get(partition, []) if one.key == key.encode()]
    return found


async def events_of(brokers: str, topic: str, key: str) -> list[Event]:
    """The events of this key that are in the topic now."""
    return [decode(one.value, one.headers) for one in await records_of(brokers, topic, key)]


async def make_tables(dsn: str) -> None:
    """The tables and views of a database, as `tape db migrate` makes them."""
    await migrate(dsn, registered())


def add_trade(dsn: str, ticket_id: str, **columns: Any) -> None:
    """A row of `trades`, as if a worker had written it."""
    _insert(dsn, "trades", {"ticket_id": ticket_id, **_TRADE, **columns})


def add_fill(dsn: str, trade_id: str, ticket_id: str, **columns: Any) -> None:
    """A row of `trade_fills`, as if a worker had written it."""
    _insert(dsn, "trade_fills", {"trade_id": trade_id, "ticket_id": ticket_id, **_FILL, **columns})


def add_row(dsn: str, view: str, **columns: Any) -> None:
    """A row of any table that has a stable name."""
    _insert(dsn, view, columns)


def execute(dsn: str, statement: str, *values: Any) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), values or None)


def _insert(dsn: str, view: str, row: Mapping[str, Any]) -> None:
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(view),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement, list(row.values()))
