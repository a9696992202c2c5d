"""What is wrong in a picture, in sentences that name place, number and cause."""

from typing import Any

import pytest

from streams.monitor.incidents import causes_of
from streams.monitor.model import (
    Account,
    DeadLetters,
    Disk,
    Feed,
    Level,
    Picture,
    Postgres,
    Source,
    State,
    Trend,
)
from streams.monitor.sentences import span
from streams.monitor.symptoms import Symptom, follows, symptoms
from streams.monitor.thresholds import Thresholds
from tests.streams.monitor.pictures import NOW, SECOND, feed, group, partition, picture, source


def found(seen: Picture) -> list[Symptom]:
    return symptoms(seen, Thresholds())


def texts(seen: Picture) -> list[str]:
    return [one.text for one in found(seen)]


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert found(picture()) == []
    well = picture(
        sources=[Source("broker", True, NOW, None), Source("database", True, NOW, None)],
        groups=[group(), group(projection=None)],
        feeds=[feed(), feed("worker/prices")],
        freshness=[source()],
        accounts=[Account("kalshi/prod/main/0", 0, 0, "0.0000", 3, 0, None)],
        disks=[Disk("log", "/data", 50_000_000_000, 100_000_000_000, None)],
    )
    assert found(well) == []


def test_when_ticks_stop_it_is_one_incident_of_the_feed() -> None:
    seen = picture(
        groups=[group()],
        feeds=[feed(last_frame=NOW - 41 * SECOND)],
        freshness=[source(age_s=41.0)],
        accounts=[Account("kalshi/prod/main/0", 0, 0, "0", 3, 3, NOW - 41 * SECOND)],
    )
    assert texts(seen) == [
        "coinbase: connected, no frame for 41 s",
        "coinbase:BTC-USD: newest event 41 s old",
        "marks of 3 active trades stale since 00:52:39",
    ]
    assert list(causes_of(found(seen))) == ["feed/coinbase"]


def silence(**fields: Any) -> list[str]:
    """Of a feed whose prices are not old yet."""
    return texts(picture(feeds=[feed(**fields)], freshness=[source(age_s=9.0)]))


@pytest.mark.parametrize(
    ("silent_s", "unheard_s", "usual", "is_told"),
    [
        (8.0, 5.0, 5.0, True),
        (7.9, 4.9, 5.0, False),
        (8.0, 5.1, 5.0, False),  # frames came until 2.9 s before the heartbeat
        (14.0, 1.0, 4.9, False),
        (15.0, 1.0, 4.9, True),
    ],
)
def test_a_busy_feed_is_silent_before_its_prices_are_old(
    silent_s: float, unheard_s: float, usual: float, is_told: bool
) -> None:
    found = silence(
        last_frame=NOW - int(silent_s * SECOND),
        heard=NOW - int(unheard_s * SECOND),
        usual_frames_per_second=usual,
    )
    assert found == (["coinbase: connected, no frame for " + span(silent_s)] if is_told else [])


def kalshi(name: str, **values: Any) -> Feed:
    return feed(f"producer/kalshi-{name}@kalshi/prod/main", **values)


def test_the_feeds_of_one_venue_that_do_not_get_through_are_one_incident() -> None:
    refused = {"state": "connecting", "since": NOW - 8 * SECOND, "detail": "refused"}
    seen = picture(
        feeds=[kalshi("account", **refused), kalshi("books", **refused), kalshi("market")],
        freshness=[source("kalshi:KXBTCD", 61.0, topic="kalshi.market")],
    )
    assert texts(seen) == [
        "kalshi: 2 of its 3 feeds connecting",
        "kalshi-account@kalshi/prod/main: connecting since 00:53:12: refused",
        "kalshi-books@kalshi/prod/main: connecting since 00:53:12: refused",
        "kalshi:KXBTCD: newest event 61 s old",
    ]
    assert list(causes_of(found(seen))) == ["feeds/kalshi"]


