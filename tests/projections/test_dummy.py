"""Adding a projection takes a module, an SQL file and a registration: shown with a dummy one."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic

from projections import PROJECTIONS
from projections.base import Projection
from projections.migrations import migrate
from projections.unit import Projector
from streams.embedded.stack import StackInfo
from streams.events import encode
from streams.worker import REFUSED
from tests.processes.forked import ROOT, Forked, run
from tests.projections.dummy import tally
from tests.projections.dummy.tally import Tally
from tests.projections.logs import claim, log_of, rows, trade
from tests.projections.registered import registered


@dataclass(frozen=True)
class Place:
    """A topic, and a database with the tables of the dummy projection under a name of its own."""

    name: str
    topic: str
    brokers: str
    dsn: str

    def command(self, version: int = 1) -> list[str]:
        own = [self.name, str(version), self.topic, self.brokers, self.dsn]
        return [sys.executable, "-m", "tests.projections.dummy", *own]


@pytest.fixture
def place(stack: StackInfo, dsn: str) -> Place:
    own = Place(
        f"tally_{secrets.token_hex(4)}", f"dummy-{secrets.token_hex(4)}", stack.brokers, dsn
    )
    client = AdminClient({"bootstrap.servers": own.brokers})
    settings = {"message.timestamp.type": "LogAppendTime"}
    client.create_topics([NewTopic(own.topic, 3, config=settings)])[own.topic].result()
    named: Any = type("Named", (Tally,), {"name": own.name, "sql_path": Tally.sql_path})
    asyncio.run(migrate(dsn, registered(named())))
    return own


async def produce(place: Place, first: int, last: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=place.brokers) as producer:
        for number in range(first, last):
            record = encode(trade(number, symbol=f"S{number % 7}-USD"))
            value = b"not JSON" if number % 10 == 3 else record.value
            await producer.send(place.topic, value, record.key, headers=record.headers)


def wait_for(condition: Callable[[], bool]) -> None:
    """A generous limit: it ends a test that hangs, it measures nothing."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@contextmanager
def worker(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    process = Forked[bytes](place.command(), cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def progress(place: Place) -> int:
    return sum(row["next_offset"] for row in rows(place.dsn, "checkpoints"))


def test_a_projection_is_a_module_an_sql_file_and_a_registration() -> None:
    code = Path(tally.__file__).read_text().splitlines()
    assert len([line for line in code if line.strip()]) <= 35
    assert Tally.sql_path().is_file()
    registered: dict[str, type[Projection[Any]]] = {**PROJECTIONS, Tally.name: Tally}
    assert registered["tally"]().topics == ("price.ticks",)


async def test_the_projector_takes_it_as_any_other(migrated_dsn: str) -> None:
    projector = Projector(Tally(), migrated_dsn)
    await claim(projector)
    await projector.commit([log_of(trade(n) for n in range(3))])
    await projector.close()
    assert [row["trade_id"] for row in rows(migrated_dsn, "tally_trades")] == ["0", "1", "2"]


def test_the_real_worker_runs_it_stops_when_told_and_goes_on_where_it_stopped(
    place: Place,
) -> None:
    for first, last in ((0, 150), (150, 300)):
        asyncio.run(produce(place, first, last))
        with worker(place) as process:
            wait_for(lambda last=last: progress(place) == last)  # type: ignore[misc]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    found = sorted(int(row["trade_id"]) for row in rows(place.dsn, "tally_trades"))
    assert found == [number for number in range(300) if number % 10 != 3]
    letters = rows(place.dsn, "dead_letters")
    assert len(letters) == 30
    assert {(row["projection"], row["topic"]) for row in letters} == {(place.name, place.topic)}


def test_a_killed_worker_leaves_nothing_half_done(place: Place) -> None:
    asyncio.run(produce(place, 0, 2000))
    with worker(place) as process:
        wait_for(lambda: progress(place) > 0)
        process.kill()
    with worker(place):
        wait_for(lambda: progress(place) == 2000)
    found = sorted(int(row["trade_id"]) for row in rows(place.dsn, "tally_trades"))
    assert found == [number for number in range(2000) if number % 10 != 3]


def test_the_worker_of_another_version_ends_with_what_to_do(place: Place) -> None:
    asyncio.run(produce(place, 0, 5))
    ended = run(place.command(version=2), cwd=ROOT, timeout=90)
    assert ended.returncode == REFUSED
    assert f"`tape rebuild {place.name}`" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert rows(place.dsn, "tally_trades") == []


def test_the_worker_of_a_topic_made_anew_ends_with_what_to_do(place: Place) -> None:
    asyncio.run(produce(place, 0, 5))
    with worker(place) as process:
        wait_for(lambda: progress(place) == 5)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    client = AdminClient({"bootstrap.servers": place.brokers})
    client.delete_topics([place.topic], operation_timeout=30)[place.topic].result()
    wait_for(lambda: place.topic not in client.list_topics(timeout=10).topics)
    client.create_topics([NewTopic(place.topic, 3)])[place.topic].result()
    ended = run(place.command(), cwd=ROOT, timeout=90)
    assert ended.returncode == REFUSED
    assert "made anew" in ended.stderr
    assert f"`tape rebuild {place.name}`" in ended.stderr
    assert progress(place) == 5
