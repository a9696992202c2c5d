"""A contender's processes: started in groups of their own, sampled, and surely ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.contender import ROOT, Command
from benchmarks.signals import uninterrupted

_SAMPLE_EVERY_S = 0.05
_LOOK_FOR_CHILDREN_EVERY_S = 0.5
_TERM_DEADLINE_S = 10.0


@dataclass(frozen=True)
class Sample:
    """At a Unix time: CPU seconds so far (user + system) and resident bytes, of all processes;
    `largest` is the resident size of the largest one."""

    at: float
    cpu: float
    rss: int
    largest: int


class CrashError(RuntimeError):
    """A contender's process ended before the work was done."""


class Processes:
    """The processes of one run; as a context manager it ends them all, however it is left."""

    def __init__(self, commands: Sequence[Command], workdir: Path) -> None:
        self._commands = commands
        self._workdir = workdir
        self._started: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        try:
            for index, command in enumerate(self._commands):
                with (self._workdir / f"process-{index}.log").open("wb") as log:
                    self._started.append(
                        subprocess.Popen(
                            command.argv,
                            cwd=ROOT,
                            env={**os.environ, **command.env},
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            start_new_session=True,
                        )
                    )
        except BaseException:
            with uninterrupted():
                self._end()
            raise
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with uninterrupted():
            self._stop.set()
            self._end()
            self._sampler.join()

    def check(self) -> None:
        """Raises CrashError, with the end of its log, when a process ended with an error."""
        for index, process in enumerate(self._started):
            if process.poll():
                log = (self._workdir / f"process-{index}.log").read_text(errors="replace")
                raise CrashError(f"process {index} ended with {process.returncode}:\n{log[-4000:]}")

    def cpu_between(self, first: float, last: float) -> float:
        """CPU seconds used between two Unix times, between samples by interpolation."""
        return self._cpu_at(last) - self._cpu_at(first)

    def _cpu_at(self, at: float) -> float:
        times = [sample.at for sample in self.samples]
        index = bisect_left(times, at)
        if index == 0 or index == len(times):
            return self.samples[min(index, len(times) - 1)].cpu
        before, after = self.samples[index - 1], self.samples[index]
        share = (at - before.at) / (after.at - before.at)
        return before.cpu + share * (after.cpu - before.cpu)

    def _sample(self) -> None:
        roots = [psutil.Process(process.pid) for process in self._started]
        family: dict[psutil.Process, float] = dict.fromkeys(roots, 0.0)
        looked = time.monotonic()
        while not self._stop.wait(_SAMPLE_EVERY_S):
            if time.monotonic() - looked > _LOOK_FOR_CHILDREN_EVERY_S:
                for child in _children(roots):
                    family.setdefault(child, 0.0)
                looked = time.monotonic()
            sizes = []
            for process in family:
                try:
                    with process.oneshot():
                        cpu = process.cpu_times()
                        sizes.append(process.memory_info().rss)
                    # The last value is kept when the process is gone.
                    family[process] = cpu.user + cpu.system
                except psutil.Error:
                    continue
            if sizes:
                cpu_s = sum(family.values())
                self.samples.append(Sample(time.time(), cpu_s, sum(sizes), max(sizes)))

    def _end(self) -> None:
        for process in self._started:
            _signal_group(process, signal.SIGTERM)
        until = time.monotonic() + _TERM_DEADLINE_S
        for process in self._started:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                # Also after a clean end: a child may have outlived its parent.
                _signal_group(process, signal.SIGKILL)
                process.wait()


def _children(roots: Sequence[psutil.Process]) -> list[psutil.Process]:
    found = []
    for root in roots:
        try:
            found += root.children(recursive=True)
        except psutil.Error:
            continue
    return found


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