def test_of_several_feeds_that_fail_in_different_ways_each_says_how() -> None:
    seen = picture(feeds=[kalshi("account", state="crashed"), kalshi("books", state="starting")])
    assert texts(seen)[0] == "kalshi: 2 of its 2 feeds not well"
    assert list(causes_of(found(seen))) == ["feeds/kalshi"]


def test_one_feed_of_several_is_named_itself() -> None:
    seen = picture(feeds=[kalshi("account", state="crashed"), kalshi("books"), feed()])
    first, second = texts(seen)
    assert first == second == "kalshi-account@kalshi/prod/main: crashed at 23:53:20"
    assert list(causes_of(found(seen))) == ["feeds/kalshi"]


def test_workers_hear_from_no_venue() -> None:
    workers = [
        feed("worker/prices", instance=f"host/{number}/1", state="crashed") for number in (1, 2)
    ]
    seen = picture(feeds=workers)
    assert texts(seen) == ["prices: crashed at 23:53:20"] * 2
    assert list(causes_of(found(seen))) == ["feed/prices"]


def test_a_demo_venue_is_not_the_real_one() -> None:
    demo = feed("producer/kalshi-books@kalshi/demo/main", state="crashed")
    seen = picture(feeds=[kalshi("account", state="crashed"), demo])
    assert sorted(causes_of(found(seen))) == [
        "feed/kalshi-account@kalshi/prod/main",
        "feed/kalshi-books@kalshi/demo/main",
    ]


def test_what_a_broker_takes_with_it_is_not_the_venues_fault() -> None:
    away = Source("broker", False, NOW, "no answer")
    gone = {"state": "gone", "heard": NOW - 20 * SECOND}
    seen = picture(sources=[away], feeds=[kalshi("account", **gone), kalshi("books", **gone)])
    assert list(causes_of(found(seen))) == ["broker"]


def test_all_that_a_venue_lets_grow_old_is_one_incident() -> None:
    old = [source("coinbase:BTC-USD", 20.0), source("coinbase:ETH-USD", 21.0)]
    seen = picture(freshness=[*old, source("kraken:BTC-USD", 22.0)])
    assert list(causes_of(found(seen))) == ["venue/coinbase", "venue/kraken"]


def test_a_venue_that_is_closed_may_be_silent() -> None:
    closed = source(age_s=500.0, is_open=False, level=Level.OK)
    seen = picture(feeds=[feed(last_frame=NOW - 500 * SECOND)], freshness=[closed])
    assert found(seen) == []


def test_what_somebody_stopped_is_not_missed() -> None:
    seen = picture(feeds=[feed(state="stopped")], freshness=[source(age_s=500.0)])
    assert found(seen) == []


def test_a_source_that_no_feed_is_known_of_is_missed() -> None:
    assert texts(picture(freshness=[source(age_s=61.0)])) == [
        "coinbase:BTC-USD: newest event 61 s old"
    ]


def test_prices_that_are_old_because_the_projection_is_behind_are_its_incident() -> None:
    behind = partition(lag=5000, lag_s=40.0, state=State.STUCK)
    seen = picture(groups=[group(behind)], feeds=[feed()], freshness=[source(age_s=40.0)])
    assert list(causes_of(found(seen))) == ["projection/prices"]
    assert texts(seen)[0] == "prices: stuck in price.ticks[0], 5,000 records wait for 40 s"


def test_what_happens_while_the_database_is_away_is_its_incident() -> None:
    stuck = partition(lag=12, lag_s=9.0, state=State.STUCK)
    seen = picture(
        sources=[Source("database", False, NOW - 9 * SECOND, "connection refused")],
        groups=[group(stuck)],
        freshness=[source(age_s=20.0)],
    )
    assert list(causes_of(found(seen))) == ["database"]
    assert texts(seen)[0] == (
        "the database does not answer: connection refused; last values of 00:53:11"
    )


