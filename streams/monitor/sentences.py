"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from streams.events.types import moment

__all__ = ["clock", "ranges", "span"]


def span(seconds: float) -> str:
    """A duration: `0.4 s`, `41 s`, `3 min 20 s`, `5.1 h`, `2.5 days`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def clock(micros: int) -> str:
    """The time of day, UTC, to the second: what incidents of today are told by."""
    return f"{moment(micros):%H:%M:%S}"


def ranges(places: Iterable[tuple[str, int]]) -> str:
    """Partitions by topic, runs in short: `price.ticks[0-3], trade.events[1]`."""
    found = []
    for topic, some in groupby(sorted(places), key=lambda place: place[0]):
        runs: list[list[int]] = []
        for _, number in some:
            if runs and number == runs[-1][1] + 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        found.append(f"{topic}[{','.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)}]")
    return ", ".join(found)
