"""The log of a market's events: each that was projected, once, by day, for thirty days."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.base import Batch
from projections.database import connect
from projections.market.log import KEEP_DAYS, drop_old, timestamp
from streams.events import Event, encode
from streams.events.types import moment
from tests import strategies
from tests.projections.logs import DAY_S, NOON, rows
from tests.projections.market.projected import (
    START,
    TICKER,
    Unreadable,
    claimed,
    described,
    project,
    quoted,
    reset,
    run,
    units_of,
)
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

TODAY = dt.date(2026, 11, 15)
ONE_OF_EACH = (
    strategies.market_trades
    | strategies.snapshots
    | strategies.deltas
    | strategies.market_gaps
    | strategies.candles
)


def appended(number: float, *events: Event, first: int = 0) -> Batch:
    """Records that the log took so many days after noon, from offset `first` on."""
    [[batch]] = units_of(events, [])
    at = int((NOON + number * DAY_S) * 1000)
    records: list[Any] = list(batch.records)
    return replace(
        batch,
        records=[
            replace(record, offset=first + place, timestamp=at)
            for place, record in enumerate(records)
        ],
    )


def attached(dsn: str) -> list[str]:
    """The days that are partitions, as `2026_11_15`."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " where inhparent = 'market_1.market_log'::regclass"
        )
        return sorted(name.removeprefix("market_1.market_log_") for (name,) in found)


def tables_of_days(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select count(*) from pg_class where relname ~ '^market_log_2' and relkind = 'r'"
        ).fetchone()
        return int(found[0]) if found else 0


async def drop(dsn: str) -> list[dt.date]:
    async with await connect(dsn, "test", {"search_path": "market_1"}) as connection:
        return await drop_old(connection)


def test_an_event_is_a_row_with_its_value_as_it_came(migrated_dsn: str) -> None:
    quote = quoted(1, yes_bid="0.50", raw='{"a":"\\u0000 \\\\ , \\" \'"}\n')
    run(migrated_dsn, [quote, described(2), Unreadable(quoted(3)), quoted(4)])
    row, other = rows(migrated_dsn, "market_log", '"offset"')
    assert (row["partition"], row["offset"], other["offset"]) == (0, 0, 2)
    assert (row["venue"], row["ticker"], row["type"]) == ("kalshi", TICKER, "market.ticker.v1")
    assert (row["time"], row["received"]) == (moment(START + 1), moment(START + 10))
    assert row["appended"] == moment(NOON * 1_000_000)
    assert row["event"] == encode(quote).value.decode()


async def test_a_value_that_is_laid_out_in_lines_is_kept_so(migrated_dsn: str) -> None:
    [[batch]] = units_of([quoted(1, yes_bid="0.5")], [])
    [record] = batch.records
    laid_out: Any = record
    value = (record.value or b"").replace(b",", b",\r\n\t") + b"\n"
    value = value.replace(b"{", b'{"more": NaN,')
    await project(migrated_dsn, [[replace(batch, records=[replace(laid_out, value=value)])]])
    [row] = rows(migrated_dsn, "market_log")
    assert row["event"] == value.decode()
    assert rows(migrated_dsn, "dead_letters") == []


@given(at=strategies.times)
def test_a_time_is_written_as_the_server_reads_it(at: int) -> None:
    assert dt.datetime.fromisoformat(timestamp(at)) == moment(at)


@few
@given(
    events=st.lists(ONE_OF_EACH, min_size=1, max_size=8),
    units=st.lists(st.integers(1, 4), max_size=4),
)
def test_every_event_is_there_once_however_the_log_is_cut_and_read_again(
    migrated_dsn: str, events: list[Event], units: list[int]
) -> None:
    reset(migrated_dsn)
    run(migrated_dsn, events, units)
    run(migrated_dsn, events, [1])
    dead = {row["offset"] for row in rows(migrated_dsn, "dead_letters")}
    found = {row["offset"]: row["event"] for row in rows(migrated_dsn, "market_log")}
    assert found == {
        offset: encode(event).value.decode()
        for offset, event in enumerate(events)
        if offset not in dead
    }


async def test_a_record_attaches_its_day_and_the_next(migrated_dsn: str) -> None:
    await project(migrated_dsn, [[appended(0, quoted(1))], [appended(1, quoted(2), first=1)]])
    assert attached(migrated_dsn) == ["2026_11_15", "2026_11_16"]
    await project(migrated_dsn, [[appended(40, quoted(3), first=2)]])
    assert attached(migrated_dsn)[2:] == ["2026_12_25", "2026_12_26"]
    assert len(rows(migrated_dsn, "market_log")) == 3


async def test_days_over_thirty_days_older_than_the_newest_with_records_are_dropped(
    migrated_dsn: str,
) -> None:
    """Append times alone count: no clock, no event time; and the day ahead has no records."""
    await project(
        migrated_dsn,
        [
            [appended(0, quoted(1))],
            [appended(1, quoted(2), first=1)],
            [appended(KEEP_DAYS, quoted(3), first=2)],
        ],
    )
    assert await drop(migrated_dsn) == []
    await project(migrated_dsn, [[appended(KEEP_DAYS + 1, quoted(4), first=3)]])
    assert await drop(migrated_dsn) == [TODAY]
    assert await drop(migrated_dsn) == []
    assert [row["offset"] for row in rows(migrated_dsn, "market_log", '"offset"')] == [1, 2, 3]
    assert tables_of_days(migrated_dsn) == len(attached(migrated_dsn)) == 4
    closed = {row["day"] for row in rows(migrated_dsn, "market_log_days") if row["closed"]}
    assert closed == {TODAY}


async def test_a_record_of_a_dropped_day_counts_but_is_not_logged(migrated_dsn: str) -> None:
    """As of a partition that lags behind; this process first does not know that it was dropped."""
    first = appended(0, quoted(1, volume_delta="1"))
    projector = await claimed(migrated_dsn, [first.source])
    await projector.commit([first])
    await projector.commit([appended(KEEP_DAYS + 1, quoted(2, volume_delta="1"), first=1)])
    assert await drop(migrated_dsn) == [TODAY]
    late = appended(0, quoted(3, volume_delta="1"), quoted(4, volume_delta="1"), first=2)
    await projector.commit([late])
    await projector.commit([appended(0, quoted(5, volume_delta="1"), first=4)])
    await projector.close()
    [quote] = rows(migrated_dsn, "market_quotes")
    assert quote["volume"] == "5"
    assert [row["offset"] for row in rows(migrated_dsn, "market_log")] == [1]
    assert rows(migrated_dsn, "dead_letters") == []


async def test_a_worker_maintains_the_log(migrated_dsn: str) -> None:
    first = appended(0, quoted(1))
    projector = await claimed(migrated_dsn, [first.source])
    await projector.commit([first])
    await projector.commit([appended(KEEP_DAYS + 1, quoted(2), first=1)])
    await projector.maintain(365)
    await projector.close()
    assert "2026_11_15" not in attached(migrated_dsn)


async def test_what_a_killed_maintenance_left_is_finished_by_the_next(migrated_dsn: str) -> None:
    await project(
        migrated_dsn,
        [[appended(0, quoted(1))], [appended(KEEP_DAYS + 1, quoted(2), first=1)]],
    )
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        connection.execute(
            "update market_1.market_log_days set closed = true where day = %s", [TODAY]
        )
        connection.execute(
            "alter table market_1.market_log detach partition market_1.market_log_2026_11_15"
        )
    assert await drop(migrated_dsn) == []
    assert tables_of_days(migrated_dsn) == 3
