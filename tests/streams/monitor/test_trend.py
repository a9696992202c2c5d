"""Pace and trend of a group, from looks a second apart."""

from streams.monitor.model import Trend
from streams.monitor.trend import Course, Pace


def course(*looks: tuple[int, int]) -> Pace:
    """The pace after looks (position, end), one a second."""
    found = Course()
    for second, (position, end) in enumerate(looks):
        pace = found.add(float(second), position, end, end - position)
    return pace


def test_one_look_tells_no_pace() -> None:
    assert course((0, 0)) == Pace(None, None, Trend.STEADY, 0.0)
    assert course((0, 50)) == Pace(None, None, Trend.STEADY, None)


def test_a_group_that_reads_faster_than_records_come_will_have_caught_up() -> None:
    assert course((0, 1000), (300, 1100), (600, 1200)) == Pace(300.0, 100.0, Trend.FALLING, 3.0)


def test_a_group_that_falls_behind_will_never() -> None:
    assert course((0, 100), (10, 300)) == Pace(10.0, 200.0, Trend.RISING, None)


def test_a_group_that_keeps_its_lag_is_steady() -> None:
    assert course((0, 100), (50, 150)) == Pace(50.0, 50.0, Trend.STEADY, None)


def test_a_few_records_more_or_less_are_no_trend() -> None:
    assert course((0, 0), (100, 109)).trend == Trend.STEADY
    assert course((0, 0), (100, 110)).trend == Trend.RISING
    assert course((0, 1000), (50, 1000)).trend == Trend.FALLING
    assert course((0, 1000), (49, 1000)).trend == Trend.STEADY


def test_what_went_back_is_compared_with_nothing_before() -> None:
    assert course((500, 600), (100, 700)) == Pace(None, None, Trend.STEADY, None)


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    found = Course()
    for second in range(100):
        pace = found.add(float(second), min(second, 50) * 10, 1000, 1000 - min(second, 50) * 10)
    assert pace.consumed == 0.0
