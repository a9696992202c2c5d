"""`python -m benchmarks`: measures, prints a table, writes benchmarks/out/live.json and live.md."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import dataset, latency, memory, ours, report, runner, topics
from benchmarks.account import backfill, growth, marks
from benchmarks.account.report import AccountReport
from benchmarks.contender import Contender
from benchmarks.feeds import acknowledged, speed
from benchmarks.feeds.report import FeedsReport
from benchmarks.monitor import measure as monitor
from benchmarks.monitor.report import MonitorReport
from benchmarks.peers.aiokafka_read import AiokafkaRead
from benchmarks.peers.copy_rows import CopyRows
from benchmarks.peers.debezium import Debezium
from benchmarks.peers.plain_faust import PlainFaust
from benchmarks.peers.plain_insert import PlainInsert
from benchmarks.peers.quix import Quixstreams
from benchmarks.processes import CrashError
from benchmarks.rebuild import measure
from benchmarks.rebuild.report import RebuildReport
from benchmarks.signals import stop_on_sigterm
from benchmarks.stack import temporary_stack
from streams.embedded.stack import StackInfo
from streams.errors import UserError

OUT = Path(__file__).with_name("out")
LATENCY, MEMORY = "latency", "memory"
ACCOUNT, GROWTH, MARKS = "account", "account_growth", "marks"
FEEDS, ACKNOWLEDGED = "feeds", "acknowledged"
REBUILD, MONITOR = "rebuild", "monitor"


def main() -> int:
    """Runs the bench; gives the exit status."""
    contenders: list[Contender] = [
        AiokafkaRead(),
        CopyRows(),
        PlainFaust(),
        Quixstreams(),
        Debezium(),
        *ours.CONTENDERS,
    ]
    parts = (LATENCY, MEMORY, ACCOUNT, GROWTH, MARKS, FEEDS, ACKNOWLEDGED, REBUILD, MONITOR)
    options = _options([*(contender.name for contender in contenders), *parts])
    chosen = [contender for contender in contenders if contender.name in options.only]
    console = Console(width=None if sys.stdout.isatty() else 120)
    # A shell that starts it in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_on_sigterm()
    OUT.mkdir(exist_ok=True)
    found = report.Report(options.rows, chosen)
    try:
        for contender in chosen:
            contender.prepare(OUT)
        with temporary_stack() as info:
            _throughput(info, chosen, options, found, console)
            if LATENCY in options.only:
                _latency(info, options.rounds, found, console)
            if MEMORY in options.only and ours.MEMORY is not None:
                topic = _topic(info, memory.RECORDS, repeats=False)
                found.memory = memory.measure(info, ours.MEMORY, topic)
            _account(info, options, found.account, console)
            _feeds(info, options, found.feeds, console)
            _rebuild(info, options, found.rebuild, console)
            _monitor(info, options, found.monitor, console)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except (CrashError, TimeoutError, UserError, runner.WrongRowsError, ValueError) as fault:
        report.show(found, console)
        console.print(f"the bench failed: {fault}", style="red", markup=False)
        return 1
    report.show(found, console)
    report.write(found, OUT)
    return 0


def _options(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds in turn (3)")
    parser.add_argument("--rows", type=int, default=300_000, help="trades (300000)")
    parser.add_argument("--fills", type=int, default=200_000, help="of the account (200000)")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    return parser.parse_args()


def _throughput(
    info: StackInfo,
    contenders: Sequence[Contender],
    options: argparse.Namespace,
    found: report.Report,
    console: Console,
) -> None:
    if not contenders:
        return
    clean = _topic(info, options.rows, repeats=False)
    repeated = None
    if any(contender.repeats for contender in contenders):
        repeated = _topic(info, options.rows, repeats=True)
    for number, result in runner.rounds(info, contenders, clean, repeated, options.rounds):
        found.add(result)
        _say(
            console,
            f"round {number + 1}  {result.name:<16} {result.rate:>9,.0f} rows/s"
            f"  {result.cpu:>6.1f} CPU s/million  {result.rss / 1e6:>5,.0f} MB"
            f"  {result.commits} commits",
        )


def _latency(info: StackInfo, rounds: int, found: report.Report, console: Console) -> None:
    contenders: list[Contender] = [PlainInsert()]
    if ours.LATENCY is not None:
        contenders.append(ours.LATENCY)
    for number in range(rounds):
        for contender in contenders:
            result = latency.measure(info, contender)
            name = "plain" if isinstance(contender, PlainInsert) else "ours"
            found.latencies.setdefault(name, []).append(result)
            _say(
                console,
                f"round {number + 1}  latency {name:<8} p50 {result.p50:.1f} ms"
                f"  p99 {result.p99:.1f} ms  {result.events:,} events",
            )


def _account(
    info: StackInfo, options: argparse.Namespace, found: AccountReport, console: Console
) -> None:
    if ACCOUNT in options.only:
        for one in backfill.rounds(info, options.rounds, options.fills):
            found.backfills.append(one)
            _say(
                console,
                f"account   {one.workers} worker(s) {one.rate:>9,.0f} events/s"
                f"  of these {one.trading_rate:,.0f} fills and orders/s"
                f"  {one.cpu:.1f} CPU s/million  {one.rss / 1e6:,.0f} MB  {one.commits} commits",
            )
    if GROWTH in options.only:
        for cost in growth.rounds(info, options.rounds):
            found.growths.append(cost)
            _say(
                console,
                f"growth    {cost.seconds:.2f} s for {growth.NEW_FILLS:,} fills beside"
                f" {cost.held:,}, units of {cost.unit:,}",
            )
    if MARKS in options.only:
        for seen in marks.rounds(info, options.rounds):
            found.marks.append(seen)
            _say(
                console,
                f"marks     p50 {seen.latency.p50:.1f} ms  p99 {seen.latency.p99:.1f} ms"
                f"  {seen.latency.events:,} quotes, reading the view {seen.read_ms:.1f} ms",
            )


def _feeds(
    info: StackInfo, options: argparse.Namespace, found: FeedsReport, console: Console
) -> None:
    if FEEDS in options.only:
        for one in speed.rounds(info, options.rounds):
            found.speeds.append(one)
            _say(
                console,
                f"feeds     {one.load:<14} from {one.source:<9} {one.rate:>8,.0f} frames/s"
                f"  {one.cpu:.1f} CPU µs a frame  {one.rss / 1e6:,.0f} MB",
            )
    if ACKNOWLEDGED in options.only:
        for seen in acknowledged.rounds(info, options.rounds):
            found.acknowledged.append(seen)
            _say(
                console,
                f"feeds     acknowledged p50 {seen.p50:.1f} ms  p99 {seen.p99:.1f} ms"
                f"  {seen.events:,} frames",
            )


def _rebuild(
    info: StackInfo, options: argparse.Namespace, found: RebuildReport, console: Console
) -> None:
    if REBUILD not in options.only:
        return
    at = measure.prepare(info)
    for one in measure.rounds(info, options.rounds):
        found.rounds.append(one)
        _say(
            console,
            f"rebuild   {one.events / one.rebuild:>9,.0f} events/s"
            f"  {one.copy / one.rebuild:.2f} of COPY  {one.memory / 1e6:,.0f} MB"
            f"  readers held up {one.lockout * 1e3:.0f} ms, at most {one.longest_read * 1e3:.0f} ms"
            f"  verify {one.verify:.1f} s",
        )
    seen = measure.live(info, at)
    found.lives.append(seen)
    _say(console, f"rebuild   under load: live at most {seen.lag:.2f} s behind")


def _monitor(
    info: StackInfo, options: argparse.Namespace, found: MonitorReport, console: Console
) -> None:
    if MONITOR not in options.only:
        return
    for one in monitor.rounds(info, options.rounds):
        found.rounds.append(one)
        _say(console, f"monitor   {100 * one.core:.1f} % of a core  {one.memory / 1e6:,.0f} MB")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _topic(info: StackInfo, rows: int, *, repeats: bool) -> runner.Topic:
    name = f"bench-{rows}{'-repeats' if repeats else ''}"
    asyncio.run(topics.create(info.brokers, name))
    records = asyncio.run(topics.fill(info.brokers, name, rows, repeats=repeats))
    return runner.Topic(name, records, dataset.totals(rows))


if __name__ == "__main__":
    sys.exit(main())
