"""Results of the monitor's part: lines of a table, and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.monitor.measure import Watching

__all__ = ["HEADINGS", "MonitorReport"]

HEADINGS = ("Monitor, 200 groups with 1,000 partitions, every 5 s", "median", "rounds", "promised")


@dataclass
class MonitorReport:
    """What has been measured so far."""

    rounds: list[Watching] = field(default_factory=list)

    def lines(self) -> list[list[str]]:
        """The table's lines, as `HEADINGS` says."""
        if not self.rounds:
            return []
        cores = [100 * one.core for one in self.rounds]
        sizes = [one.memory / 1e6 for one in self.rounds]
        return [
            [
                "share of one core, percent",
                f"{median(cores):.1f}",
                f"{min(cores):.1f} to {max(cores):.1f}",
                "under 10",
            ],
            [
                "memory, MB",
                f"{median(sizes):.0f}",
                f"{min(sizes):.0f} to {max(sizes):.0f}",
                "under 150",
            ],
        ]

    def as_json(self) -> dict[str, Any]:
        """Its part of live.json: what each round gave."""
        if not self.rounds:
            return {}
        return {
            "monitor_core": [round(one.core, 4) for one in self.rounds],
            "monitor_memory": [one.memory for one in self.rounds],
        }
