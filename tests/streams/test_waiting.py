"""`tape wait` and its like in Python: from what a producer got back to what the tables have."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from projections.base import Partition
from projections.waiting import Late
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events.catalogue import TOPICS
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics, record_counts
from streams.tracing import Place, read_target
from streams.trading import open_trade, record
from streams.waiting import wait_for
from tests.projections.logs import rows
from tests.streams.tape import MAIN, Tape, make_tables


@pytest.fixture
async def endpoints(stack: StackInfo, dsn: str) -> Endpoints:
    await make_tables(dsn)
    found = Endpoints(stack.brokers, {}, dsn, True, True)
    ensure_topics(found)
    return found


@pytest.fixture
def tape(stack: StackInfo, endpoints: Endpoints) -> Tape:
    return Tape(TAPE_HOME=str(stack.home.path), TAPE_DSN=endpoints.dsn)


@contextmanager
def worker(tape: Tape, projection: str) -> Iterator[None]:
    """A worker, while the block runs."""
    with tape.start("worker", projection) as process:
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)


async def ask(endpoints: Endpoints, ticket: str) -> Place:
    """Record a command; returns where it stands."""
    ticker = f"KXTEST-{secrets.token_hex(6)}"
    command = open_trade(account=MAIN, ticker=ticker, side="yes", count=1, ticket_id=ticket)
    async with Producer(endpoints) as producer:
        return await record(producer, command)


def tickets(endpoints: Endpoints) -> list[str]:
    return [row["ticket_id"] for row in rows(endpoints.dsn, "trades")]


async def test_a_trade_is_in_the_tables_once_its_command_was_waited_for(
    endpoints: Endpoints, tape: Tape
) -> None:
    ticket = f"T-{secrets.token_hex(6)}"
    place = await ask(endpoints, ticket)
    late, told, _ = await asyncio.to_thread(
        tape.run, "wait", "account", place, "--timeout", "100ms", "--json"
    )
    found = json.loads(told)
    assert (late, found["projected"], found["missing"]) == (1, False, [str(place)])

    with worker(tape, "account"):
        await wait_for(endpoints, "account", [place], timeout=60)
        assert ticket in await asyncio.to_thread(tickets, endpoints)

        other = f"T-{secrets.token_hex(6)}"
        words = ["--ticker", "K", "--side", "yes", "--count", "1", "--ticket", other, "--json"]
        said = await asyncio.to_thread(tape.output, "trade", "open", *words)
        position = json.loads(said)["position"]
        said = await asyncio.to_thread(tape.output, "wait", "account", position)
        assert said == f"account has projected {position}\n"
        assert other in await asyncio.to_thread(tickets, endpoints)

        said = await asyncio.to_thread(tape.output, "wait", "account", "--timeout", "1m")
        assert said == "account has projected all that the log had\n"


async def test_without_a_position_all_of_the_log_is_waited_for(endpoints: Endpoints) -> None:
    place = await ask(endpoints, f"T-{secrets.token_hex(6)}")
    with pytest.raises(Late) as late:
        await wait_for(endpoints, "account", None, timeout=0)
    ends = {source.topic: 0 for source in late.value.missing}
    for source, mark in late.value.missing.items():
        ends[source.topic] += mark.offset + 1
    # The log's topics are everyone's: others may append meanwhile, and nobody deletes.
    counts = record_counts(endpoints, list(ends))
    assert all(0 < ends[topic] <= counts[topic] for topic in ends)
    assert late.value.missing[Partition(place.topic, place.partition)].offset >= place.offset


async def test_the_last_of_some_positions_of_a_partition_is_waited_for(
    endpoints: Endpoints,
) -> None:
    place = await ask(endpoints, f"T-{secrets.token_hex(6)}")
    first = Place(place.topic, place.partition, 0)
    with pytest.raises(Late) as late:
        await wait_for(endpoints, "account", [place, first], timeout=0)
    ((source, mark),) = late.value.missing.items()
    assert Place(*source, mark.offset) == place


async def test_positions_that_cannot_be_are_refused(endpoints: Endpoints, tape: Tape) -> None:
    beyond = 10**12
    wrong = {
        ("none", Place("price.ticks", 0, 0)): "there is no projection 'none'; there are: account",
        ("prices", Place("kalshi.market", 0, 0)): "prices does not read kalshi.market; it reads p",
        ("prices", Place("no.topic", 0, 0)): "prices does not read no.topic",
        ("prices", Place("price.ticks", 9, 0)): r"no price.ticks\[9\]: .* partitions 0 to 3",
        ("prices", Place("price.ticks", 0, beyond)): r"\[0\]@1000000000000 is beyond the end",
    }
    for (projection, place), complaint in wrong.items():
        with pytest.raises(UserError, match=complaint):
            await wait_for(endpoints, projection, [place], timeout=60)
    complaint = await asyncio.to_thread(tape.complaint, "wait", "prices", "price.ticks@5")
    assert "'price.ticks@5' is no position; write it as topic[partition]@offset" in complaint
    assert "no duration" in await asyncio.to_thread(
        tape.complaint, "wait", "prices", "--timeout", "soon"
    )


def test_no_topic_of_the_catalogue_has_a_name_that_a_position_cannot_hold() -> None:
    for topic in TOPICS:
        place = Place(topic.name, 3, 17)
        assert read_target(str(place)) == place
