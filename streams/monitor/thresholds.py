"""From when on something is too much: defaults, and what an operator sets instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.settings import Settings

__all__ = ["Limits", "Thresholds", "thresholds_of"]


class Limits(NamedTuple):
    """Ages in seconds from which a source is slow, stale, and critically so."""

    warn_s: float
    stale_s: float
    critical_s: float


#: Prices: thresholds of the system that this one replaces. Markets: a quote changes less often.
_FRESH: Mapping[str, Limits] = {
    "price.ticks": Limits(15.0, 30.0, 60.0),
    "kalshi.market": Limits(30.0, 60.0, 120.0),
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Lags in seconds, what is left of disks in hours, connections and memory as parts of all.

    `stale_s` has other ages than the defaults: by source (`coinbase:BTC-USD`), by venue, or by
    topic; whichever is named most closely counts.
    """

    lag_warn_s: float = 5.0
    lag_critical_s: float = 30.0
    loss_warn_h: float = 24.0
    loss_critical_h: float = 2.0
    disk_warn_h: float = 24.0
    disk_critical_h: float = 2.0
    disk_warn_part: float = 0.10
    disk_critical_part: float = 0.03
    lock_warn_s: float = 2.0
    lock_critical_s: float = 6.0
    transaction_warn_s: float = 300.0
    connections_warn_part: float = 0.85
    slots_warn_bytes: int = 1_000_000_000
    memory_warn_part: float = 0.95
    stale_s: Mapping[str, float] = field(default_factory=dict)

    def fresh(self, topic: str, source: str) -> Limits:
        """The limits of a source: an own `stale_s` moves all three in proportion."""
        limits = _FRESH[topic]
        venue = source.partition(":")[0]
        stale = next(
            (self.stale_s[name] for name in (source, venue, topic) if name in self.stale_s),
            limits.stale_s,
        )
        part = stale / limits.stale_s
        return Limits(*(part * limit for limit in limits))


def thresholds_of(settings: Settings) -> Thresholds:
    """The thresholds in force."""
    return Thresholds(
        lag_warn_s=settings.lag_warn_s,
        lag_critical_s=settings.lag_critical_s,
        stale_s=settings.stale_s,
    )
