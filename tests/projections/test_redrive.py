"""A dead letter goes back through its projection: once, whole, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from projections import generation
from projections.base import Connection, Partition
from projections.database import connect
from projections.errors import Refusal
from projections.redrive import Outcome, Place, Redriver
from projections.unit import Projector
from streams.events import DeadLettersRedriven
from tests.projections.dummy.tally import Tally
from tests.projections.logs import TICKS, TOPIC_ID, claim, log_of, rows, trade
from tests.projections.redriven import ANN, older, project, redrive, waiting
from tests.projections.tallied import FORBIDDEN, Watched, ids, numbers

DONE = Outcome("projected")


async def refuse(dsn: str, *offsets: int, count: int = 8) -> None:
    """Project a log of trades by a program that cannot read those at these offsets."""
    await project(dsn, older(Tally, offsets), [log_of(map(trade, range(count)))])
    assert [place.offset for place in waiting(dsn)] == list(offsets)


def letters(dsn: str) -> list[Any]:
    names = 'outcome, tries, error, last_error, done is null as "waits"'
    return [tuple(one.values()) for one in rows(dsn, "dead_letters", '"offset"', names)]


async def test_a_record_that_can_be_read_by_now_is_projected_once(migrated_dsn: str) -> None:
    await refuse(migrated_dsn, 2, 5)
    assert numbers(migrated_dsn) == [0, 1, 3, 4, 6, 7]
    places = waiting(migrated_dsn)
    assert await redrive(migrated_dsn, Tally()) == [DONE, DONE]
    assert numbers(migrated_dsn) == list(range(8))
    assert letters(migrated_dsn) == [("projected", 0, "an older program", None, False)] * 2
    assert await redrive(migrated_dsn, Tally(), places) == [Outcome("taken")] * 2
    assert numbers(migrated_dsn) == list(range(8))


async def test_the_decision_is_kept_with_the_rows(migrated_dsn: str) -> None:
    await refuse(migrated_dsn, 2)
    await redrive(migrated_dsn, Tally())
    [kept] = rows(migrated_dsn, "decisions")
    decision = DeadLettersRedriven.model_validate_json(kept["body"])
    assert (decision.operator, decision.why, decision.projection) == ("ann", "mended", "tally")
    assert (decision.of_topic, decision.of_topic_id) == ("price.ticks", TOPIC_ID)
    assert (decision.partition, decision.offsets, decision.generation) == (0, (2,), 1)
    assert (kept["ce_type"], kept["subject"], kept["copied"]) == (
        *("decision.dead_letters_redriven.v1", "tally", False),
    )
    assert str(kept["id"]) == decision.event_id()
    assert json.loads(kept["body"])["decision_id"] == str(kept["id"])


async def test_what_is_refused_again_waits_with_both_reasons_and_nothing_else_changes(
    migrated_dsn: str,
) -> None:
    events = [trade(0), trade(1, size=FORBIDDEN), trade(2, trade_id="raises"), trade(3)]
    await project(migrated_dsn, older(Watched, {1, 2}), [log_of(events)])
    before = rows(migrated_dsn, "checkpoints")
    for tries in (1, 2):
        found = await redrive(migrated_dsn, Watched())
        assert [one.kind for one in found] == ["failed", "failed"]
        [check, fault] = letters(migrated_dsn)
        assert check[:3] == fault[:3] == (None, tries, "an older program")
        assert check[3].startswith("CheckViolation (23514)")
        assert fault[3] == 'KeyError: "a fault of the projection\'s own code"'
    assert ids(migrated_dsn) == ["0", "3"]
    assert rows(migrated_dsn, "checkpoints") == before
    assert rows(migrated_dsn, "decisions") == []


async def test_what_still_cannot_be_read_waits(migrated_dsn: str) -> None:
    await refuse(migrated_dsn, 2)
    [outcome] = await redrive(migrated_dsn, older(Tally, {2}))
    assert outcome == Outcome("failed", "an older program")


@pytest.fixture
def gate() -> tuple[asyncio.Event, asyncio.Event]:
    """That a write has begun, and that it may go on."""
    return asyncio.Event(), asyncio.Event()


def held(gate: tuple[asyncio.Event, asyncio.Event]) -> Watched:
    """A projection that waits in the midst of its write."""
    began, go_on = gate

    async def wait(_: Connection, __: int) -> None:
        began.set()
        await go_on.wait()

    projection = Watched()
    projection.before_write = wait
    return projection


async def during_a_write(
    dsn: str, gate: tuple[asyncio.Event, asyncio.Event], do: Callable[[], Awaitable[None]]
) -> list[Outcome]:
    """Do something while a redrive is in the midst of its write."""
    redriving = asyncio.create_task(redrive(dsn, held(gate)))
    await gate[0].wait()
    await do()
    gate[1].set()
    return await redriving


async def test_two_redrives_at_once_project_each_record_once(
    migrated_dsn: str, gate: tuple[asyncio.Event, asyncio.Event]
) -> None:
    await refuse(migrated_dsn, 2, 5)

    async def other() -> None:
        first = waiting(migrated_dsn)[:1]
        assert await redrive(migrated_dsn, Tally(), first) == [Outcome("taken")]

    assert await during_a_write(migrated_dsn, gate, other) == [DONE, DONE]
    assert numbers(migrated_dsn) == list(range(8))


async def test_a_connection_that_is_lost_before_the_commit_doubles_nothing(
    migrated_dsn: str, gate: tuple[asyncio.Event, asyncio.Event]
) -> None:
    await refuse(migrated_dsn, 2)

    async def cut_off() -> None:
        with psycopg.connect(migrated_dsn, autocommit=True) as connection:
            ended = connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = %s",
                ["tickertape tally redrive"],
            ).fetchall()
        assert ended == [(True,)]

    assert await during_a_write(migrated_dsn, gate, cut_off) == [DONE]
    assert numbers(migrated_dsn) == list(range(8))
    assert len(rows(migrated_dsn, "decisions")) == 1
    assert letters(migrated_dsn)[0][:2] == ("projected", 0), "it was not the record's fault"


async def test_an_infrastructure_that_stays_broken_is_raised_and_counts_against_no_record(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.redrive._BACKOFF", (0.0, 0.0))
    await refuse(migrated_dsn, 2)

    async def fail(connection: Connection, _: int) -> None:
        raise psycopg.errors.DiskFull("no space left on device")

    projection = Watched()
    projection.before_write = fail
    with pytest.raises(psycopg.errors.DiskFull):
        await redrive(migrated_dsn, projection)
    assert len(projection.writes) == 3
    assert letters(migrated_dsn) == [(None, 0, "an older program", None, True)]


async def test_a_swap_waits_for_a_redrive_and_the_next_goes_into_the_new_generation(
    migrated_dsn: str, gate: tuple[asyncio.Event, asyncio.Event]
) -> None:
    await refuse(migrated_dsn, 2, 5)
    swap = """
        update generations set is_current = false where projection = 'tally';
        insert into generations values ('tally', 2, 1, true);
        insert into checkpoints select projection, 2, topic, topic_id, partition, next_offset, epoch
        from checkpoints where projection = 'tally';
    """

    async def try_to_swap() -> None:
        async with await connect(migrated_dsn, "swap", {"lock_timeout": "100"}) as connection:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await connection.execute(swap.encode())
            await connection.rollback()

    redriver = Redriver(held(gate), migrated_dsn, ANN)
    first, second = waiting(migrated_dsn)
    redriving = asyncio.create_task(redriver.redrive(first))
    await gate[0].wait()
    await try_to_swap()
    gate[1].set()
    assert await redriving == DONE
    async with await connect(migrated_dsn, "swap", {}) as connection, connection.transaction():
        await connection.execute(swap.encode())
        await generation.create(connection, Tally(), 2)
    assert await redriver.redrive(second) == DONE
    await redriver.close()
    assert numbers(migrated_dsn) == [0, 1, 2, 3, 4, 6, 7], "the view shows the first generation"
    with psycopg.connect(migrated_dsn) as plain:
        found = plain.execute("select trade_id from tally_2.tally_trades").fetchall()
    assert found == [("5",)]


async def test_live_units_go_on_beside_a_redrive(migrated_dsn: str) -> None:
    bad = range(0, 60, 3)
    await refuse(migrated_dsn, *bad, count=60)
    projector = Projector(Tally(), migrated_dsn)
    await claim(projector)

    async def live() -> None:
        for first in range(60, 120, 4):
            await projector.commit([log_of(map(trade, range(first, first + 4)), first)])

    _, found = await asyncio.gather(live(), redrive(migrated_dsn, Tally()))
    await projector.close()
    assert found == [DONE] * len(bad)
    assert numbers(migrated_dsn) == list(range(120))


async def test_a_record_of_a_topic_that_was_made_anew_is_left(migrated_dsn: str) -> None:
    await refuse(migrated_dsn, 2)
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute("update checkpoints set topic_id = gen_random_uuid()")
    [outcome] = await redrive(migrated_dsn, Tally())
    assert outcome.kind == "left"
    assert "price.ticks that was deleted since and made anew" in outcome.reason
    assert numbers(migrated_dsn) == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "statement", ["update checkpoints set next_offset = 2", "delete from checkpoints"]
)
async def test_what_the_tables_will_come_to_is_left_to_the_worker(
    migrated_dsn: str, statement: str
) -> None:
    await refuse(migrated_dsn, 2)
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute(statement.encode())
    [outcome] = await redrive(migrated_dsn, Tally())
    assert outcome == Outcome("left", "the tables of tally are not that far: a worker comes to it")


async def test_tables_of_another_version_are_not_written_to(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refuse(migrated_dsn, 2)
    monkeypatch.setattr(Tally, "version", 2)
    with pytest.raises(Refusal, match="version 1, this program is of version 2"):
        await redrive(migrated_dsn, Tally())
    assert letters(migrated_dsn) == [(None, 0, "an older program", None, True)]


async def test_odd_bytes_come_back_as_the_broker_had_them(migrated_dsn: str) -> None:
    seen: list[Any] = []

    class Reader(Tally):
        def decode(self, batches: Any) -> Any:
            seen.extend(batches)
            return super().decode(batches)

    [batch] = [log_of([trade(0), trade(1)])]
    record: Any = batch.records[1]
    headers = [*record.headers, ("odd", b"\xff\0"), ("none", None), ("n\0", b"")]
    odd = type(record)(1, record.timestamp, b"\xff\0key", record.value, headers)
    await project(migrated_dsn, older(Tally, {1}), [type(batch)(TICKS, [batch.records[0], odd])])
    assert await redrive(migrated_dsn, Reader()) == [DONE]
    [[given]] = [one.records for one in seen]
    assert seen[0].source == Partition("price.ticks", 0)
    assert (given.offset, given.timestamp) == (odd.offset, odd.timestamp)
    assert (given.key, given.value, given.headers) == (odd.key, odd.value, headers)


async def test_a_place_that_is_none_is_taken(migrated_dsn: str) -> None:
    await refuse(migrated_dsn, 2)
    nowhere = Place("tally", TOPIC_ID, 0, 77)
    assert await redrive(migrated_dsn, Tally(), [nowhere]) == [Outcome("taken")]
