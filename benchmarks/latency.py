"""From append to committed row visible, at 1,000 events a second.

An event counts from the broker's own append time to the moment at which another connection has
read its row (`benchmarks.latency_probe`). A commit timestamp would be the cheaper clock, but the
server takes it before the commit record is flushed: earlier than anyone can see the row.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from aiokafka import AIOKafkaProducer

from benchmarks import table, topics
from benchmarks.contender import Contender, Job, module
from benchmarks.dataset import KEYS
from benchmarks.pacer import Pacer, Sent
from benchmarks.processes import Processes
from streams.embedded.stack import StackInfo

MEASURED_S = 20.0
_SETTLE_S = 3.0
_START_DEADLINE_S = 60.0
_LAST_ROWS_S = 3.0
_DATABASE = "bench"


@dataclass(frozen=True)
class Latency:
    """Milliseconds, over `events` events."""

    p50: float
    p99: float
    events: int

    @classmethod
    def of(cls, latencies: Iterable[float]) -> Self:
        """Of single latencies."""
        ordered = sorted(latencies)
        count = len(ordered)
        return cls(ordered[count // 2], ordered[count * 99 // 100], count)


def measure(info: StackInfo, contender: Contender) -> Latency:
    """One round: 20 seconds at a steady rate, the contender warm.

    Raises:
        CrashError: one of the contender's processes failed.
        TimeoutError: no row was visible a minute after its start, or some never were.
    """
    name = f"bench-latency-{time.time_ns()}"
    asyncio.run(topics.create(info.brokers, name))
    dsn = table.fresh_database(info.dsn, _DATABASE, datetime.now(UTC))
    try:
        with ExitStack() as stack:
            workdir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            job = Job(name, info.brokers, dsn, name, records=0, rows=0, workdir=str(workdir))
            contender.setup(job)
            table.checkpoint(dsn)
            seen = workdir / "seen"
            seen.touch()
            probe = module("benchmarks.latency_probe", job.save(), contender.table, str(seen))
            commands = [*contender.commands(job), probe]
            processes = stack.enter_context(Processes(commands, workdir))
            sent, since = asyncio.run(_drive(job, processes, seen))
            time.sleep(_LAST_ROWS_S)
            return _evaluate([event for event in sent if event.appended >= since], _read(seen))
    finally:
        table.drop_database(info.dsn, _DATABASE)


async def _drive(job: Job, processes: Processes, seen: Path) -> tuple[list[Sent], float]:
    """Sends until rows are visible, a while longer, then for the measured time; gives all events
    and the Unix time from which on they count."""
    producer = AIOKafkaProducer(
        bootstrap_servers=job.brokers, enable_idempotence=True, compression_type="lz4"
    )
    await producer.start()
    try:
        pacer = Pacer(producer, job.topic)
        until = time.monotonic() + _START_DEADLINE_S
        while seen.stat().st_size == 0:
            processes.check()
            if time.monotonic() > until:
                raise TimeoutError(f"no row was visible after {_START_DEADLINE_S:.0f} s")
            await pacer.send_for(0.5)
        await pacer.send_for(_SETTLE_S)
        since = time.time()
        await pacer.send_for(MEASURED_S)
        processes.check()
        return await pacer.sent(), since
    finally:
        await producer.stop()


def _read(seen: Path) -> list[tuple[list[float], list[int]]]:
    """For each key: when the probe looked, and the newest `time` that it saw then."""
    found: list[tuple[list[float], list[int]]] = [([], []) for _ in KEYS]
    for line in seen.read_text(encoding="utf-8").splitlines():
        at, key, newest = line.split()
        looks, times = found[int(key)]
        looks.append(float(at))
        times.append(int(newest))
    return found


def _evaluate(events: Sequence[Sent], seen: list[tuple[list[float], list[int]]]) -> Latency:
    latencies = []
    for event in events:
        looks, times = seen[event.key]
        # Events of one key become visible in their order, which is that of their times.
        index = bisect_left(times, event.time)
        if index == len(times):
            raise TimeoutError(f"the event of {event.time} never became visible")
        latencies.append((looks[index] - event.appended) * 1000)
    return Latency.of(latencies)
