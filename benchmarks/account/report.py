"""Results of the account's parts: lines of a table, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.account.backfill import WORKERS, Backfill
from benchmarks.account.growth import LARGE, SMALL, UNITS, Growth, median_seconds, ratio
from benchmarks.account.marks import Marks

HEADINGS = ("Account and trades", "median", "rounds", "promised")


@dataclass
class AccountReport:
    """What has been measured so far."""

    backfills: list[Backfill] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)

    def lines(self) -> list[list[str]]:
        """The table's lines, as `HEADINGS` says; parts that were not measured are left out."""
        lines = []
        if self.backfills:
            lines += [line for workers in WORKERS for line in self._backfill_lines(workers)]
        if self.growths:
            lines += [self._growth_line(unit) for unit in UNITS]
        if self.marks:
            lines += self._marks_lines()
        return lines

    def as_json(self) -> dict[str, Any]:
        """Its part of live.json: medians, and what each round gave."""
        data: dict[str, Any] = {}
        if self.backfills:
            data["account"] = {
                f"workers_{workers}": _backfill_json(some)
                for workers in WORKERS
                if (some := self._backfills_of(workers))
            }
        if self.growths:
            data["account_growth"] = {
                f"units_of_{unit}": {
                    "beside_1k_s": round(median_seconds(self.growths, SMALL, unit), 3),
                    "beside_1m_s": round(median_seconds(self.growths, LARGE, unit), 3),
                    "ratio": round(ratio(self.growths, unit), 2),
                }
                for unit in UNITS
            }
        if self.marks:
            data["marks_ms"] = {
                "p50": round(median(one.latency.p50 for one in self.marks), 2),
                "p99": round(median(one.latency.p99 for one in self.marks), 2),
                "read": round(median(one.read_ms for one in self.marks), 2),
                "p99_rounds": [round(one.latency.p99, 2) for one in self.marks],
            }
        return data

    def _backfills_of(self, workers: int) -> list[Backfill]:
        return [one for one in self.backfills if one.workers == workers]

    def _backfill_lines(self, workers: int) -> list[list[str]]:
        some = self._backfills_of(workers)
        if not some:
            return []
        who = "one worker" if workers == 1 else f"{workers} workers"
        return [
            _line(f"backfill, {who}, events/s", [one.rate for one in some], "at least 10,000"),
            _line("of these, fills and orders/s", [one.trading_rate for one in some]),
            _line("CPU s per million events", [one.cpu for one in some]),
            _line("peak MB of a worker", [one.rss / 1e6 for one in some]),
        ]

    def _growth_line(self, unit: int) -> list[str]:
        small = median_seconds(self.growths, SMALL, unit)
        large = median_seconds(self.growths, LARGE, unit)
        return [
            f"1,000 fills more beside a million to beside a thousand, units of {unit:,}",
            f"{ratio(self.growths, unit):.2f}",
            f"{large:.2f} s against {small:.2f} s",
            "at most 2",
        ]

    def _marks_lines(self) -> list[list[str]]:
        return [
            _line("quote handed over to mark visible, p50 ms", [m.latency.p50 for m in self.marks]),
            _line(
                "the same, p99 ms",
                [one.latency.p99 for one in self.marks],
                "under 50",
            ),
            _line("reading active_trades, ms", [one.read_ms for one in self.marks]),
        ]


def _backfill_json(some: Sequence[Backfill]) -> dict[str, Any]:
    return {
        "events_per_second": round(median(one.rate for one in some)),
        "fills_and_orders_per_second": round(median(one.trading_rate for one in some)),
        "cpu_s_per_million": round(median(one.cpu for one in some), 2),
        "peak_rss_mb": round(max(one.rss for one in some) / 1e6, 1),
        "rounds": [round(one.rate) for one in some],
    }


def _line(title: str, values: Sequence[float], promised: str = "") -> list[str]:
    spread = f"{_number(min(values))} to {_number(max(values))}"
    return [title, _number(median(values)), spread, promised]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
