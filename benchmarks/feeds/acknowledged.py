"""From a frame's receive stamp to the acknowledgement of its record, at 500 frames a second.

A process of its own has Kalshi's two feeds of market data, each with a producer as under `tape
produce`; half of the frames are tickers, half changes of books.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.account import log
from benchmarks.contender import module
from benchmarks.feeds.speed import venue
from benchmarks.feeds.waiting import wait_for
from benchmarks.latency import Latency
from benchmarks.processes import Processes
from streams.embedded.stack import StackInfo

__all__ = ["FRAMES_PER_SECOND", "rounds"]

FRAMES_PER_SECOND = 500
MEASURED_S = 20
_LOADS = ("kalshi_tickers", "kalshi_deltas")
_SETTLE_S = 3


def rounds(info: StackInfo, number: int) -> Iterator[Latency]:
    """The latencies of so many rounds, without those of the first three seconds.

    Raises:
        CrashError: a process failed.
        TimeoutError: a process was not done after two minutes.
    """
    for _ in range(number):
        yield _run(info)


def _run(info: StackInfo) -> Latency:
    log.make_anew(info)
    rate = FRAMES_PER_SECOND // len(_LOADS)
    count = rate * (_SETTLE_S + MEASURED_S)
    with ExitStack() as stack:
        workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tickertape-bench-")))
        server, port_file, times_file = workdir / "venue", workdir / "port", workdir / "times"
        server.mkdir()
        venues = stack.enter_context(Processes([venue(port_file, rate, count, *_LOADS)], server))
        address = f"ws://127.0.0.1:{wait_for(port_file, venues)}"
        probe = module(
            "benchmarks.feeds.acknowledged_feed",
            *(info.brokers, str(times_file), str(count), address, *_LOADS),
        )
        feeds = stack.enter_context(Processes([probe], workdir))
        times: list[tuple[int, int]] = json.loads(wait_for(times_file, venues, feeds))
    settled = min(received for received, _ in times) + _SETTLE_S * 1_000_000
    return Latency.of((at - received) / 1000 for received, at in times if received >= settled)
