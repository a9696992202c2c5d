"""Services by their heartbeats: who lives, who is gone, who was stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from streams.events.system_health import Heartbeat
from streams.monitor.reading.feeds import GONE, GONE_AFTER_S, Feeds
from streams.monitor.reading.history import last_heartbeats, open_incidents
from tests.streams.monitor.pictures import NOW, SECOND
from tests.streams.tape import add_row, execute

DAY = 86_400


def beat(age: float = 1.0, instance: str = "host/1/1", **fields: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "service": "producer/coinbase",
        "instance": instance,
        "state": "connected",
        "since": NOW - 3600 * SECOND,
        "detail": None,
        "last_frame": None,
        "frames": 0,
        "frames_per_second": Decimal(0),
        "events": 0,
        "reconnects": 0,
        "gaps": 0,
        "unparsed": 0,
        "clock_skew": None,
        "cpu_percent": Decimal(0),
        "memory_bytes": 0,
        "time": NOW - int(age * SECOND),
    }
    return Heartbeat.model_construct(**{**values, **fields})


def states(*beats: Heartbeat) -> list[tuple[str, str]]:
    feeds = Feeds()
    for one in beats:
        feeds.take(one)
    return [(one.instance, one.state) for one in feeds.seen(NOW)]


def test_a_service_that_missed_a_heartbeat_is_gone() -> None:
    assert states(beat(GONE_AFTER_S)) == [("host/1/1", "connected")]
    assert states(beat(GONE_AFTER_S + 0.001)) == [("host/1/1", GONE)]


def test_the_newest_heartbeat_counts_whatever_the_order() -> None:
    older, newer = beat(5, state="connecting"), beat(1)
    assert states(older, newer) == states(newer, older) == [("host/1/1", "connected")]


def test_all_that_live_are_seen_and_none_that_another_has_replaced() -> None:
    active, standby = beat(instance="host/1/1"), beat(instance="host/2/2", state="standby")
    killed = beat(60, instance="host/0/0")
    assert states(active, standby, killed) == [("host/1/1", "connected"), ("host/2/2", "standby")]


def test_of_what_has_ended_the_last_is_known_for_two_days() -> None:
    before = beat(3 * 3600, instance="host/0/0")
    stopped = beat(2 * 3600, instance="host/1/1", state="stopped")
    assert states(before, stopped) == [("host/1/1", "stopped")]
    assert states(beat(2 * DAY + 1, state="stopped")) == []


def test_runs_of_simulated_accounts_are_known_for_minutes() -> None:
    service = "producer/kalshi-account@simulated/demo/up-1/0"
    assert len(states(beat(599, service=service))) == 1
    assert states(beat(601, service=service)) == []


def test_what_is_usual_outlasts_a_minute_of_silence() -> None:
    feeds = Feeds()
    usual = []
    for at in range(60, 0, -5):
        rate = 12 if at > 30 else 0
        feeds.take(beat(at, frames_per_second=Decimal(rate)))
        usual += [one.usual_frames_per_second for one in feeds.seen(NOW - (at - 1) * SECOND)]
    assert usual[:6] == [12.0] * 6
    assert usual[-1] == pytest.approx(12 * (11 / 12) ** 6)


async def test_what_ran_before_is_read_of_the_projection(migrated_dsn: str) -> None:
    for instance, minutes, state in (("host/1/1", 9, "connected"), ("host/2/2", 5, "stopped")):
        add_row(
            migrated_dsn,
            "health_services",
            service="producer/coinbase",
            instance=instance,
            state=state,
            since="2026-11-30T00:00:00Z",
            frames=7,
            frames_per_second=Decimal("1.50"),
            events=5,
            reconnects=1,
            gaps=0,
            unparsed=0,
            cpu_percent=Decimal("0.5"),
            memory_bytes=1000,
            time="2026-11-30T00:00:00Z",
            content="x",
            appended="2026-11-30T00:00:00Z",
            partition=0,
            offset=minutes,
        )
        execute(
            migrated_dsn,
            "update health_services set time = now() - make_interval(mins => %s)"
            " where instance = %s",
            minutes,
            instance,
        )
    [found] = await last_heartbeats(migrated_dsn)
    assert (found.instance, found.state, found.frames) == ("host/2/2", "stopped", 7)


async def test_incidents_that_nobody_closed_are_read_of_the_projection(migrated_dsn: str) -> None:
    for number, closed in ((1, None), (2, "2026-11-30T00:01:00Z")):
        add_row(
            migrated_dsn,
            "health_incidents",
            incident=f"feed/a@{number}",
            cause="feed/a",
            action="opened",
            severity="critical",
            title="a: gone",
            symptoms=["a: gone"],
            opened="2026-11-30T00:00:00Z",
            closed=closed,
            changed="2026-11-30T00:00:00Z",
            service="monitor",
            content="x",
            appended="2026-11-30T00:00:00Z",
            partition=0,
            offset=number,
        )
    [found] = await open_incidents(migrated_dsn)
    assert (found.id, found.cause, found.title, found.closed) == (
        "feed/a@1",
        "feed/a",
        "a: gone",
        None,
    )


@pytest.mark.parametrize("read", [last_heartbeats, open_incidents])
async def test_without_tables_nothing_is_known_of_before(fresh_database: str, read: Any) -> None:
    assert await read(fresh_database) == []
