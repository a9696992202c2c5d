"""The worker: the apps of some projections in one process, until a signal or a refusal."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
import structlog
import uvloop

from projections.base import Projection
from projections.errors import Refusal
from streams import tolerant
from streams.app import Rules, build_app
from streams.garbage import collect_garbage_seldom
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
        with tempfile.TemporaryDirectory(prefix="tape-worker-") as state:
            apps = [
                build_app(projection, self._endpoints, self._rules, Path(state), self._refuse)
                for projection in self._projections
            ]
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
