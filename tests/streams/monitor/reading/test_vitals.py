"""How fast a disk fills, how long a lock holds others up, how numbers are said."""

import pytest

from streams.monitor.reading.vitals import Blocking, Filling
from streams.monitor.sentences import ranges, span

GB = 10**9


def hours(*looks: tuple[float, int]) -> float | None:
    filling = Filling()
    found = [filling.hours_left(at, free) for at, free in looks]
    return found[-1]


def test_a_disk_that_does_not_fill_lasts() -> None:
    assert hours((0, 10 * GB)) is None
    assert hours((0, 10 * GB), (60, 10 * GB)) is None
    assert hours((0, 10 * GB), (60, 11 * GB)) is None


def test_a_disk_that_fills_fast_is_told_after_ten_seconds() -> None:
    assert hours((0, 10 * GB), (5, 9 * GB), (10, 8 * GB)) == pytest.approx(40 / 3600)


def test_a_short_burst_is_no_reason_to_fear_for_hours_from_now() -> None:
    assert hours((0, 100 * GB), (10, 99 * GB)) is None


def test_a_slow_leak_is_told_once_it_has_been_seen_for_long_enough() -> None:
    looks = [(at, 100 * GB - int(at * 10**7)) for at in range(0, 3600, 5)]
    found = hours(*looks)
    assert found == pytest.approx((100 * GB - 3595 * 10**7) / 10**7 / 3600, rel=0.01)


def test_the_pace_of_the_last_minute_counts_where_it_is_the_worse_one() -> None:
    slow = [(at, 100 * GB - at * 1000) for at in range(0, 600, 5)]
    fast = [(600 + at, 100 * GB - 600_000 - at * GB) for at in range(0, 60, 5)]
    found = hours(*slow, *fast)
    assert found is not None
    assert found < 0.05


def test_a_wait_that_is_broken_off_and_begins_again_is_one_wait() -> None:
    blocking = Blocking()
    assert blocking.waits(7, 1.0, 100.0) == 1.0
    assert blocking.waits(7, 4.0, 103.0) == 4.0
    assert blocking.waits(7, 0.5, 106.0) == 7.0


def test_another_holder_or_a_long_pause_is_another_wait() -> None:
    blocking = Blocking()
    blocking.waits(7, 5.0, 100.0)
    assert blocking.waits(8, 1.0, 101.0) == 1.0
    assert blocking.waits(8, 1.0, 108.0) == 1.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (200, "3 min 20 s"),
        (3600, "1.0 h"),
        (172_800, "2.0 days"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_partitions_are_named_by_topic_and_in_runs() -> None:
    places = [("b", 1), ("a", 3), ("a", 0), ("a", 1), ("a", 5)]
    assert ranges(places) == "a[0-1,3,5], b[1]"
