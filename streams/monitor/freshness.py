"""How old the newest event of each source is, by event time: no lag is no proof of fresh data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from streams.events.types import moment
from streams.monitor.model import Freshness, Level
from streams.monitor.reading.tables import Newest
from streams.monitor.thresholds import Limits, Thresholds

__all__ = ["freshness", "is_in_hours"]

_EASTERN = ZoneInfo("America/New_York")
_SECOND = 1_000_000
#: A source that told nothing for so long is one that is followed no more.
_FORGOTTEN_AFTER = timedelta(days=2)


class _Closed(NamedTuple):
    """A weekly pause of a venue, in Eastern time; `weekday` 0 is Monday."""

    weekday: int
    begins: time
    ends: time


#: Kalshi trades around the clock but for its maintenance, Thursdays from 3 to 5 in the morning.
_CLOSED: Mapping[str, tuple[_Closed, ...]] = {"kalshi": (_Closed(3, time(3), time(5)),)}


def is_in_hours(venue: str, now: int) -> bool:
    """Whether the venue's week says that it trades at `now`, microseconds since 1970 UTC."""
    local = moment(now).astimezone(_EASTERN)
    return not any(
        local.weekday() == pause.weekday and pause.begins <= local.time() < pause.ends
        for pause in _CLOSED.get(venue, ())
    )


def freshness(newest: Iterable[Newest], now: int, thresholds: Thresholds) -> list[Freshness]:
    """Each source at `now`; without those that are followed no more."""
    return [
        _one(source, now, thresholds.fresh(source.topic, source.source))
        for source in newest
        if moment(now) - moment(source.time) < _FORGOTTEN_AFTER
    ]


def _one(source: Newest, now: int, limits: Limits) -> Freshness:
    age = max(0.0, (now - source.time) / _SECOND)
    is_open = source.is_open and is_in_hours(source.source.partition(":")[0], now)
    return Freshness(
        topic=source.topic,
        source=source.source,
        newest=source.time,
        age_s=age,
        warn_s=limits.warn_s,
        stale_s=limits.stale_s,
        critical_s=limits.critical_s,
        is_open=is_open,
        level=_level(age, limits) if is_open else Level.OK,
    )


def _level(age: float, limits: Limits) -> Level:
    if age >= limits.critical_s:
        return Level.CRITICAL
    return Level.WARNING if age >= limits.warn_s else Level.OK
