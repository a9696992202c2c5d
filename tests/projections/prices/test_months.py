"""The months of `price_history`: attached ahead, detached when old, closed for ever after."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import psycopg
import pytest

from projections.base import Batch, Connection, Partition
from projections.checkpoint import LogStart
from projections.database import connect
from projections.errors import Fenced
from projections.prices import Prices
from projections.prices.months import Months, close_old, following, partition_name
from projections.unit import Projector
from streams.events import PriceTrade
from tests.projections.logs import DAY_S, TICKS, TOPIC_ID, claim, log_of, rows, trade

JANUARY, FEBRUARY, MARCH = dt.date(2026, 1, 1), dt.date(2026, 2, 1), dt.date(2026, 3, 1)


def in_month(month: dt.date, number: int, **fields: Any) -> PriceTrade:
    """A trade on the 15th of a month, at `number` milliseconds after noon."""
    noon = dt.datetime(month.year, month.month, 15, 12, tzinfo=dt.UTC).timestamp()
    return trade(number, time=int(noon) * 1_000_000 + number * 1000, **fields)


def attached(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " where inhparent = 'prices_1.price_history'::regclass and not inhdetachpending"
        )
        return sorted(name.removeprefix("prices_1.") for (name,) in found)


def months(dsn: str) -> dict[dt.date, bool]:
    return {row["month"]: row["closed"] for row in rows(dsn, "price_months")}


def appended(day: float, *events: PriceTrade, first: int = 0) -> Batch:
    """Trades that the log took `day` days after 1 March 2026."""
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp()
    return log_of(events, first=first, appended_ms=int((start + day * DAY_S) * 1000))


async def project(dsn: str, *batches: Batch) -> None:
    projector = Projector(Prices(), dsn)
    await claim(projector)
    await projector.commit(batches)
    await projector.close()


async def close(dsn: str, days: int) -> list[dt.date]:
    async with await connect(dsn, "test", {"search_path": "prices_1"}) as connection:
        return await close_old(connection, days)


def test_the_next_month_follows_any_month() -> None:
    assert following(dt.date(2026, 11, 1)) == dt.date(2026, 12, 1)
    assert following(dt.date(2026, 12, 1)) == dt.date(2027, 1, 1)
    assert following(dt.date(2028, 1, 1)) == dt.date(2028, 2, 1)
    assert partition_name(dt.date(2009, 1, 1)) == "price_history_2009_01"


async def test_a_trade_attaches_its_month_and_the_next(migrated_dsn: str) -> None:
    await project(migrated_dsn, appended(0, in_month(JANUARY, 1)))
    assert months(migrated_dsn) == {JANUARY: False, FEBRUARY: False}
    assert attached(migrated_dsn) == ["price_history_2026_01", "price_history_2026_02"]
    assert len(rows(migrated_dsn, "price_history")) == 1


async def test_a_trade_at_either_end_of_a_month_lands(migrated_dsn: str) -> None:
    start = int(dt.datetime(2026, 2, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
    await project(migrated_dsn, appended(0, trade(0, time=start - 1), trade(1, time=start)))
    with psycopg.connect(migrated_dsn) as connection:
        found = connection.execute(
            "select trade_id, tableoid::regclass::text from prices_1.price_history order by 1"
        )
        assert found.fetchall() == [
            ("0", "prices_1.price_history_2026_01"),
            ("1", "prices_1.price_history_2026_02"),
        ]


async def test_two_processes_attach_the_same_months_at_once(
    migrated_dsn: str, side: Connection
) -> None:
    wanted = [JANUARY, MARCH, dt.date(2026, 7, 1)]
    others = [await connect(migrated_dsn, "test", {"search_path": "prices_1"}) for _ in range(3)]
    closed = await asyncio.gather(
        *(Months().make_ready(connection, wanted) for connection in (side, *others))
    )
    assert closed == [frozenset()] * 4
    assert len(attached(migrated_dsn)) == len(months(migrated_dsn)) == 6
    for connection in others:
        await connection.close()


async def test_two_workers_attach_the_same_months_at_once(migrated_dsn: str) -> None:
    """Each within a unit of work of its own, of another partition."""
    projectors = [Projector(Prices(), migrated_dsn) for _ in range(3)]
    for number, projector in enumerate(projectors):
        await projector.claim({Partition(TICKS.topic, number): LogStart(TOPIC_ID, 0)})
    units = [
        Batch(
            Partition(TICKS.topic, number),
            appended(40, *(in_month(month, number) for month in (JANUARY, MARCH))).records,
        )
        for number in range(3)
    ]
    await asyncio.gather(
        *(projector.commit([unit]) for projector, unit in zip(projectors, units, strict=True))
    )
    for projector in projectors:
        await projector.close()
    assert len(rows(migrated_dsn, "price_history")) == 6
    assert rows(migrated_dsn, "dead_letters") == []


async def test_a_month_is_closed_when_its_newest_append_is_old_beside_the_newest_of_all(
    migrated_dsn: str,
) -> None:
    """Append times alone count: no clock, and no event time."""
    await project(
        migrated_dsn,
        appended(0, in_month(JANUARY, 1), in_month(FEBRUARY, 2)),
        appended(5, in_month(FEBRUARY, 3), first=2),
        appended(10, in_month(dt.date(2025, 6, 1), 4), first=3),
    )
    assert await close(migrated_dsn, 10) == []
    assert await close(migrated_dsn, 9) == [JANUARY]
    assert await close(migrated_dsn, 9) == []
    assert months(migrated_dsn)[JANUARY] is True
    assert "price_history_2026_01" not in attached(migrated_dsn)
    assert [row["trade_id"] for row in rows(migrated_dsn, "price_history", '"offset"')] == [
        "2",
        "3",
        "4",
    ]
    assert await close(migrated_dsn, 4) == [FEBRUARY]
    assert months(migrated_dsn)[dt.date(2025, 6, 1)] is False
    with psycopg.connect(migrated_dsn) as connection:
        kept = connection.execute("select trade_id from prices_1.price_history_2026_01")
        assert kept.fetchall() == [("1",)], "the table stays, outside of price_history"


async def test_an_empty_history_closes_nothing(migrated_dsn: str, side: Connection) -> None:
    assert await close_old(side, 0) == []
    await Months().make_ready(side, [JANUARY])
    assert await close_old(side, 0) == []
    assert set(months(migrated_dsn).values()) == {False}


def refused(dsn: str) -> dict[int, str]:
    return {row["offset"]: row["error"] for row in rows(dsn, "dead_letters")}


async def with_january_closed(dsn: str) -> list[dict[str, Any]]:
    """January has a trade and is closed; returns the seconds there are."""
    await project(dsn, appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1))
    assert await close(dsn, 30) == [JANUARY]
    return [dict(row) for row in rows(dsn, "price_seconds", "second")]


@pytest.mark.parametrize("neighbours", [0, 1, 7], ids=lambda n: f"{n} neighbours")
async def test_a_late_trade_of_a_closed_month_is_a_dead_letter_that_says_so(
    migrated_dsn: str, neighbours: int
) -> None:
    seconds = await with_january_closed(migrated_dsn)
    late = [in_month(JANUARY, 3), in_month(JANUARY, 1, price="7.5")]
    good = [in_month(FEBRUARY, n) for n in range(neighbours)]
    await project(migrated_dsn, appended(41, *late, *good, first=2))
    letters = refused(migrated_dsn)
    assert letters.keys() == {2, 3}
    assert all("month is closed" in error for error in letters.values())
    assert len(rows(migrated_dsn, "price_history")) == 1 + neighbours
    now = rows(migrated_dsn, "price_seconds", "second")
    assert [row for row in now if row["second"] in {s["second"] for s in seconds}] == seconds


@pytest.mark.parametrize("neighbours", [0, 1, 7], ids=lambda n: f"{n} neighbours")
async def test_the_same_where_another_process_closed_the_month_meanwhile(
    migrated_dsn: str, neighbours: int
) -> None:
    """The worker remembers the month as open, and learns otherwise from the failing unit."""
    projector = Projector(Prices(), migrated_dsn)
    await claim(projector)
    await projector.commit(
        [appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1)]
    )
    assert await close(migrated_dsn, 30) == [JANUARY]
    seconds = rows(migrated_dsn, "price_seconds", "second")
    good = [in_month(FEBRUARY, 10 + n) for n in range(neighbours)]
    await projector.commit([appended(41, in_month(JANUARY, 3), *good, first=2)])
    letters = refused(migrated_dsn)
    assert letters.keys() == {2}
    assert "month is closed" in letters[2]
    assert len(rows(migrated_dsn, "price_history")) == 1 + neighbours
    now = rows(migrated_dsn, "price_seconds", "second")
    assert [row for row in now if row["second"].month != 2] == seconds
    await projector.close()


async def test_a_month_is_not_lost_where_closing_it_was_interrupted(
    migrated_dsn: str, side: Connection
) -> None:
    """Killed between the decision and the detachment: the next maintenance finishes it."""
    await project(
        migrated_dsn, appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1)
    )
    await side.execute("update price_months set closed = true where month = '2026-01-01'")
    await close_old(side, 60)
    assert "price_history_2026_01" not in attached(migrated_dsn)


async def test_a_detachment_that_was_interrupted_is_finished(
    migrated_dsn: str, side: Connection
) -> None:
    await project(
        migrated_dsn, appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1)
    )
    with psycopg.connect(migrated_dsn) as reader:
        reader.execute("select count(*) from prices_1.price_history")
        await side.execute("set lock_timeout = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await close_old(side, 30)
    await close_old(side, 30)
    assert "price_history_2026_01" not in attached(migrated_dsn)
    with psycopg.connect(migrated_dsn) as reader:
        pending = reader.execute("select count(*) from pg_inherits where inhdetachpending")
        assert pending.fetchone() == (0,)


async def test_maintenance_by_two_processes_at_once_closes_each_month_once(
    migrated_dsn: str,
) -> None:
    await project(
        migrated_dsn, appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1)
    )
    closed = await asyncio.gather(*(close(migrated_dsn, 30) for _ in range(4)))
    assert [month for found in closed for month in found] == [JANUARY]
    assert "price_history_2026_01" not in attached(migrated_dsn)


async def test_a_month_is_closed_by_maintenance(migrated_dsn: str) -> None:
    projector = Projector(Prices(), migrated_dsn)
    await projector.maintain(30)
    await claim(projector)
    await projector.commit(
        [appended(0, in_month(JANUARY, 1)), appended(40, in_month(MARCH, 2), first=1)]
    )
    await projector.maintain(41)
    assert not any(months(migrated_dsn).values())
    await projector.maintain(30)
    assert [month for month, closed in months(migrated_dsn).items() if closed] == [JANUARY]
    await projector.close()


@pytest.mark.usefixtures("both_ways")
async def test_who_was_taken_over_attaches_nothing(migrated_dsn: str) -> None:
    old, new = Projector(Prices(), migrated_dsn), Projector(Prices(), migrated_dsn)
    await claim(old)
    await claim(new)
    with pytest.raises(Fenced):
        await old.commit([log_of([in_month(JANUARY, 1)])])
    assert months(migrated_dsn) == {}
    await old.close()
    await new.close()


@pytest.mark.usefixtures("both_ways")
async def test_a_month_that_went_missing_is_attached_anew_for_a_single_record(
    migrated_dsn: str, side: Connection
) -> None:
    """As where an older copy of the database came back under a worker that goes on."""
    projector = Projector(Prices(), migrated_dsn)
    await claim(projector)
    await projector.commit([log_of([in_month(JANUARY, 1)])])
    await side.execute(f"drop table {partition_name(JANUARY)}".encode())
    await side.execute("delete from price_months where month = '2026-01-01'")
    await projector.commit([log_of([in_month(JANUARY, 2)], first=1)])
    await projector.close()
    assert rows(migrated_dsn, "dead_letters") == []
    assert [row["trade_id"] for row in rows(migrated_dsn, "price_history")] == ["2"]
