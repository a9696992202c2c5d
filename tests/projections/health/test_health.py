"""The history of health: what the newest event of each key says, whatever came in which order."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.health import KEEP_DAYS, Health
from projections.redrive import Outcome
from streams.events import Event
from streams.events.types import moment
from tests.projections.health.reference import folded
from tests.projections.health.told import (
    DAY,
    HEALTH,
    SECOND,
    START,
    batch_of,
    beat,
    contents,
    cut,
    in_order,
    incident,
    project,
    reset,
    restart,
    run,
    stored,
)
from tests.projections.logs import NOON, rows, trade, unreadable
from tests.projections.redriven import older, redrive
from tests.projections.redriven import project as project_by
from tests.strategies import few, many_at_once

pytestmark = pytest.mark.usefixtures("both_ways")

MINUTE = 60 * SECOND
DAY_MS = 86_400_000
NOON_MS = NOON * 1000

#: Times around noon that often collide, some minutes apart, and some over a week old.
_times = st.sampled_from([0, 1, 5 * SECOND, MINUTE, 3 * MINUTE, -KEEP_DAYS * DAY, -8 * DAY])
_services = st.sampled_from(["producer/coinbase", "worker/prices"])


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Events of few keys, which often contradict each other."""
    at, number = draw(_times), draw(st.integers(0, 2))
    kind = draw(st.sampled_from(["beat", "restart", "incident"]))
    if kind == "beat":
        return beat(
            at,
            service=draw(_services),
            instance=draw(st.sampled_from(["host/1/1", "host/2/2"])),
            state=draw(st.sampled_from(["connected", "crashed"])),
            since=START + draw(st.sampled_from([0, -MINUTE])),
            detail=draw(st.sampled_from([None, "topic", "it's\n\u2028"])),
            crash_loop=draw(st.sampled_from([None, 5])),
            frames=number,
        )
    if kind == "restart":
        action = draw(st.sampled_from(["restarted", "crash_loop"]))
        return restart(at, action=action, restarts=number)
    action = draw(st.sampled_from(["opened", "changed", "closed"]))
    return incident(
        at,
        incident=draw(st.sampled_from(["one", "two"])),
        cause=draw(st.sampled_from(["database", "feed/kraken"])),
        action=action,
        severity=draw(st.sampled_from(["warning", "critical"])),
        symptoms=draw(st.sampled_from([(), ("topic", 'a "b", {c}'), ("lag", "NULL")])),
        closed=START + at if action == "closed" else None,
    )


#: Events and when they were appended: hours, and days, after noon.
_told = st.tuples(
    events(), st.sampled_from([0, 3_600_000, DAY_MS, 6 * DAY_MS]).map(lambda ms: NOON_MS + ms)
)


@few
@given(
    log=st.lists(_told, min_size=1, max_size=30),
    lengths=st.lists(st.integers(1, 9), max_size=5),
    data=st.data(),
)
def test_any_order_any_repetition_and_any_units_give_the_rows_of_a_plain_fold(
    migrated_dsn: str, log: list[tuple[Event, int]], lengths: list[int], data: st.DataObject
) -> None:
    wanted = in_order(folded(log))
    for _ in range(3):
        reset(migrated_dsn)
        told = data.draw(st.permutations(log + data.draw(st.lists(st.sampled_from(log)))))
        asyncio.run(project(migrated_dsn, *cut(batch_of(told), lengths)))
        assert contents(migrated_dsn) == wanted
    assert rows(migrated_dsn, "dead_letters") == []


@many_at_once
@given(log=st.lists(_told, min_size=2, max_size=20), data=st.data())
def test_a_dead_letter_comes_late_as_well_as_in_its_place(
    migrated_dsn: str, log: list[tuple[Event, int]], data: st.DataObject
) -> None:
    reset(migrated_dsn)
    refused = data.draw(st.sets(st.integers(0, len(log) - 1), min_size=1))
    program = older(Health, refused, HEALTH.topic)
    asyncio.run(project_by(migrated_dsn, program, [batch_of(log)]))
    outcomes = asyncio.run(redrive(migrated_dsn, Health()))
    assert outcomes == [Outcome("projected")] * len(refused)
    assert contents(migrated_dsn) == in_order(folded(log))


def test_the_newest_heartbeat_of_each_run_of_a_service_is_kept_whole(migrated_dsn: str) -> None:
    told = beat(
        5,
        detail="why",
        crash_loop=7,
        last_frame=START + 1,
        scope="coinbase.BTC-USD",
        complete_until=START + 2,
        frames=2**63 - 1,
    )
    run(migrated_dsn, [told, beat(4), beat(3, instance="host/2/2", state="standby")], [1, 1])
    first, second = rows(migrated_dsn, "health_services", "instance")
    assert (second["state"], second["time"]) == ("standby", moment(START + 3))
    for name in ("state", "detail", "crash_loop", "frames", "events", "clock_skew", "scope"):
        assert first[name] == getattr(told, name)
    for name in ("since", "last_frame", "complete_until", "time"):
        assert first[name] == moment(getattr(told, name))
    assert (first["frames_per_second"], first["cpu_percent"]) == ("1.50", "3.5")
    assert (first["topic"], first["partition"], first["offset"]) == ("system.health", 0, 0)
    assert first["appended"] == moment(START + SECOND)


