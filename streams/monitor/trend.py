"""Where a lag goes: records per second in and out, and the time until nothing waits."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from streams.monitor.model import Trend

__all__ = ["Course", "Pace"]

#: Seconds over which pace and trend are taken.
_WINDOW_S = 30.0
#: A lag that changes by less than this, in records and as a part of itself, is steady.
_LEAST_RECORDS = 10
_LEAST_PART = 0.05


class Pace(NamedTuple):
    """Records/s that are read and that arrive, the trend of the lag, and seconds until it is 0.

    None where there is no telling: too few looks, or a lag that does not fall.
    """

    consumed: float | None
    arriving: float | None
    trend: Trend
    catch_up_s: float | None


class _Point(NamedTuple):
    at: float
    position: int
    end: int
    lag: int


class Course:
    """The last looks at one group: the sums over its partitions."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque()

    def add(self, at: float, position: int, end: int, lag: int) -> Pace:
        """The pace with this newest look; `at` in seconds of a clock that never jumps."""
        last = self._points[-1] if self._points else None
        if last is not None and (position < last.position or end < last.end or at <= last.at):
            self._points.clear()  # rewound, or another set of partitions: nothing to compare with
        self._points.append(_Point(at, position, end, lag))
        while len(self._points) > 2 and at - self._points[1].at >= _WINDOW_S:
            self._points.popleft()
        first = self._points[0]
        seconds = at - first.at
        if seconds <= 0:
            return Pace(None, None, Trend.STEADY, None if lag else 0.0)
        consumed = (position - first.position) / seconds
        arriving = (end - first.end) / seconds
        return Pace(consumed, arriving, _trend(first.lag, lag), _until(lag, consumed - arriving))


def _trend(before: int, lag: int) -> Trend:
    least = max(_LEAST_RECORDS, _LEAST_PART * before)
    if abs(lag - before) < least:
        return Trend.STEADY
    return Trend.RISING if lag > before else Trend.FALLING


def _until(lag: int, gaining: float) -> float | None:
    if not lag:
        return 0.0
    return lag / gaining if gaining > 0 else None
