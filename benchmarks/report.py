"""Results: medians and spread, as a terminal table, JSON and Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.account.report import HEADINGS, AccountReport
from benchmarks.contender import Contender
from benchmarks.feeds.report import HEADINGS as FEEDS_HEADINGS
from benchmarks.feeds.report import FeedsReport
from benchmarks.latency import Latency
from benchmarks.memory import Memory
from benchmarks.monitor.report import HEADINGS as MONITOR_HEADINGS
from benchmarks.monitor.report import MonitorReport
from benchmarks.rebuild.report import HEADINGS as REBUILD_HEADINGS
from benchmarks.rebuild.report import RebuildReport
from benchmarks.runner import Result

WARM = "debezium_warm"
CEILING = "copy"


@dataclass
class Report:
    """What has been measured so far; `results` by the contender's name, one of each round."""

    rows: int
    contenders: Sequence[Contender]
    results: dict[str, list[Result]] = field(default_factory=dict)
    latencies: dict[str, list[Latency]] = field(default_factory=dict)
    memory: Memory | None = None
    account: AccountReport = field(default_factory=AccountReport)
    feeds: FeedsReport = field(default_factory=FeedsReport)
    rebuild: RebuildReport = field(default_factory=RebuildReport)
    monitor: MonitorReport = field(default_factory=MonitorReport)

    def add(self, result: Result) -> None:
        """Takes one run's result."""
        self.results.setdefault(result.name, []).append(result)

    def _each(self, cold: Callable[[Result], float], warm: Callable[[Result], float]) -> _Series:
        series = {name: [cold(one) for one in results] for name, results in self.results.items()}
        if "debezium" in series:
            series[WARM] = [warm(one) for one in self.results["debezium"]]
        return series

    def rates(self) -> _Series:
        """Records per second of each round, by name."""
        return self._each(lambda one: one.rate, lambda one: one.warm_rate)

    def cpu(self) -> _Series:
        """CPU seconds per million records of each round, by name."""
        return self._each(lambda one: one.cpu, lambda one: one.warm_cpu)

    def lines(self) -> list[list[str]]:
        """The table's lines, as `_HEADINGS` says."""
        rates, cpu = self.rates(), self.cpu()
        titles = {contender.name: contender.title for contender in self.contenders}
        titles[WARM] = "Debezium, its second half"
        lines = []
        for name in sorted(rates, key=lambda name: -median(rates[name])):
            rate = median(rates[name])
            memory = self.results["debezium" if name == WARM else name]
            lines.append(
                [
                    titles[name],
                    f"{rate:,.0f}",
                    f"{min(rates[name]):,.0f} to {max(rates[name]):,.0f}",
                    _ratio(rate, rates.get(WARM)),
                    _ratio(rate, rates.get(CEILING)),
                    f"{median(cpu[name]):.1f}",
                    _ratio(median(cpu[name]), cpu.get(WARM)),
                    f"{max(one.rss for one in memory) / 1e6:,.0f}",
                ]
            )
        return lines

    def as_json(self) -> dict[str, Any]:
        """live.json: medians, missing contenders left out; memory in MB, of ours one worker's."""
        data: dict[str, Any] = {
            "rows_per_second": _medians(self.rates(), 0),
            "cpu_s_per_million": _medians(self.cpu(), 2),
        }
        if "ours" in self.latencies:
            data["latency_ms"] = _latency(self.latencies["ours"])
        if "plain" in self.latencies:
            data["latency_plain_ms"] = _latency(self.latencies["plain"])
        workers = [
            one.largest_rss
            for name, results in self.results.items()
            if name.startswith("ours")
            for one in results
        ]
        if self.memory is not None:
            workers.append(self.memory.peak)
            data["memory_mb"] = [round(size / 1e6, 1) for size in self.memory.quarters]
        if workers:
            data["rss_mb"] = round(max(workers) / 1e6, 1)
        data["peak_rss_mb"] = {
            name: round(max(one.rss for one in results) / 1e6, 1)
            for name, results in self.results.items()
        }
        series, cpu = self.rates(), self.cpu()
        count = max((len(values) for values in series.values()), default=0)
        data["rounds"] = [
            {
                "rows_per_second": _round_of(series, number, 0),
                "cpu_s_per_million": _round_of(cpu, number, 2),
            }
            for number in range(count)
        ]
        data["rows"] = self.rows
        parts = (self.account, self.feeds, self.rebuild, self.monitor)
        return data | {name: value for one in parts for name, value in one.as_json().items()}


