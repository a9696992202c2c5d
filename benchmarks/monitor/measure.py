"""CPU and memory of `tape monitor` beside 200 groups with 1,000 partitions."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from benchmarks.contender import ROOT
from benchmarks.monitor import groups
from benchmarks.processes import CrashError
from projections import PROJECTIONS
from projections.migrations import migrate
from streams.embedded.stack import StackInfo
from streams.settings import Endpoints
from streams.topics import ensure_topics

#: How often the monitor looks, and for how long it is measured. Seconds.
EVERY_S = 5.0
_MEASURED_S = 60.0
_SETTLES_S = 20.0


@dataclass(frozen=True)
class Watching:
    """Share of one core, and resident bytes at the end, over `_MEASURED_S`."""

    groups: int
    partitions: int
    core: float
    memory: int


def rounds(info: StackInfo, count: int) -> Iterator[Watching]:
    """So many rounds, each with a monitor of its own."""
    at = Endpoints(info.brokers, {}, info.dsn, True, True)
    ensure_topics(at)
    asyncio.run(migrate(info.dsn, [one() for one in PROJECTIONS.values()]))
    load = subprocess.Popen(
        [sys.executable, "-m", groups.__name__, info.brokers],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdout is not None
    try:
        if load.stdout.readline() != "committing\n":
            raise CrashError("the groups do not commit")
        for _ in range(count):
            yield _watch(info)
    finally:
        load.kill()
        load.wait()


def _watch(info: StackInfo) -> Watching:
    settings = {**os.environ, "TAPE_BROKERS": info.brokers, "TAPE_DSN": info.dsn}
    program = "from streams.cli import main; main()"
    words = ("monitor", "--port", "0", "--every", f"{EVERY_S:g}s")
    monitor = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(_SETTLES_S)
        process = psutil.Process(monitor.pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(_MEASURED_S)
        used = sum(process.cpu_times()[:2]) - before
        return Watching(
            groups.GROUPS,
            groups.GROUPS * groups.PARTITIONS,
            used / (time.monotonic() - began),
            process.memory_info().rss,
        )
    finally:
        monitor.terminate()
        monitor.wait()
