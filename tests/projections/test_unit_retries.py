"""Faults of the infrastructure: the same unit is tried again, and nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest

from projections import unit
from projections.base import Batch, Connection
from projections.database import at_once, connect
from projections.errors import Fenced
from tests.projections.logs import TICKS, claim, log_of, trade
from tests.projections.tallied import (
    FORBIDDEN,
    Watched,
    dead,
    good_of,
    ids,
    numbers,
    opened,
    position,
    some_log,
)

pytestmark = pytest.mark.usefixtures("both_ways", "quick_retries")


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_BACKOFF", (0.0, 0.01))


async def once_per_try(
    dsn: str, fault: Callable[[Connection], Awaitable[None]], tries: int = 2
) -> Watched:
    """Projects ten trades while the first tries meet a fault; returns the projection."""
    projection = Watched()
    left = tries

    async def before(connection: Connection, count: int) -> None:
        nonlocal left
        if left:
            left -= 1
            await fault(connection)

    projection.before_write = before
    async with opened(dsn, projection) as projector:
        await claim(projector)
        await projector.commit([log_of(trade(n) for n in range(10))])
        await projector.commit([log_of([trade(10)], first=10)])
    return projection


def check_nothing_was_lost(dsn: str, projection: Watched, tries: int = 2) -> None:
    assert projection.writes == [10] * (tries + 1) + [1], "the same unit again, never halved"
    assert numbers(dsn) == list(range(11))
    assert dead(dsn) == []
    assert position(dsn) == (11, 1)


async def test_a_backend_killed_within_the_unit_is_tried_again(migrated_dsn: str) -> None:
    async def kill(connection: Connection) -> None:
        with psycopg.connect(migrated_dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    check_nothing_was_lost(migrated_dsn, await once_per_try(migrated_dsn, kill))


async def test_a_lock_timeout_is_tried_again(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as other:
        other.execute("lock table tally_1.tally_trades in exclusive mode")

        async def wait_too_long(connection: Connection) -> None:
            await connection.execute("set local lock_timeout = 20")
            try:
                await connection.execute("lock table tally_trades in row exclusive mode")
                # At once, an error comes no sooner than somebody asks for a result.
                await (await connection.execute("select 1")).fetchone()
            finally:
                other.rollback()

        projection = await once_per_try(migrated_dsn, wait_too_long, tries=1)
    check_nothing_was_lost(migrated_dsn, projection, tries=1)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("set local transaction_read_only = on", id="read only"),
        pytest.param("do $$ begin raise sqlstate '53100'; end $$", id="disk full"),
        pytest.param("do $$ begin raise sqlstate '40P01'; end $$", id="deadlock"),
        pytest.param("do $$ begin raise sqlstate '57P01'; end $$", id="shutdown"),
        pytest.param("do $$ begin raise sqlstate '58030'; end $$", id="input or output"),
        pytest.param("select * from no_such_table", id="a table is missing"),
    ],
)
async def test_a_fault_of_the_server_is_tried_again(migrated_dsn: str, statement: str) -> None:
    async def fail(connection: Connection) -> None:
        await connection.execute(statement.encode())

    check_nothing_was_lost(migrated_dsn, await once_per_try(migrated_dsn, fail))


@pytest.fixture
def slow_when_large(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A projection that needs longer for more than three records than a unit may last."""
    monkeypatch.setattr(unit, "TRANSACTION_TIMEOUT_MS", 150)
    projection = Watched()

    async def outlast_if_large(connection: Connection, count: int) -> None:
        if count > 3:
            await connection.execute("select pg_sleep(60)")

    projection.before_write = outlast_if_large
    return projection


async def test_a_unit_that_lasts_too_long_is_tried_again_at_half_its_size(
    migrated_dsn: str, slow_when_large: Watched
) -> None:
    async with opened(migrated_dsn, slow_when_large) as projector:
        await claim(projector)
        await projector.commit([log_of(trade(n) for n in range(10))])
        assert projector.claims[TICKS].next_offset == 10
        await projector.commit([log_of([trade(10)], first=10)])
    assert slow_when_large.writes == [10, 5, 2, 3, 5, 2, 3, 1]
    assert numbers(migrated_dsn) == list(range(11))
    assert dead(migrated_dsn) == []


async def test_an_offender_in_a_unit_that_lasts_too_long_is_still_found(
    migrated_dsn: str, slow_when_large: Watched
) -> None:
    async with opened(migrated_dsn, slow_when_large) as projector:
        await claim(projector)
        batch = log_of(trade(n, size=FORBIDDEN) if n == 4 else trade(n) for n in range(10))
        await projector.commit([batch])
    assert dead(migrated_dsn) == [4]
    assert numbers(migrated_dsn) == [n for n in range(10) if n != 4]


async def test_a_record_that_alone_lasts_too_long_gets_more_time_until_it_is_done(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "TRANSACTION_TIMEOUT_MS", 150)
    projection = Watched()

    async def last_long(connection: Connection, count: int) -> None:
        if numbers(migrated_dsn) == []:
            await connection.execute("select pg_sleep(0.4)")

    projection.before_write = last_long
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)
        await projector.commit([log_of([trade(0)])])
        await projector.commit([log_of([trade(1)], first=1)])
    assert numbers(migrated_dsn) == [0, 1]
    assert dead(migrated_dsn) == []


@contextmanager
def lost_replies(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[list[int]]:
    """Cuts the connection of the unit right after so many COMMITs: only the replies are lost."""
    lost: list[int] = []

    def lose_reply() -> None:
        if len(lost) < count:
            lost.append(1)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    @asynccontextmanager
    async def at_once_badly(connection: Connection) -> AsyncIterator[None]:
        async with at_once(connection):
            yield
        lose_reply()

    async def connect_badly(dsn: str, name: str, settings: Any) -> Connection:
        connection = await connect(dsn, name, settings)
        begin = connection.transaction

        @asynccontextmanager
        async def transaction(*args: Any, **kwargs: Any) -> Any:
            outermost = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            async with begin(*args, **kwargs) as inner:
                yield inner
            if outermost:
                lose_reply()

        if name.endswith("unit"):
            monkeypatch.setattr(connection, "transaction", transaction)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(unit, "at_once", at_once_badly)
        patch.setattr(unit, "connect", connect_badly)
        yield lost


async def test_a_lost_reply_to_commit_is_recognised_as_success(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lost_replies(monkeypatch, 3) as lost:
        async with opened(migrated_dsn) as projector:
            await claim(projector)
            for first in range(0, 20, 4):
                records = some_log(20)[first : first + 4]
                await projector.commit([Batch(TICKS, records)])
    assert len(lost) == 3
    assert numbers(migrated_dsn) == good_of(20)
    assert dead(migrated_dsn) == [n for n in range(20) if n not in good_of(20)]
    assert position(migrated_dsn) == (20, 1)


async def test_a_lost_reply_followed_by_a_takeover_is_no_success(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there once, but who goes on is the new owner."""
    projection = Watched()
    async with opened(migrated_dsn, projection) as old, opened(migrated_dsn) as new:
        await claim(old)
        take_over = False

        async def before(connection: Connection, count: int) -> None:
            nonlocal take_over
            take_over = True

        projection.before_write = before

        async def pause(*args: Any) -> None:
            assert take_over
            assert await claim(new) == 1
            await old.close()

        with lost_replies(monkeypatch, 1):
            monkeypatch.setattr(old, "_pause", pause)
            with pytest.raises(Fenced):
                await old.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == ["1"]