_Series = dict[str, list[float]]
_HEADINGS = (
    "",
    "rows/s",
    "spread",
    "/ Debezium warm",
    "/ COPY",
    "CPU s/million",
    "/ Debezium warm",
    "peak MB",
)


def show(report: Report, console: Console) -> None:
    """Prints what was measured."""
    for title, headings, lines in _tables(report):
        table = Table(title=title)
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index else "left")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for sentence in _sentences(report):
        console.print(sentence)


def write(report: Report, out: Path) -> None:
    """Writes live.json and live.md into `out`."""
    text = json.dumps(report.as_json(), indent=2) + "\n"
    (out / "live.json").write_text(text, encoding="utf-8")
    (out / "live.md").write_text(_markdown(report), encoding="utf-8")


def _markdown(report: Report) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    memory = psutil.virtual_memory().total / 2**30
    cores = os.cpu_count()
    lines = [f"{now}, {platform.machine()}, {cores} cores, {memory:.0f} GiB. Medians.", ""]
    for _, headings, rows in _tables(report):
        lines.append(f"| {' | '.join(headings)} |")
        lines.append("|---|" + "---:|" * (len(headings) - 1))
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    for sentence in _sentences(report):
        lines += [sentence, ""]
    return "\n".join(lines)


def _tables(report: Report) -> list[tuple[str | None, Sequence[str], list[list[str]]]]:
    """The title, the headings and the lines of each table that has any."""
    title = f"{report.rows:,} trades: topic into table"
    found = [
        (title, _HEADINGS, report.lines()),
        (None, HEADINGS, report.account.lines()),
        (None, FEEDS_HEADINGS, report.feeds.lines()),
        (None, REBUILD_HEADINGS, report.rebuild.lines()),
        (None, MONITOR_HEADINGS, report.monitor.lines()),
    ]
    return [table for table in found if table[2]]


def _sentences(report: Report) -> list[str]:
    sentences = [
        f"Latency at 1,000 events/s, append to committed row visible, {name}: "
        f"p50 {median(one.p50 for one in rounds):.1f} ms, "
        f"p99 {median(one.p99 for one in rounds):.1f} ms "
        f"(p99 of the rounds: {min(one.p99 for one in rounds):.1f} to "
        f"{max(one.p99 for one in rounds):.1f})."
        for name, rounds in report.latencies.items()
    ]
    if report.memory is not None:
        quarters = ", ".join(f"{size / 1e6:.0f}" for size in report.memory.quarters)
        sentences.append(
            f"Memory of one worker over {report.memory.records:,} events: peak "
            f"{report.memory.peak / 1e6:.0f} MB; median of each quarter: {quarters} MB."
        )
    return sentences


def _ratio(value: float, base: list[float] | None) -> str:
    return f"{value / median(base):.2f}" if base else "-"


def _medians(series: Mapping[str, Sequence[float]], digits: int) -> dict[str, float]:
    return {name: round(median(values), digits) for name, values in series.items()}


def _round_of(series: _Series, number: int, digits: int) -> dict[str, float]:
    return {
        name: round(values[number], digits)
        for name, values in series.items()
        if number < len(values)
    }


def _latency(rounds: Sequence[Latency]) -> dict[str, float]:
    return {
        "p50": round(median(one.p50 for one in rounds), 2),
        "p99": round(median(one.p99 for one in rounds), 2),
    }
