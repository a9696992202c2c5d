"""Results of the feeds' parts: lines of a table, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.feeds.loads import LOADS
from benchmarks.feeds.speed import SOURCES, Speed
from benchmarks.latency import Latency

__all__ = ["HEADINGS", "FeedsReport"]

HEADINGS = ("Feeds", "median", "rounds", "promised")


@dataclass
class FeedsReport:
    """What has been measured so far."""

    speeds: list[Speed] = field(default_factory=list)
    acknowledged: list[Latency] = field(default_factory=list)

    def lines(self) -> list[list[str]]:
        """The table's lines, as `HEADINGS` says; parts that were not measured are left out."""
        lines = []
        for load in LOADS:
            for source in SOURCES:
                lines += self._speed_lines(load, source)
        if self.acknowledged:
            lines += [
                _line("frame received to acknowledged, p50 ms", [m.p50 for m in self.acknowledged]),
                _line("the same, p99 ms", [m.p99 for m in self.acknowledged], "under 15"),
            ]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Its part of live.json: medians, and what each round gave."""
        data: dict[str, Any] = {}
        if self.speeds:
            data["feeds"] = {
                load: {
                    source: _speed_json(some)
                    for source in SOURCES
                    if (some := self._speeds_of(load, source))
                }
                for load in LOADS
            }
        if self.acknowledged:
            data["acknowledged_ms"] = {
                "p50": round(median(one.p50 for one in self.acknowledged), 2),
                "p99": round(median(one.p99 for one in self.acknowledged), 2),
                "p99_rounds": [round(one.p99, 2) for one in self.acknowledged],
            }
        return data

    def _speeds_of(self, load: str, source: str) -> list[Speed]:
        return [one for one in self.speeds if (one.load, one.source) == (load, source)]

    def _speed_lines(self, load: str, source: str) -> list[list[str]]:
        some = self._speeds_of(load, source)
        if not some:
            return []
        what = LOADS[load]
        promised = f"at least {what.promised:,}"
        return [
            _line(f"{what.title}, from {source}, frames/s", [one.rate for one in some], promised),
            _line("CPU µs a frame", [one.cpu for one in some]),
        ]


def _speed_json(some: Sequence[Speed]) -> dict[str, Any]:
    return {
        "frames_per_second": round(median(one.rate for one in some)),
        "cpu_us_per_frame": round(median(one.cpu for one in some), 2),
        "peak_rss_mb": round(max(one.rss for one in some) / 1e6, 1),
        "rounds": [round(one.rate) for one in some],
    }


def _line(title: str, values: Sequence[float], promised: str = "") -> list[str]:
    spread = f"{_number(min(values))} to {_number(max(values))}"
    return [title, _number(median(values)), spread, promised]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
