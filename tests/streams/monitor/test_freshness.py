"""The age of a source by event time, judged by its own limits, while its market is open."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from streams.events.types import micros_of
from streams.monitor.freshness import freshness, is_in_hours
from streams.monitor.model import Level
from streams.monitor.reading.tables import Newest
from streams.monitor.thresholds import Limits, Thresholds
from tests.streams.monitor.pictures import NOW, SECOND

EASTERN = ZoneInfo("America/New_York")


def level(age_s: float, topic: str = "price.ticks", *, is_open: bool = True) -> Level:
    newest = Newest(topic, "coinbase:BTC-USD", NOW - int(age_s * SECOND), is_open)
    [found] = freshness([newest], NOW, Thresholds())
    assert found.age_s == age_s
    return found.level


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0.0, Level.OK),
        (14.9, Level.OK),
        (15.0, Level.WARNING),
        (59.9, Level.WARNING),
        (60.0, Level.CRITICAL),
    ],
)
def test_prices_are_slow_after_15_seconds_and_critical_after_60(
    age_s: float, expected: Level
) -> None:
    assert level(age_s) == expected


def test_markets_have_twice_the_time_and_none_while_they_are_closed() -> None:
    assert level(29.9, "kalshi.market") == Level.OK
    assert level(30.0, "kalshi.market") == Level.WARNING
    assert level(5000.0, "kalshi.market", is_open=False) == Level.OK


def test_an_event_of_the_future_is_as_fresh_as_can_be() -> None:
    [found] = freshness([Newest("price.ticks", "a:B", NOW + SECOND, True)], NOW, Thresholds())
    assert found.age_s == 0.0


def test_what_told_nothing_for_two_days_is_followed_no_more() -> None:
    old = Newest("price.ticks", "a:B", NOW - 2 * 86_400 * SECOND, True)
    assert freshness([old], NOW, Thresholds()) == []


@pytest.mark.parametrize(
    ("hour", "minute", "is_open"), [(2, 59, True), (3, 0, False), (4, 59, False), (5, 0, True)]
)
def test_kalshi_rests_on_thursday_mornings(hour: int, minute: int, is_open: bool) -> None:
    for month in (1, 7):  # winter and summer time
        day = next(
            day for day in range(1, 8) if datetime(2026, month, day, tzinfo=EASTERN).weekday() == 3
        )
        now = micros_of(datetime(2026, month, day, hour, minute, tzinfo=EASTERN))
        assert is_in_hours("kalshi", now) is is_open
        assert is_in_hours("coinbase", now)
        assert is_in_hours("kalshi", now + 86_400 * SECOND)


def test_the_limits_that_are_named_most_closely_count() -> None:
    thresholds = Thresholds(stale_s={"price.ticks": 60.0, "kraken": 10.0, "kraken:ETH-USD": 300.0})
    assert thresholds.fresh("price.ticks", "coinbase:BTC-USD") == Limits(30.0, 60.0, 120.0)
    assert thresholds.fresh("price.ticks", "kraken:BTC-USD") == Limits(5.0, 10.0, 20.0)
    assert thresholds.fresh("price.ticks", "kraken:ETH-USD") == Limits(150.0, 300.0, 600.0)
    assert thresholds.fresh("kalshi.market", "kalshi:KXBTCD") == Limits(30.0, 60.0, 120.0)
