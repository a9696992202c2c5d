"""One run of one contender, and rounds of all of them in turn."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import table
from benchmarks.contender import Contender, Job
from benchmarks.dataset import Totals
from benchmarks.processes import Processes, Sample
from benchmarks.window import Window
from streams.embedded.stack import StackInfo

_POLL_EVERY_S = 0.25
_DEADLINE_S = 600.0
_DATABASE = "bench"


@dataclass(frozen=True)
class Topic:
    """A topic that holds the dataset: `records` of them, `totals` is what the table must hold."""

    name: str
    records: int
    totals: Totals


@dataclass(frozen=True)
class Result:
    """What one run gave. Rates in records per second; CPU in seconds per million records."""

    name: str
    rate: float
    cpu: float
    warm_rate: float
    warm_cpu: float
    rss: int
    largest_rss: int
    commits: int
    samples: Sequence[Sample]


class WrongRowsError(RuntimeError):
    """A contender's table does not hold what the dataset holds."""


def rounds(
    info: StackInfo,
    contenders: Sequence[Contender],
    clean: Topic,
    repeated: Topic | None,
    count: int,
) -> Iterator[tuple[int, Result]]:
    """(round, result) of every contender in `count` rounds, the order turned by one each time."""
    for number in range(count):
        turn = number % max(len(contenders), 1)
        for contender in (*contenders[turn:], *contenders[:turn]):
            topic = repeated if contender.repeats and repeated is not None else clean
            yield number, run(info, contender, topic, f"{contender.name}-{number}")


def run(info: StackInfo, contender: Contender, topic: Topic, name: str) -> Result:
    """Runs a contender over a topic, checks its table, and gives what was measured.

    Raises:
        CrashError: one of its processes failed.
        TimeoutError: it was not done in ten minutes.
        WrongRowsError: its table differs from the dataset.
    """
    dsn = table.fresh_database(info.dsn, _DATABASE)
    try:
        with tempfile.TemporaryDirectory(prefix="tickertape-bench-run-") as workdir:
            job = Job(
                run=f"bench-{name}-{time.time_ns()}",
                brokers=info.brokers,
                dsn=dsn,
                topic=topic.name,
                records=topic.records,
                rows=topic.totals.rows,
                workdir=workdir,
            )
            contender.setup(job)
            table.checkpoint(dsn)
            with Processes(contender.commands(job), Path(workdir)) as processes:
                _wait(contender, job, processes)
                time.sleep(0.2)  # one more sample behind the last commit
            window = _window(contender, job)
        if contender.writes:
            _verify(contender, dsn, topic.totals)
        return _result(contender, window, processes, topic.records / topic.totals.rows)
    finally:
        table.drop_database(info.dsn, _DATABASE)


def _wait(contender: Contender, job: Job, processes: Processes) -> None:
    until = time.monotonic() + _DEADLINE_S
    with psycopg.connect(job.dsn, autocommit=True) as connection:
        growth = table.Growth(connection, contender.table)
        while not (growth.reached(job.rows) if contender.writes else job.window_file.exists()):
            processes.check()
            if time.monotonic() > until:
                raise TimeoutError(f"{contender.name} was not done in {_DEADLINE_S:.0f} s")
            time.sleep(_POLL_EVERY_S)


def _window(contender: Contender, job: Job) -> Window:
    if contender.writes:
        return table.window(job.dsn, contender.table)
    batches = json.loads(job.window_file.read_text(encoding="utf-8"))
    return Window(tuple((float(at), int(rows)) for at, rows in batches))


def _verify(contender: Contender, dsn: str, expected: Totals) -> None:
    found = table.totals(dsn, contender.table)
    if found != expected:
        raise WrongRowsError(f"{contender.name} wrote {found}, the dataset is {expected}")


def _result(
    contender: Contender, window: Window, processes: Processes, records_per_row: float
) -> Result:
    half = window.second_half()
    return Result(
        name=contender.name,
        rate=window.rate * records_per_row,
        cpu=_cpu_per_million(window, processes) / records_per_row,
        warm_rate=half.rate * records_per_row,
        warm_cpu=_cpu_per_million(half, processes) / records_per_row,
        rss=max(sample.rss for sample in processes.samples),
        largest_rss=max(sample.largest for sample in processes.samples),
        commits=len(window.commits),
        samples=tuple(processes.samples),
    )


def _cpu_per_million(window: Window, processes: Processes) -> float:
    return processes.cpu_between(window.first, window.last) / window.rows * 1_000_000
