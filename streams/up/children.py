"""The child processes of `tape up`: started, restarted when they die, stopped, never orphaned."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from projections.errors import Refusal
from streams.connectors.runner import Backoff
from streams.errors import UserError

__all__ = ["REFUSED", "Child", "ChildState", "Complaint"]
__all__ += ["last_lines", "pause_after", "stop_all", "tape_command"]

#: So many deaths, none after a life of LONG_LIFE seconds, are a crash loop.
FAST_DEATHS = 5
LONG_LIFE = 10.0
#: The exit status of a refusal.
REFUSED = 75
#: Seconds between SIGTERM and SIGKILL.
STOP_WITHIN = 10.0

_LARGEST_LOG = 10_000_000
_LINES_SHOWN = 8
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class ChildState(NamedTuple):
    """A child for the view; `pid` is None while it does not run."""

    name: str
    pid: int | None
    doing: str
    restarts: int


class Complaint(NamedTuple):
    """How a child that was asked to stop failed to; `status` is negative for a signal."""

    name: str
    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} did not stop cleanly: {self.text}"


class Child:
    """A command in a process (and process group) of its own, logging to a file.

    `settings` are environment variables for it alone. While they are None it waits; when they are
    others than those that it was started with, it is stopped and started with the new ones.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        settings: Callable[[], Mapping[str, str] | None] = dict,
    ) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        self.complaint: Complaint | None = None
        self._command = command
        self._settings = settings
        self._given: Mapping[str, str] = {}
        #: When it was stopped because its settings are old, monotonic seconds.
        self._outdated: float | None = None
        self._backoff = Backoff(first=0.5, cap=5.0)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_again = 0.0
        self._log_start = 0
        self._idle = "stopped"
        self._has_died = False

    @property
    def state(self) -> ChildState:
        """What it does now."""
        if self._process is not None:
            return ChildState(self.name, self._process.pid, "running", self.restarts)
        wait = self._start_again - time.monotonic()
        doing = f"died, starts again in {wait:.1f} s" if wait > 0 else self._idle
        return ChildState(self.name, None, doing, self.restarts)

    def start(self) -> None:
        """Start the process, if its settings are there.

        Raises UserError when its log cannot be written.
        """
        settings = self._settings()
        if settings is None:
            self._idle = "waits for the simulated venues"
            return
        try:
            if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
                self.log.replace(self.log.with_name(self.log.name + ".1"))
            stream = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as fault:
            raise UserError(f"cannot write the log {self.log}: {fault.strerror}") from None
        try:
            self._log_start = os.fstat(stream).st_size
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **settings},
            )
        finally:
            os.close(stream)
        self.restarts += self._has_died
        self._given, self._idle, self._has_died = settings, "stopped", False
        self._started = time.monotonic()

    def watch(self) -> None:
        """Start it again if it died and its pause is over.

        Raises:
            Refusal: it ended with status 75; with what it said.
            UserError: it dies again and again; with the last lines of its log.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_again:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            self._renew(self._process, now)
            return
        self._end()
        if self._outdated is not None:
            self._outdated = None
            return
        said = last_lines(self.log, self._log_start, _LINES_SHOWN)
        if status == REFUSED:
            raise Refusal(_told(said) or f"{self.name} refused to go on. {said}")
        pause = pause_after(now - self._started, self._backoff)
        if pause is None:
            raise UserError(
                f"{self.name} died {FAST_DEATHS} times in quick succession (last with "
                f"{_describe(status)}). The last lines of its log {self.log}:\n{said}"
            )
        self._start_again = now + pause
        self._has_died = True

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and start it no more."""
        self._start_again = 0.0
        if self._process is not None:
            self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic seconds), then kill it."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        status = self._process.poll()
        if status is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
            self.complaint = Complaint(self.name, status, "it took too long and was killed")
        elif status not in {0, -signal.SIGTERM}:
            said = last_lines(self.log, self._log_start, _LINES_SHOWN)
            text = _told(said) or f"{_describe(status)}, see {self.log}"
            self.complaint = Complaint(self.name, status, text)
        self._end()

    def _renew(self, process: subprocess.Popen[bytes], now: float) -> None:
        """Stop it if its settings are old; `watch` starts it again when it has ended."""
        if self._outdated is None:
            if self._settings() not in (None, self._given):
                self._outdated = now
                process.terminate()
        elif now - self._outdated > STOP_WITHIN:
            os.killpg(process.pid, signal.SIGKILL)

    def _end(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


def tape_command(*words: str) -> list[str]:
    """A `tape` command that ends with the process which starts it."""
    # -P: a folder `streams` where the user stands is not this program's.
    return [sys.executable, "-P", "-m", "streams.up.child", *words]


def stop_all(children: Sequence[Child], within: float = STOP_WITHIN) -> None:
    """Stop them all at once; who is still there after `within` seconds is killed."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + within
    for child in children:
        child.end(deadline)


def pause_after(lived: float, backoff: Backoff) -> float | None:
    """Seconds to wait before starting what died after `lived` seconds; None in a crash loop."""
    if lived >= LONG_LIFE:
        backoff.reset()
    if backoff.failures + 1 >= FAST_DEATHS:
        return None
    return backoff.pause()


def last_lines(log: Path, start: int, count: int) -> str:
    """The last lines of a log behind the byte `start`, without the terminal's control codes."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, log.stat().st_size - 65_536))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line for line in _CONTROL.sub("", text).splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def _told(said: str) -> str:
    """The message with which a `tape` command ends, which may have several lines."""
    _, mark, message = f"\n{said}".rpartition("\ntape: ")
    return message.strip() if mark else ""


def _describe(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
