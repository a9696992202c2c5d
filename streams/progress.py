"""How a worker gets on with one projection: counted by its event loop, read by any thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["Progress", "ProgressCollector", "why_not_live", "why_not_ready"]

_LABELS = ["projection"]
#: Units that take as long as this (seconds) or less are counted together.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
#: Records that wait for so long before a worker, or a fetch that takes so long, is no progress.
_STANDS_S = 30.0


class Progress:
    """Units of work, and since when records wait for one. Times are monotonic seconds."""

    def __init__(
        self, projection: str, partitions: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        """`partitions` tells how many it holds, `clock` what time it is."""
        self.projection = projection
        self.partitions = partitions
        self.records = 0
        self.units = 0
        self.seconds = 0.0
        self.recoveries = 0
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.committed_at: float | None = None
        self._clock = clock
        self._waiting_since: float | None = None

    def waits(self) -> None:
        """Records are there that are not committed."""
        if self._waiting_since is None:
            self._waiting_since = self._clock()

    def committed(self, records: int, seconds: float) -> None:
        """A unit of work is; those that came meanwhile have waited since now."""
        self.records += records
        self.units += 1
        self.seconds += seconds
        bucket = next((i for i, limit in enumerate(_BUCKETS) if seconds <= limit), len(_BUCKETS))
        self.counts[bucket] += 1
        self.committed_at = time.time()
        self._waiting_since = None

    def recovers(self) -> None:
        """It goes back to the checkpoints, and what was held is read again."""
        self.recoveries += 1
        self._waiting_since = None

    def stands_for(self) -> float:
        """Seconds that records have waited without a commit; 0 where none wait."""
        since = self._waiting_since
        return 0.0 if since is None else self._clock() - since


class ProgressCollector(Collector):
    """The Prometheus metrics of a worker's projections."""

    def __init__(self, some: Sequence[Progress]) -> None:
        self._some = some

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        records = _counter("tape_worker_records", "Records that were projected.")
        units = _counter("tape_worker_units", "Units of work that were committed.")
        back = _counter("tape_worker_recoveries", "Times it went back to the checkpoints.")
        held = _gauge("tape_worker_partitions", "Partitions that it holds.")
        at = _gauge("tape_worker_last_commit_timestamp_seconds", "The last commit.")
        stands = _gauge("tape_worker_waiting_seconds", "How long records wait for a commit.")
        took = HistogramMetricFamily(
            "tape_worker_unit_seconds", "What a unit of work takes.", labels=_LABELS
        )
        for one in self._some:
            place = [one.projection]
            records.add_metric(place, one.records)
            units.add_metric(place, one.units)
            back.add_metric(place, one.recoveries)
            held.add_metric(place, one.partitions())
            stands.add_metric(place, one.stands_for())
            if one.committed_at is not None:
                at.add_metric(place, one.committed_at)
            limits = [*map(str, _BUCKETS), "+Inf"]
            buckets = list(zip(limits, map(float, accumulate(one.counts)), strict=True))
            took.add_metric(place, buckets, one.seconds)
        return [records, units, back, held, stands, at, took]


def why_not_live(some: Sequence[Progress]) -> str | None:
    """A sentence where records wait and none is committed; None where all get on."""
    stuck = [one for one in some if one.stands_for() > _STANDS_S]
    return (
        ", ".join(
            f"{one.projection}: nothing committed for {one.stands_for():.0f} s" for one in stuck
        )
        or None
    )


def why_not_ready(some: Sequence[Progress]) -> str | None:
    """A sentence where a projection holds no partition: it joins the group, or stands by."""
    without = [one.projection for one in some if not one.partitions()]
    return f"no partitions of {', '.join(without)}" if without else why_not_live(some)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=_LABELS)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=_LABELS)