def test_a_lock_that_is_held_names_who_waits_and_who_holds() -> None:
    blocked = "tickertape account waits for a lock for 12 s, which psql (pid 7) holds"
    seen = picture(postgres=postgres(blocked=blocked, blocked_s=12.0))
    [one] = found(seen)
    assert (one.node, one.level, one.text) == (
        "database",
        Level.CRITICAL,
        f"PostgreSQL: {blocked}",
    )
    assert found(picture(postgres=postgres(blocked=blocked, blocked_s=1.9))) == []


def postgres(**fields: Any) -> Postgres:
    well: dict[str, Any] = {
        "connections": 10,
        "max_connections": 100,
        "waiting_locks": 0,
        "blocked": None,
        "blocked_s": 0.0,
        "longest_transaction_s": 0.0,
        "longest_transaction": None,
        "slots": 0,
        "slots_bytes": 0,
        "dead_rows": 0,
        "live_rows": 0,
        "cache_hits": 1.0,
    }
    return Postgres(**{**well, **fields})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"longest_transaction_s": 301.0, "longest_transaction": "psql"},
            "PostgreSQL: psql has a transaction open for 5 min 1 s",
        ),
        ({"connections": 85}, "PostgreSQL: 85 of 100 connections taken"),
        (
            {"slots_bytes": 2_000_000_000},
            "PostgreSQL: a replication slot holds back 2.0 GB of WAL",
        ),
    ],
)
def test_vitals_of_the_database_that_are_too_much(fields: dict[str, Any], text: str) -> None:
    assert texts(picture(postgres=postgres(**fields))) == [text]


@pytest.mark.parametrize(
    ("state", "fields", "text"),
    [
        (State.DEAD, {}, "prices: nobody owns price.ticks[0-1], nothing waits"),
        (
            State.DEAD,
            {"lag": 5, "lag_s": 2.0},
            "prices: nobody owns price.ticks[0-1]; 10 records wait for 2.0 s",
        ),
        (
            State.LOST,
            {"start": 120, "end": 200, "lag": 80},
            "prices: 40 records of price.ticks[0-1] were deleted before they were read",
        ),
        (State.ANEW, {}, "prices: price.ticks was deleted and made anew"),
        (
            State.BEYOND,
            {"end": 50},
            "prices: at offset 100 of price.ticks[0-1], whose log ends at 50",
        ),
        (
            State.REWOUND,
            {"lag": 7},
            "prices: went back in price.ticks[0-1]; 14 records come again",
        ),
    ],
)
def test_each_state_of_a_projection_is_told(
    state: State, fields: dict[str, Any], text: str
) -> None:
    both = [partition(partition=number, state=state, **fields) for number in (0, 1)]
    assert texts(picture(groups=[group(*both)])) == [text]


def test_a_lag_says_how_far_behind_and_whether_it_is_made_up() -> None:
    late = partition(lag=900, lag_s=6.0)
    falling = group(late, trend=Trend.FALLING, catch_up_s=4.0)
    rising = group(late, trend=Trend.RISING, catch_up_s=None)
    assert texts(picture(groups=[falling])) == [
        "prices: 6.0 s behind, 900 records, caught up in 4.0 s"
    ]
    assert texts(picture(groups=[rising])) == [
        "prices: 6.0 s behind, 900 records, and falls further behind"
    ]


@pytest.mark.parametrize(
    ("lag_s", "level"), [(4.9, None), (5.0, Level.WARNING), (30.0, Level.CRITICAL)]
)
def test_a_lag_is_a_warning_or_critical_by_its_seconds(lag_s: float, level: Level | None) -> None:
    levels = [one.level for one in found(picture(groups=[group(partition(lag=9, lag_s=lag_s))]))]
    assert levels == ([] if level is None else [level])


def test_records_that_are_about_to_be_deleted_are_told_in_time() -> None:
    waiting = partition(lag=10, lag_s=1.0, hours_left=1.5)
    assert texts(picture(groups=[group(waiting)])) == [
        "prices: the first records that wait may be deleted in 1.5 h"
    ]


def test_a_group_of_others_that_nobody_uses_any_more_is_no_concern() -> None:
    left = partition(lag=10, lag_s=99.0, state=State.DEAD, moved=None)
    assert found(picture(groups=[group(left, projection=None, members=0)])) == []
    assert len(found(picture(groups=[group(left, projection=None, members=1)]))) == 1


