"""A backfill of the account: fills, their orders and the commands, through Kafka, into trades."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import table
from benchmarks.account import dataset, log, tables
from benchmarks.account.dataset import Totals
from benchmarks.account.stories import stories
from benchmarks.contender import Command
from benchmarks.processes import Processes
from benchmarks.runner import WrongRowsError
from streams.embedded.stack import StackInfo

#: Each as `tape worker account`, in a process of its own.
WORKERS = (1, 2)

_DATABASE = "bench"
_POLL_EVERY_S = 0.25
_DEADLINE_S = 600.0


@dataclass(frozen=True)
class Backfill:
    """One round with so many workers. `rate` counts every event, `trading_rate` fills and orders
    alone; CPU in seconds per million events, memory of the largest process."""

    workers: int
    rate: float
    trading_rate: float
    cpu: float
    rss: int
    commits: int


def rounds(info: StackInfo, count: int, fills: int) -> Iterator[Backfill]:
    """The results of `count` rounds with each number of workers, checked against the dataset.

    Raises:
        CrashError: the worker failed.
        TimeoutError: it was not done in ten minutes.
        WrongRowsError: the tables differ from the dataset.
    """
    log.make_anew(info)
    log.fill(info, dataset.events(stories(fills)))
    expected = dataset.totals(stories(fills))
    for _ in range(count):
        for workers in WORKERS:
            yield _run(info, expected, workers)


def worker(info: StackInfo, dsn: str, projections: Sequence[str]) -> Command:
    """`tape worker`, as it ships, on that database."""
    tape = Path(sys.executable).with_name("tape")
    return Command(
        [str(tape), "worker", *projections], {"TAPE_BROKERS": info.brokers, "TAPE_DSN": dsn}
    )


def _run(info: StackInfo, expected: Totals, workers: int) -> Backfill:
    dsn = tables.fresh_database(info.dsn, _DATABASE)
    try:
        table.checkpoint(dsn)
        with (
            tempfile.TemporaryDirectory(prefix="tickertape-bench-run-") as workdir,
            Processes([worker(info, dsn, ["account"])] * workers, Path(workdir)) as processes,
        ):
            _wait(dsn, expected.events, processes)
            time.sleep(0.2)  # one more sample behind the last commit
        if (found := tables.totals(dsn)) != expected:
            raise WrongRowsError(f"the account's tables hold {found}, the dataset is {expected}")
        trading, every = tables.windows(dsn)
        cpu = processes.cpu_between(every.first, every.last)
        return Backfill(
            workers=workers,
            rate=every.rate,
            trading_rate=trading.rate,
            cpu=cpu / every.rows * 1_000_000,
            rss=max(sample.largest for sample in processes.samples),
            commits=len(every.commits),
        )
    finally:
        table.drop_database(info.dsn, _DATABASE)


def _wait(dsn: str, records: int, processes: Processes) -> None:
    until = time.monotonic() + _DEADLINE_S
    with psycopg.connect(dsn, autocommit=True) as connection:
        while tables.projected(connection) < records:
            processes.check()
            if time.monotonic() > until:
                raise TimeoutError(f"the backfill was not done in {_DEADLINE_S:.0f} s")
            time.sleep(_POLL_EVERY_S)
