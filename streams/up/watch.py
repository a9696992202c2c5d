"""Readings in the background, so that a slow broker or database holds up neither view nor stop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg

from streams.errors import UserError
from streams.up.readings import Reader, Reading

__all__ = ["Latest", "Speed", "Watch"]

_EVERY = 0.5
#: Seconds over which events per second are taken.
_WINDOW = 3.0


@dataclass(frozen=True)
class Latest:
    """The newest reading, events/s by projection, and why there is no newer one, if so.

    `flows` are events/s that are appended, by the family of topics: price, kalshi, trade.
    """

    reading: Reading | None = None
    speeds: Mapping[str, float] = field(default_factory=dict)
    flows: Mapping[str, float] = field(default_factory=dict)
    trouble: str | None = None


class Speed:
    """Events per second, from the movement of a projection's checkpoints."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, taken: float, position: int) -> float:
        """The speed over the last few seconds, with this newest point; 0 if it went backwards."""
        self._points.append((taken, position))
        while len(self._points) > 2 and taken - self._points[1][0] >= _WINDOW:
            self._points.popleft()
        first, start = self._points[0]
        return max(0.0, (position - start) / (taken - first)) if taken > first else 0.0


class Watch:
    """Reads until stopped; `latest` may be looked at from any thread."""

    def __init__(self, reader: Reader) -> None:
        self.latest = Latest()
        self._reader = reader
        self._speeds: dict[str, Speed] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="readings")
        self._thread.start()

    def stop(self) -> bool:
        """Read no more; whether the reader is free now (a hanging request may hold it)."""
        self._stopping.set()
        self._thread.join(_WINDOW)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                reading = self._reader.read()
            except (UserError, psycopg.Error) as error:
                trouble = " ".join(str(error).split())
                self.latest = Latest(self.latest.reading, trouble=trouble)
            else:
                self.latest = Latest(reading, self._measure(reading), self._flows(reading))
            self._stopping.wait(_EVERY)

    def _measure(self, reading: Reading) -> dict[str, float]:
        return {
            one.name: self._speed(one.name, reading.taken, one.position)
            for one in reading.projections
        }

    def _flows(self, reading: Reading) -> dict[str, float]:
        ends: dict[str, int] = {}
        for topic, end in reading.ends.items():
            family = topic.partition(".")[0]
            ends[family] = ends.get(family, 0) + end
        return {
            family: self._speed(f"{family}.", reading.taken, end) for family, end in ends.items()
        }

    def _speed(self, name: str, taken: float, position: int) -> float:
        return self._speeds.setdefault(name, Speed()).add(taken, position)
