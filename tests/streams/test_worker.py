"""The worker process: several apps in one, how it ends, and what it says then.

Run as a program, this module is a worker of two projections of its own: see `main`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from projections import PROJECTIONS
from projections.base import Connection, EventProjection, Recorded
from projections.migrations import migrate
from streams import cli
from streams import worker as worker_module
from streams.app import Rules
from streams.embedded.stack import StackInfo
from streams.events import PriceTrade, encode
from streams.settings import Endpoints
from streams.worker import CUT_OFF, REFUSED, Worker
from tests.processes.forked import Forked
from tests.projections.registered import registered

#: The trade at which the second projection hangs, where it is told to.
TRIGGER = 50


class Seen(EventProjection):
    """Trade ids, without a key: what were projected twice would show."""

    version = 1
    mode = "sound"

    @classmethod
    def sql_path(cls) -> Path:
        path = Path(tempfile.gettempdir()) / f"{cls.name}-{secrets.token_hex(4)}.sql"
        path.write_text(f"create table {cls.name}_seen (trade_id text not null)")
        return path

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        found = [fact.event.trade_id for fact in facts if isinstance(fact.event, PriceTrade)]
        if str(TRIGGER) in found and self.mode == "hangs":
            await asyncio.Event().wait()
        statement = f"insert into {self.name}_seen select unnest(%s::text[])"
        await connection.execute(statement.encode(), [found])


def projections_of(names: list[str], topic: str, mode: str) -> list[Any]:
    return [
        type(
            "Own",
            (Seen,),
            {
                "name": name,
                "topics": (topic,),
                "tables": (f"{name}_seen",),
                "mode": mode if number else "sound",
                "version": 2 if number and mode == "refuses" else 1,
            },
        )()
        for number, name in enumerate(names)
    ]


def main() -> None:
    """Arguments: MODE TOPIC BROKERS DSN NAME NAME; the mode is the second projection's."""
    mode, topic, brokers, dsn, *names = sys.argv[1:]
    if mode == "hangs":
        worker_module.STOP_DEADLINE = 1.0
    own = projections_of(names, topic, mode)
    sys.exit(Worker(own, Endpoints(brokers, {}, dsn, True, True), Rules()).run())


@dataclass(frozen=True)
class Place:
    topic: str
    brokers: str
    dsn: str
    names: tuple[str, str]

    def command(self, mode: str) -> list[str]:
        arguments = [mode, self.topic, self.brokers, self.dsn, *self.names]
        return [sys.executable, "-m", "tests.streams.test_worker", *arguments]

    def seen(self, which: int) -> list[int]:
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(f"select trade_id from {self.names[which]}_seen".encode())
            return sorted(int(name) for (name,) in found)

    def produce(self, first: int, last: int) -> None:
        asyncio.run(self._produce(first, last))

    async def _produce(self, first: int, last: int) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.brokers) as producer:
            for number in range(first, last):
                record = encode(trade(number))
                await producer.send(self.topic, record.value, record.key, headers=record.headers)


def trade(number: int) -> PriceTrade:
    return PriceTrade(
        venue="coinbase",
        symbol=f"S{number % 5}-USD",
        trade_id=str(number),
        price=Decimal(1),
        size=Decimal(1),
        side="buy",
        time=1_700_000_000_000_000,
        sequence=None,
        received=1_700_000_000_000_000,
    )


@pytest.fixture
def place(stack: StackInfo, dsn: str) -> Place:
    unique = secrets.token_hex(4)
    own = Place(f"worker-{unique}", stack.brokers, dsn, (f"first_{unique}", f"second_{unique}"))
    client = AdminClient({"bootstrap.servers": own.brokers})
    client.create_topics([NewTopic(own.topic, 2)])[own.topic].result()
    asyncio.run(migrate(dsn, registered(*projections_of(list(own.names), own.topic, "sound"))))
    return own


@contextmanager
def started(place: Place, mode: str) -> Iterator[subprocess.Popen[str]]:
    process = Forked[str](place.command(mode), stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    """A generous limit: it ends a test that hangs, it measures nothing."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_projections_in_one_process_each_see_everything_and_stop_cleanly(
    place: Place, number: signal.Signals
) -> None:
    place.produce(0, 40)
    with started(place, "sound") as process:
        wait_for(lambda: all(len(place.seen(which)) == 40 for which in (0, 1)))
        place.produce(40, 80)
        wait_for(lambda: all(len(place.seen(which)) == 80 for which in (0, 1)))
        process.send_signal(number)
        assert process.wait(60) == 0
    assert place.seen(0) == place.seen(1) == list(range(80))


def test_a_refusal_of_one_projection_ends_the_process_with_its_reason(place: Place) -> None:
    place.produce(0, 80)
    with started(place, "refuses") as process:
        _, said = process.communicate(timeout=90)
        assert process.returncode == REFUSED
    reason = f"tape: {place.names[1]}: the tables are of version 1, this program is of version 2"
    assert reason in said
    assert said.count("tape: ") == 1
    assert "Traceback" not in said
    assert place.seen(1) == []


def test_a_unit_that_hangs_does_not_keep_the_process_from_leaving(place: Place) -> None:
    place.produce(0, 80)
    with started(place, "hangs") as process:
        wait_for(lambda: place.seen(0) == list(range(80)))
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) in {0, CUT_OFF}
    assert TRIGGER not in place.seen(1)
    with started(place, "sound"):
        wait_for(lambda: len(place.seen(1)) >= 80)
    assert place.seen(0) == place.seen(1) == list(range(80))


def test_a_projection_that_does_not_exist_is_named_beside_those_that_do() -> None:
    result = CliRunner().invoke(cli.app, ["worker", "nothing"])
    assert result.exit_code != 0
    said = f"there is no projection nothing; there are: {', '.join(PROJECTIONS)}"
    assert said in f"{result.output}{result.exception}"


if __name__ == "__main__":
    main()
