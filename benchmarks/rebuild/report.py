"""Results of the rebuild's part: lines of a table, and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.rebuild.measure import Live, Round

__all__ = ["HEADINGS", "RebuildReport"]

HEADINGS = ("Rebuild of 3,000,000 trades", "median", "rounds", "promised")

_LINES: Sequence[tuple[str, str, Callable[[Round], float], str]] = (
    ("rebuild, events/s", ",.0f", lambda one: one.events / one.rebuild, "100,000"),
    ("share of text COPY and indexes", ".2f", lambda one: one.copy / one.rebuild, "0.4"),
    ("memory of all its processes, MB", ",.0f", lambda one: one.memory / 1e6, "under 400"),
    ("readers held up by the swap, ms", ",.0f", lambda one: one.lockout * 1e3, "under 100"),
    ("longest read meanwhile, ms", ",.0f", lambda one: one.longest_read * 1e3, ""),
    ("verify, s", ",.1f", lambda one: one.verify, "under 90"),
)


@dataclass
class RebuildReport:
    """What has been measured so far."""

    rounds: list[Round] = field(default_factory=list)
    lives: list[Live] = field(default_factory=list)

    def lines(self) -> list[list[str]]:
        """The table's lines, as `HEADINGS` says; parts that were not measured are left out."""
        lines = [
            _line(name, shape, [value(one) for one in self.rounds], promised)
            for name, shape, value, promised in _LINES
            if self.rounds
        ]
        if self.lives:
            lags = [one.lag for one in self.lives]
            lines.append(_line("live lag at 1,000/s meanwhile, s", ".2f", lags, "under 2"))
        return lines

    def as_json(self) -> dict[str, Any]:
        """Its part of live.json: what each round gave."""
        data: dict[str, Any] = {}
        if self.rounds:
            data["rebuild"] = {
                name: [round(value(one), 3) for one in self.rounds] for name, _, value, _ in _LINES
            }
        if self.lives:
            data["rebuild_live_lag_s"] = [round(one.lag, 3) for one in self.lives]
        return data


def _line(name: str, shape: str, values: Sequence[float], promised: str) -> list[str]:
    spread = f"{min(values):{shape}} to {max(values):{shape}}"
    return [name, f"{median(values):{shape}}", spread, promised]
