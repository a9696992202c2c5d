"""Lag and throughput of the last hour, kept in memory from the Pictures."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from streams.monitor.model import Group, Picture, Topic

__all__ = ["STEP_S", "History"]

STEP_S = 5
_POINTS = 3600 // STEP_S
_MICROS = 1_000_000
_OF_GROUPS = ("lag", "lag_s", "consumed", "arriving")
_OF_TOPICS = ("rate",)


@dataclass(frozen=True, slots=True)
class _Row:
    """Values of named things: `values` has as many for each name as there are columns."""

    names: tuple[str, ...]
    values: array[float]


@dataclass(frozen=True, slots=True)
class _Point:
    time: int
    groups: _Row
    topics: _Row


class History:
    """At most an hour, one point in five seconds: 8 bytes for each value."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque(maxlen=_POINTS)

    def add(self, picture: Picture) -> None:
        """Keep this Picture's numbers, if the last point is old enough.

        Points that lie ahead are dropped: the clock was set back.
        """
        if self._points:
            elapsed = picture.taken - self._points[-1].time
            if 0 <= elapsed < STEP_S * _MICROS:
                return
            if elapsed < 0:
                self._points.clear()
        self._points.append(
            _Point(
                picture.taken,
                _row(picture.groups, _OF_GROUPS),
                _row(picture.topics, _OF_TOPICS),
            )
        )

    def since(self, time: int) -> dict[str, Any]:
        """Points after a time, in microseconds since 1970 UTC, oldest first, by column.

        `times` are microseconds; `groups` and `topics` have for each name its columns, each as long
        as `times`, None where nothing was known.
        """
        points = [point for point in self._points if point.time > time]
        return {
            "step_s": STEP_S,
            "times": [point.time for point in points],
            "groups": _columns([point.groups for point in points], _OF_GROUPS),
            "topics": _columns([point.topics for point in points], _OF_TOPICS),
        }


def _row(members: Sequence[Group] | Sequence[Topic], columns: Sequence[str]) -> _Row:
    names = tuple(member.name for member in members)
    return _Row(names, array("d", _values(members, columns)))


def _values(members: Iterable[object], columns: Sequence[str]) -> Iterable[float]:
    for member in members:
        for column in columns:
            value = getattr(member, column)
            yield nan if value is None else float(value)


def _columns(
    rows: Sequence[_Row], columns: Sequence[str]
) -> dict[str, dict[str, list[float | None]]]:
    names = dict.fromkeys(name for row in rows for name in row.names)
    found: dict[str, dict[str, list[float | None]]] = {
        name: {column: [None] * len(rows) for column in columns} for name in names
    }
    for at, row in enumerate(rows):
        for place, name in enumerate(row.names):
            for step, column in enumerate(columns):
                value = row.values[place * len(columns) + step]
                found[name][column][at] = None if isnan(value) else round(value, 3)
    return found