@pytest.mark.parametrize(
    ("fields", "text", "level"),
    [
        (
            {"state": "gone", "heard": NOW - 9 * SECOND},
            "coinbase: gone, no heartbeat for 9.0 s from host/1/2",
            Level.CRITICAL,
        ),
        (
            {"state": "crashed", "since": NOW, "detail": "ValueError: no"},
            "coinbase: crashed at 00:53:20: ValueError: no",
            Level.CRITICAL,
        ),
        (
            {"state": "crashed", "since": NOW, "detail": "ValueError: no", "crash_loop": 6},
            "coinbase: crashed 6 times in quick succession, last at 00:53:20: ValueError: no",
            Level.CRITICAL,
        ),
        (
            {"state": "connecting", "since": NOW - 10 * SECOND},
            "coinbase: connecting since 00:53:10",
            Level.WARNING,
        ),
        (
            {"state": "connecting", "since": NOW - 30 * SECOND, "detail": "refused"},
            "coinbase: connecting since 00:52:50: refused",
            Level.CRITICAL,
        ),
    ],
)
def test_a_feed_that_does_not_work_says_why(
    fields: dict[str, Any], text: str, level: Level
) -> None:
    [one] = found(picture(feeds=[feed(**fields)]))
    assert (one.text, one.level) == (text, level)


def test_a_standby_is_well() -> None:
    assert found(picture(feeds=[feed(state="standby")])) == []


@pytest.mark.parametrize(
    ("free", "hours", "level"),
    [
        (50, None, None),
        (9, None, Level.WARNING),
        (2, None, Level.CRITICAL),
        (50, 25.0, None),
        (50, 23.0, Level.WARNING),
        (50, 1.0, Level.CRITICAL),
    ],
)
def test_a_disk_is_told_by_what_is_left_and_by_the_time_that_it_lasts(
    free: int, hours: float | None, level: Level | None
) -> None:
    disk = Disk("log", "/data", free * 10**9, 100 * 10**9, hours)
    assert [one.level for one in found(picture(disks=[disk]))] == ([level] if level else [])


def test_dead_letters_of_the_account_are_critical() -> None:
    letters = [DeadLetters("account", "no ticket", 2, NOW), DeadLetters("prices", "bad", 1, NOW)]
    assert [(one.level, one.text) for one in found(picture(dead_letters=letters))] == [
        (Level.CRITICAL, "account: 2 dead letters, most for: no ticket"),
        (Level.WARNING, "prices: 1 dead letters, most for: bad"),
    ]


def test_what_does_not_add_up_in_an_account_is_told_with_patience() -> None:
    account = Account("kalshi/prod/main/0", 1, 2, "-0.0300", 0, 0, None)
    seen = found(picture(accounts=[account]))
    assert [one.text for one in seen] == [
        "kalshi/prod/main/0: 1 fills that belong to no trade",
        "kalshi/prod/main/0: 2 positions of which the venue says otherwise",
        "kalshi/prod/main/0: -0.0300 dollars of cash that nothing explains",
    ]
    assert {one.patience_s for one in seen} == {60.0}


@pytest.mark.parametrize(
    ("service", "followed"),
    [
        ("producer/coinbase", [("price.ticks", "coinbase")]),
        ("producer/coinbase-advanced", [("price.ticks", "coinbase_advanced")]),
        ("producer/kalshi-books@kalshi/demo/main", [("kalshi.market", "kalshi_demo")]),
        (
            "producer/kalshi-market@kalshi/prod/main",
            [("kalshi.market", "kalshi"), ("price.ticks", "cfbenchmarks")],
        ),
        ("producer/kalshi-account@kalshi/prod/main", [("kalshi.account", "kalshi/prod/main")]),
        ("worker/prices", []),
    ],
)
def test_what_a_feed_follows(service: str, followed: list[tuple[str, str]]) -> None:
    assert list(follows(service)) == followed
