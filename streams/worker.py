"""The worker: the apps of some projections in one process, until a signal or a refusal."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import faust
import structlog
import uvloop
from prometheus_client import CollectorRegistry, ProcessCollector

from projections.base import Projection
from projections.errors import Refusal
from streams import tolerant
from streams.app import Rules, build_app
from streams.endpoint import serving
from streams.garbage import collect_garbage_seldom
from streams.progress import Progress, ProgressCollector, why_not_live, why_not_ready
from streams.settings import Endpoints

log = structlog.get_logger(__name__)

#: The exit status after a refusal (EX_TEMPFAIL): a supervisor must not take it for a clean stop.
REFUSED = 75
#: A stop that takes longer than this many seconds is cut off, with this exit status.
STOP_DEADLINE = 9.5
CUT_OFF = 70


class _Worker(faust.Worker):
    """Faust's worker, which leaves in time whatever hangs."""

    def _on_sigterm(self) -> None:
        # Nothing is lost by this: what was not committed is projected again.
        timer = threading.Timer(STOP_DEADLINE, os._exit, [CUT_OFF])
        timer.daemon = True
        timer.start()
        super()._on_sigterm()


def _metrics(some: Sequence[Progress], address: tuple[str, int]) -> AbstractContextManager[int]:
    registry = CollectorRegistry()
    registry.register(ProgressCollector(some))
    ProcessCollector(registry=registry)
    return serving(registry, lambda: why_not_live(some), lambda: why_not_ready(some), *address)


class Worker:
    """Runs apps by faust.Worker; `status` is the exit status afterwards."""

    def __init__(
        self, projections: Sequence[Projection[Any]], endpoints: Endpoints, rules: Rules
    ) -> None:
        self.status = 0
        self._projections = projections
        self._endpoints = endpoints
        self._rules = rules

    def run(self) -> int:
        """Work until SIGTERM, SIGINT or a refusal; returns the exit status."""
        uvloop.install()
        collect_garbage_seldom()
        tolerant.install()
        with ExitStack() as stack:
            state = stack.enter_context(tempfile.TemporaryDirectory(prefix="tape-worker-"))
            works = [
                build_app(projection, self._endpoints, self._rules, Path(state), self._refuse)
                for projection in self._projections
            ]
            if self._rules.metrics is not None:
                stack.enter_context(
                    _metrics([work.progress for work in works], self._rules.metrics)
                )
            apps = [work.app for work in works]
            worker = _Worker(*apps, loglevel="WARN", redirect_stdouts=False, quiet=True)
            worker.spinner = None  # it writes to the terminal although it is told to be quiet
            try:
                worker.execute_from_commandline()
            except SystemExit as stop:
                if stop.code not in (0, None):
                    self.status = self.status or 1
        return self.status

    def _refuse(self, refusal: Refusal) -> None:
        if self.status:
            return
        self.status = REFUSED
        print(f"tape: {refusal}", file=sys.stderr, flush=True)
        signal.raise_signal(signal.SIGTERM)
