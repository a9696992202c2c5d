"""What the monitor reads in the database: checkpoints, dead letters, marks, differences, vitals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from projections.base import Connection, Partition
from projections.database import connect
from streams.events.types import micros_of
from streams.monitor.reading import vitals
from streams.monitor.reading.tables import (
    read_dead_letters,
    read_differences,
    read_marks,
    read_newest,
    read_standings,
)
from tests.streams.tape import MAIN, MARKET, add_fill, add_row, add_trade, execute

TOPIC_ID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
async def connection(migrated_dsn: str) -> AsyncIterator[Connection]:
    async with await connect(migrated_dsn, "monitor", {}) as found:
        yield found


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def add_checkpoint(dsn: str, offset: int, *, generation: int = 1) -> None:
    execute(
        dsn,
        "insert into checkpoints values ('prices', %s, 'price.ticks', %s, 2, %s, 1)",
        generation,
        TOPIC_ID,
        offset,
    )


def add_dead_letter(dsn: str, offset: int, error: str, *, is_done: bool = False) -> None:
    execute(
        dsn,
        'insert into dead_letters (projection, topic, topic_id, partition, "offset", headers,'
        " error, appended, done, outcome)"
        " values ('prices', 'price.ticks', %s, 0, %s, '[]', %s, now(), %s, %s)",
        TOPIC_ID,
        offset,
        error,
        datetime.now(UTC) if is_done else None,
        "discarded" if is_done else None,
    )


async def test_each_projection_stands_where_its_current_generation_does(
    migrated_dsn: str, connection: Connection
) -> None:
    began = micros_of(ago(0))
    add_checkpoint(migrated_dsn, 500)
    standings, building = await read_standings(connection)
    assert {"account", "market", "prices"} <= set(standings)
    assert standings["account"].checkpoints == {}
    [(place, found)] = standings["prices"].checkpoints.items()
    assert (place, found.topic_id, found.next_offset) == (
        Partition("price.ticks", 2),
        TOPIC_ID,
        500,
    )
    assert found.written is not None
    assert began <= found.written <= micros_of(ago(0))
    assert building == []


async def test_a_generation_that_is_being_built_says_how_far_it_is(
    migrated_dsn: str, connection: Connection
) -> None:
    execute(migrated_dsn, "insert into generations values ('prices', 2, 1, false, now(), null)")
    add_checkpoint(migrated_dsn, 70, generation=2)
    standings, [found] = await read_standings(connection)
    assert (found.projection, found.generation, found.purpose, found.done) == (
        "prices",
        2,
        "rebuild",
        70,
    )
    assert standings["prices"].generation == 1


async def test_dead_letters_that_wait_are_counted_by_their_reason(
    migrated_dsn: str, connection: Connection
) -> None:
    for offset, error in enumerate(["bad", "bad", "worse"]):
        add_dead_letter(migrated_dsn, offset, error)
    add_dead_letter(migrated_dsn, 3, "bad", is_done=True)
    found = await read_dead_letters(connection)
    assert [(one.projection, one.error, one.waiting) for one in found] == [
        ("prices", "bad", 2),
        ("prices", "worse", 1),
    ]


async def test_reasons_without_end_are_counted_together(
    migrated_dsn: str, connection: Connection
) -> None:
    for offset in range(60):
        add_dead_letter(migrated_dsn, offset, f"value {offset} is not one")
    found = await read_dead_letters(connection)
    assert sum(one.waiting for one in found) == 60
    assert (found[0].error, found[0].waiting) == ("other reasons", 10)


def add_price(dsn: str, age: float, venue: str = "coinbase") -> None:
    add_row(
        dsn,
        "latest_price",
        venue=venue,
        symbol="BTC-USD",
        time=ago(age),
        trade_id="1",
        price=Decimal(64000),
        received=ago(age),
    )


def add_quote(dsn: str, age: float, *, closes_in: float = 600.0) -> None:
    add_row(
        dsn,
        "markets",
        venue="kalshi",
        ticker=MARKET,
        series="KXBTCD",
        opens=ago(3600),
        closes=ago(-closes_in),
    )
    add_row(
        dsn,
        "market_quotes",
        venue="kalshi",
        ticker=MARKET,
        yes_bid=Decimal("0.60"),
        yes_ask=Decimal("0.62"),
        time=ago(age),
        received=ago(age),
    )


async def test_the_newest_event_of_a_source_is_the_newest_of_its_trades_and_quotes(
    migrated_dsn: str, connection: Connection
) -> None:
    add_price(migrated_dsn, 50)
    add_row(
        migrated_dsn,
        "latest_quote",
        venue="coinbase",
        symbol="BTC-USD",
        time=ago(10),
        bid=Decimal(1),
        ask=Decimal(2),
        received=ago(10),
    )
    [found] = await read_newest(connection)
    assert (found.topic, found.source, found.is_open) == ("price.ticks", "coinbase:BTC-USD", True)
    assert 9 < (micros_of(ago(0)) - found.time) / 1e6 < 30


@pytest.mark.parametrize(("closes_in", "is_open"), [(600.0, True), (-1.0, False)])
async def test_a_series_is_open_while_one_of_its_markets_is(
    migrated_dsn: str, connection: Connection, closes_in: float, is_open: bool
) -> None:
    add_quote(migrated_dsn, 5, closes_in=closes_in)
    [found] = await read_newest(connection)
    assert (found.topic, found.source, found.is_open) == (
        "kalshi.market",
        "kalshi:KXBTCD",
        is_open,
    )


async def test_marks_are_stale_where_market_or_symbol_told_nothing_for_long(
    migrated_dsn: str, connection: Connection
) -> None:
    add_price(migrated_dsn, 40)
    add_quote(migrated_dsn, 5)
    add_trade(migrated_dsn, "one", symbol="BTC", opened_at=ago(60))
    add_trade(migrated_dsn, "two", symbol="BTC", opened_at=ago(60), status="closed")
    found = (await read_marks(connection, 30.0))[MAIN]
    assert (found.active, found.stale) == (1, 1)
    assert found.since is not None
    assert 39 < (micros_of(ago(0)) - found.since) / 1e6 < 60
    assert (await read_marks(connection, 300.0))[MAIN] == (1, 0, None)


async def test_after_the_close_a_mark_moves_no_more_and_is_not_missed(
    migrated_dsn: str, connection: Connection
) -> None:
    add_price(migrated_dsn, 400)
    add_quote(migrated_dsn, 400, closes_in=-10)
    add_trade(migrated_dsn, "one", symbol="BTC", opened_at=ago(600))
    assert await read_marks(connection, 30.0) == {}


async def test_fills_without_a_trade_are_counted_by_account(
    migrated_dsn: str, connection: Connection
) -> None:
    add_fill(migrated_dsn, "f1", "one", count=Decimal(1), price=Decimal("0.5"))
    execute(migrated_dsn, "update account_1.trade_fills set ticket_id = null, reason = 'none'")
    found = await read_differences(connection)
    assert found == {MAIN: (1, 0, "0")}


async def test_vitals_are_read_and_a_lock_names_who_holds_it(
    migrated_dsn: str, connection: Connection
) -> None:
    blocking = vitals.Blocking()
    found = await vitals.read_postgres(connection, blocking)
    assert found.blocked is None
    assert 0 < found.connections < found.max_connections
    async with await connect(migrated_dsn, "waiter", {}) as waiter:
        with psycopg.connect(migrated_dsn, application_name="a human") as holder:
            holder.execute("lock table checkpoints in access exclusive mode")
            task = asyncio.create_task(waiter.execute("select from checkpoints"))
            while (found := await vitals.read_postgres(connection, blocking)).blocked is None:
                await asyncio.sleep(0.05)
        await task
    assert found.blocked.startswith("tickertape waiter waits for a lock for")
    assert "a human (pid" in found.blocked


async def test_tables_and_the_database_have_a_size(connection: Connection) -> None:
    tables = {(one.projection, one.name): one for one in await vitals.read_tables(connection)}
    assert ("prices", "price_history") in tables
    assert ("market", "market_log") in tables
    plain = {("account", "fills"), ("market", "market_quotes"), ("prices", "latest_price")}
    assert plain <= set(tables)
    assert all(tables[name].bytes > 0 for name in plain)  # their keys at least
    assert await vitals.read_size(connection) > 1_000_000


async def test_the_disk_of_a_database_on_this_machine_is_known(connection: Connection) -> None:
    found = await vitals.read_database_disk(connection)
    assert found is not None
    assert 0 < found.free < found.total
