"""Trades that a venue numbered and that never came: noticed, asked for, and known from the log."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from streams.connectors.base import Request

__all__ = ["MOST_RECOVERED", "Missed", "Recovery", "Skipped", "Told", "TradeNumbers"]

#: Half-open range of trade numbers that never came, or None.
Skipped = tuple[int, int] | None

#: A gap of more trades stays one: so many are a matter for a backfill.
MOST_RECOVERED = 10_000


class TradeNumbers:
    """The highest trade number seen of each series, to notice the ones that never came.

    Outlives a connection, so that what was missed between two of them is noticed as well.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def arrived(self, series: str, number: int) -> Skipped:
        """Record that trade `number` arrived.

        Returns the numbers skipped before it, once; None when there are none, for the first
        number of a series, and for a repeat or a late arrival.
        """
        return self._advance(series, number, number)

    def is_next(self, series: str, number: int) -> bool:
        """Record that trade `number` arrived, if it is the one after the highest."""
        if self._highest.get(series) != number - 1:
            return False
        self._highest[series] = number
        return True

    def exist(self, series: str, last: int) -> Skipped:
        """Record that the venue has made all trades up to `last`, as a heartbeat says.

        Returns those of them that have not arrived, once.
        """
        return self._advance(series, last, last + 1)

    def _advance(self, series: str, highest: int, present: int) -> Skipped:
        seen = self._highest.get(series)
        if seen is None or highest > seen:
            self._highest[series] = highest
        return None if seen is None or present <= seen + 1 else (seen + 1, present)


class Missed(NamedTuple):
    """Trades of a symbol that never came: the numbers from `first` up to `end`, without it.

    `since` is the time of a trade before them, in microseconds since 1970 UTC; 0 if none is known.
    """

    symbol: str
    first: int
    end: int
    since: int


class Told:
    """What the log tells of the newest trades of each symbol, and which it says are missing."""

    def __init__(self) -> None:
        self._times: dict[str, dict[int, int]] = defaultdict(dict)
        self._gaps: dict[str, list[Missed]] = defaultdict(list)

    def trade(self, symbol: str, number: int, time: int) -> None:
        """Record a trade, with its time in microseconds since 1970 UTC."""
        self._times[symbol][number] = time

    def gap(self, missed: Missed) -> None:
        """Record that trades were said to be missing. A gap of more than MOST_RECOVERED is passed
        over: it is not asked for."""
        if missed.end - missed.first <= MOST_RECOVERED:
            self._gaps[missed.symbol].append(missed)

    def newest(self) -> dict[str, int]:
        """The newest trade's time of each symbol."""
        return {symbol: max(times.values()) for symbol, times in self._times.items()}

    def missing(self) -> list[Missed]:
        """What gaps named and no trade is of, the oldest of each symbol first.

        `since` is the time of the trade before; where none is told, that of the gap.
        """
        found: list[Missed] = []
        for symbol, gaps in self._gaps.items():
            times = self._times.get(symbol, {})
            numbers = sorted(times)
            for gap in _merged(gaps):
                for first, end in _without(numbers, gap.first, gap.end):
                    place = bisect_left(numbers, first)
                    since = times[numbers[place - 1]] if place else gap.since
                    found.append(Missed(symbol, first, end, since))
        return found


def _merged(gaps: Iterable[Missed]) -> list[Missed]:
    """The same numbers in gaps that neither overlap nor touch, in ascending order."""
    merged: list[Missed] = []
    for gap in sorted(gaps, key=lambda one: one.first):
        before = merged[-1] if merged else None
        if before is None or gap.first > before.end:
            merged.append(gap)
        else:
            end, since = max(before.end, gap.end), min(before.since, gap.since)
            merged[-1] = before._replace(end=end, since=since)
    return merged


def _without(numbers: Sequence[int], first: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a half-open range that none of these ascending numbers is in."""
    inside = numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]
    for number in (*inside, end):
        if first < number:
            yield first, number
        first = number + 1


class Recovery:
    """Which missed trades the REST API is being asked for.

    Outlives a connection: what one asked and was not told, the next asks again.
    """

    def __init__(self, told: Told | None = None) -> None:
        self._asked: dict[Request, Missed] = {}
        self._newest: dict[str, int] = {} if told is None else told.newest()
        self._missing: list[Missed] = [] if told is None else told.missing()

    def seen(self, symbol: str, time: int) -> None:
        """Record a trade's time, in microseconds since 1970 UTC."""
        self._newest[symbol] = max(time, self.newest(symbol))

    def newest(self, symbol: str) -> int:
        """The newest trade's time; 0 before the first."""
        return self._newest.get(symbol, 0)

    def asks(self, request: Request, missed: Missed) -> bool:
        """Record that the reply to this will hold the first of these trades.

        Returns whether it has to be said: not where the same was asked and is not answered yet.
        """
        other = self._asked.get(request)
        if other is not None:
            first, end = min(missed.first, other.first), max(missed.end, other.end)
            missed = missed._replace(first=first, end=end)
        self._asked[request] = missed
        return other is None

    def answered(self, request: Request) -> Missed | None:
        """What the request was for, once; None where nobody asked."""
        return self._asked.pop(request, None)

    def waiting(self) -> list[Request]:
        """What was asked and not answered."""
        return list(self._asked)

    def missing(self) -> list[Missed]:
        """What the log says is missing, once."""
        missing, self._missing = self._missing, []
        return missing

    def open(self) -> list[Missed]:
        """All that has not come and was not given up."""
        return [*self._asked.values(), *self._missing]
