"""Processes that stand for a lease, for tests that kill, freeze and stop them."""

from __future__ import annotations

import contextlib
import inspect
import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.fence import clock
from streams.groups import lease_group
from tests.processes.forked import ROOT, Forked

__all__ = ["PATIENCE", "Candidates", "until"]

#: Ends a test that hangs, and measures nothing: what was measured is printed.
PATIENCE = 90.0


class Interval(NamedTuple):
    """From when to when a process was active; `trusted` until when it believed that it may be."""

    begin: float
    end: float
    trusted: float


class Candidate:
    """A process that runs tests/streams/lease_process.py."""

    def __init__(self, brokers: str, name: str) -> None:
        command = [sys.executable, "-m", "tests.streams.lease_process", brokers, name]
        self.process = Forked[str](
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self.killed_at: float | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(json.loads(line))

    def times(self, event: str) -> list[float]:
        return [line["at"] for line in list(self.lines) if line["event"] == event]

    @property
    def is_active(self) -> bool:
        acquired, lost = self.times("acquired"), self.times("lost")
        return self.process.poll() is None and len(acquired) > len(lost)

    def wait_until_ready(self) -> None:
        until(lambda: self.times("standing by"))

    def wait_until_active(self) -> float:
        until(lambda: self.is_active)
        return self.times("acquired")[-1]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> float:
        now = clock()
        self.process.send_signal(signal.SIGCONT)
        return now

    def kill(self) -> float:
        self.process.kill()
        self._end()
        self.killed_at = clock()
        return self.killed_at

    def terminate(self) -> float:
        now = clock()
        self.process.terminate()
        self._end()
        assert self.process.returncode == 0
        return now

    def _end(self) -> None:
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def intervals(self) -> list[Interval]:
        """A killed process counts as active until it was dead."""
        found: list[Interval] = []
        begin = checked = 0.0
        trusted = -1.0
        for line in self.lines:
            if line["event"] == "acquired":
                begin = line["at"]
            if line["event"] == "lost":
                found.append(Interval(begin, line["at"], line["trusted"]))
                begin = 0.0
            checked, trusted = line["at"], line["trusted"]
        if begin:
            end = self.killed_at if self.killed_at is not None else checked
            found.append(Interval(begin, end, trusted))
        return found


def until(happened: Callable[[], Any]) -> None:
    begin = time.monotonic()
    while not happened():
        assert time.monotonic() - begin < PATIENCE, inspect.getsource(happened)
        time.sleep(0.01)


class Candidates:
    """All candidates for one lease."""

    def __init__(self, brokers: str) -> None:
        self.brokers = brokers
        self.name = f"test {secrets.token_hex(4)}"
        self.all: list[Candidate] = []

    def start(self) -> Candidate:
        candidate = Candidate(self.brokers, self.name)
        self.all.append(candidate)
        candidate.wait_until_ready()
        return candidate

    def start_active(self) -> Candidate:
        candidate = self.start()
        candidate.wait_until_active()
        return candidate

    def members(self) -> int:
        """How many members the broker knows of; none while it does not answer."""
        group = lease_group(self.name)
        # Each time anew: a client that has lived through a restart may answer nothing for minutes.
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        with contextlib.suppress(KafkaException):
            return len(admin.describe_consumer_groups([group])[group].result().members)
        return 0

    def active(self) -> list[Candidate]:
        return [candidate for candidate in self.all if candidate.is_active]

    def end(self) -> None:
        for candidate in self.all:
            if candidate.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    candidate.thaw()
                    candidate.terminate()

    def intervals(self) -> list[Interval]:
        return sorted(interval for one in self.all for interval in one.intervals())

    def check(self) -> None:
        """Never were two active at once. Ends all that still run."""
        self.end()
        found = self.intervals()
        assert found
        for before, after in pairwise(found):
            assert before.end < after.begin, found
