"""Frames a second of one feed in a process of its own: from memory, and from a venue by WebSocket.

A frame counts once its record is acknowledged by the broker. The venue is another process, which
sends as fast as the feed takes; its work is not counted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.account import log
from benchmarks.contender import Command, module
from benchmarks.feeds.loads import LOADS
from benchmarks.feeds.waiting import wait_for
from benchmarks.processes import Processes
from benchmarks.runner import WrongRowsError
from streams.embedded.stack import StackInfo
from streams.topics import record_counts

__all__ = ["FRAMES", "SOURCES", "Speed", "rounds", "venue"]

FRAMES = 150_000
#: Where frames come from.
SOURCES = ("memory", "websocket")


@dataclass(frozen=True)
class Speed:
    """Of one run: frames a second, microseconds of CPU a frame, and the peak of resident bytes."""

    load: str
    source: str
    rate: float
    cpu: float
    rss: int


def rounds(info: StackInfo, number: int) -> Iterator[Speed]:
    """Each load from each source in turn, `number` times.

    Raises:
        CrashError: a process failed.
        TimeoutError: a process was not done after two minutes.
        WrongRowsError: the topic has not one record for each frame.
    """
    for _ in range(number):
        for load in LOADS:
            for source in SOURCES:
                yield _run(info, load, source)


def venue(port_file: Path, rate: int, count: int, *loads: str) -> Command:
    """The process that plays the venues of these loads."""
    arguments = (str(port_file), str(rate), str(count), *loads)
    return module("benchmarks.feeds.server", *arguments)


def _run(info: StackInfo, load: str, source: str) -> Speed:
    log.make_anew(info)
    with ExitStack() as stack:
        workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tickertape-bench-")))
        window_file = workdir / "window"
        arguments = [info.brokers, load, str(FRAMES), str(window_file)]
        groups = []
        if source == "websocket":
            server, port_file = workdir / "venue", workdir / "port"
            server.mkdir()
            command = venue(port_file, 0, FRAMES, load)
            groups.append(stack.enter_context(Processes([command], server)))
            arguments.append(f"ws://127.0.0.1:{wait_for(port_file, *groups)}/{load}")
        feed = Processes([module("benchmarks.feeds.feed", *arguments)], workdir)
        groups.append(stack.enter_context(feed))
        first, last = json.loads(wait_for(window_file, *groups))
        _verify(info, load)
    return Speed(
        load=load,
        source=source,
        rate=FRAMES / (last - first),
        cpu=feed.cpu_between(first, last) / FRAMES * 1_000_000,
        rss=max(sample.rss for sample in feed.samples),
    )


def _verify(info: StackInfo, load: str) -> None:
    topic = LOADS[load].topic
    found = record_counts(log.endpoints(info, info.dsn), [topic])[topic]
    if found != FRAMES:
        raise WrongRowsError(f"{topic} has {found:,} records of {FRAMES:,} frames of {load}")