def test_each_state_that_a_service_was_in_is_one_row(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            beat(0, state="connecting", since=START),
            beat(1, state="connecting", since=START, detail="refused"),
            beat(2, state="connected", since=START + 2),
            beat(9, state="connected", since=START + 2),
            beat(10, state="connecting", since=START + 10),
        ],
        [2, 1],
    )
    found = rows(migrated_dsn, "health_changes", "since, state")
    assert [(one["state"], one["detail"], one["last_seen"]) for one in found] == [
        ("connecting", "refused", moment(START + 1)),
        ("connected", None, moment(START + 9)),
        ("connecting", None, moment(START + 10)),
    ]


def test_a_minute_is_as_its_last_heartbeat_said(migrated_dsn: str) -> None:
    beats = [beat(at * SECOND, frames=at) for at in (0, 5, 59, 60, 61)]
    run(migrated_dsn, beats, [2, 2])
    found = rows(migrated_dsn, "health_minutes", "minute")
    assert [(one["minute"], one["frames"]) for one in found] == [
        (moment(START), 59),
        (moment(START + MINUTE), 61),
    ]


def test_an_incident_is_one_row_from_its_opening_to_its_closing(migrated_dsn: str) -> None:
    closed = incident(
        9, action="closed", severity="critical", closed=START + 9, symptoms=("a", "b")
    )
    run(migrated_dsn, [incident(0), closed, incident(9, action="changed"), incident(5)], [1, 1])
    [row] = rows(migrated_dsn, "health_incidents")
    assert (row["action"], row["severity"], row["symptoms"]) == ("closed", "critical", ["a", "b"])
    assert (row["opened"], row["closed"]) == (moment(START), moment(START + 9))
    assert row["changed"] == moment(START + 9)


def test_each_restart_is_one_row(migrated_dsn: str) -> None:
    told = [restart(0), restart(5, restarts=2), restart(5, service="process/expire"), restart(0)]
    run(migrated_dsn, told, [1])
    assert len(rows(migrated_dsn, "health_restarts")) == 3


def test_what_is_no_event_of_its_topic_is_a_dead_letter_and_the_others_count(
    migrated_dsn: str,
) -> None:
    at = NOON_MS + 1000
    batch = batch_of(
        [
            (beat(0), at),
            (trade(), at),
            (beat(1, detail="\0"), at),
            (beat(2, clock_skew=2**70), at),
            (beat(30 * 3600 * SECOND), at),
            (beat(3), at),
            (restart(reason="\0"), at),
            (incident(symptoms=("lag", "\0")), at),
            (restart(), at),
        ]
    )
    records: list[Any] = list(batch.records)
    records[8] = unreadable(records[8])
    asyncio.run(project(migrated_dsn, replace(batch, records=records)))
    letters = {row["offset"]: row["error"] for row in rows(migrated_dsn, "dead_letters")}
    assert sorted(letters) == [1, 2, 3, 4, 6, 7, 8]
    assert "belongs to the topic price.ticks" in letters[1]
    assert "more than a day after" in letters[4]
    [row] = stored(migrated_dsn, "health_services")
    assert row["time"] == moment(START + 3)


def appended(days: float) -> int:
    return NOON_MS + int(days * DAY_MS)


async def test_seven_days_are_kept_back_from_the_newest_record(migrated_dsn: str) -> None:
    old = [beat(0), restart(0), incident(0)]
    later = [beat(MINUTE * 60, frames=99)]
    await project(migrated_dsn, batch_of([(one, NOON_MS) for one in old]))
    await project(migrated_dsn, batch_of([(one, appended(1 / 24)) for one in later], 3))
    trigger = beat(7 * DAY, service="worker/prices")
    await project(migrated_dsn, batch_of([(trigger, appended(KEEP_DAYS))], 4))
    assert len(rows(migrated_dsn, "health_minutes")) == 3, "noon itself is seven days old"
    trigger = beat(7 * DAY + MINUTE * 60, service="worker/prices")
    await project(migrated_dsn, batch_of([(trigger, appended(KEEP_DAYS + 1 / 24))], 5))
    assert [row["frames"] for row in rows(migrated_dsn, "health_minutes", "minute")] == [99, 10, 10]
    assert rows(migrated_dsn, "health_restarts") == rows(migrated_dsn, "health_incidents") == []
    [kept] = rows(migrated_dsn, "health_kept")
    assert kept["since"] == moment(START) + dt.timedelta(hours=1)


async def test_what_is_older_than_that_is_not_written_any_more(migrated_dsn: str) -> None:
    await project(migrated_dsn, batch_of([(beat(8 * DAY), appended(8))]))
    await project(migrated_dsn, batch_of([(beat(0, instance="host/2/2"), appended(8))], 1))
    assert [row["instance"] for row in rows(migrated_dsn, "health_services")] == ["host/1/1"]
    assert rows(migrated_dsn, "dead_letters") == []


def test_a_log_that_lost_its_first_records_makes_the_rows_that_are_kept(migrated_dsn: str) -> None:
    """As a rebuild does, when retention deleted what is over seven days old."""
    log = [
        (event, appended(day))
        for day in range(12)
        for event in (
            beat(day * DAY, since=START, frames=day),
            incident(day * DAY, action="changed"),
            restart(day * DAY),
        )
    ]
    asyncio.run(project(migrated_dsn, *cut(batch_of(log), [1] * 20)))
    live = contents(migrated_dsn)
    assert {name: len(found) for name, found in live.items()} == {
        "health_services": 1,
        "health_changes": 1,
        "health_minutes": 8,
        "health_restarts": 8,
        "health_incidents": 1,
    }
    reset(migrated_dsn)
    asyncio.run(project(migrated_dsn, batch_of(log[4 * 3 :], 4 * 3)))
    assert contents(migrated_dsn) == live
