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
from typing import Literal, NamedTuple

from projections.errors import Refusal
from streams.backoff import Backoff
from streams.errors import UserError
from streams.events import Restart

__all__ = ["REFUSED", "Child", "ChildState", "Complaint"]
__all__ += ["last_lines", "pause_after", "stop_all", "tape_command"]

#: So many deaths, none after a life of LONG_LIFE seconds, are a crash loop.
FAST_DEATHS = 5
LONG_LIFE = 10.0
#: The pause in a crash loop, seconds.
LOOP_PAUSE = 60.0
#: The exit status of a refusal.
REFUSED = 75
#: The exit status of a user's mistake.
MISTAKEN = 2
#: Exit statuses after SIGTERM (70: a worker that took too long) and SIGINT: where we have not asked
#: for it, a person has.
_STOPPED_BY_A_PERSON = frozenset({0, 70, -signal.SIGTERM, -signal.SIGINT, 130})
#: Seconds between SIGTERM and SIGKILL.
STOP_WITHIN = 10.0

_LARGEST_LOG = 10_000_000
_LINES_SHOWN = 8
_LONGEST_REASON = 500
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class ChildState(NamedTuple):
    """A child for the view; `pid` is None while it does not run."""

    name: str
    pid: int | None
    doing: str
    restarts: int


class Complaint(NamedTuple):
    """How a child that was asked to stop failed to, or had failed before; `status` is negative for
    a signal."""

    name: str
    status: int
    text: str
    what: str = "did not stop cleanly"

    def __str__(self) -> str:
        return f"{self.name} {self.what}: {self.text}"


def _tell_nobody(restart: Restart) -> None:
    """Where nobody wants to know."""


class Child:
    """A command in a process (and process group) of its own, logging to a file.

    `settings` are environment variables for it alone. While they are None it waits; when they are
    others than those that it was started with, it is stopped and started with the new ones. `tell`
    is told of each death; it must neither wait nor fail.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        settings: Callable[[], Mapping[str, str] | None] = dict,
        tell: Callable[[Restart], None] | None = None,
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
        self._tell = tell or _tell_nobody
        self._has_died = False
        self._has_lived = False
        self._is_left = False
        #: Its last exit status and words, once it is in a crash loop.
        self._loop: tuple[int, str] | None = None

    @property
    def state(self) -> ChildState:
        """What it does now."""
        if self._process is not None:
            return ChildState(self.name, self._process.pid, "running", self.restarts)
        wait = self._start_again - time.monotonic()
        why = "died" if self._loop is None else "crash loop"
        doing = f"{why}, starts again in {wait:.1f} s" if wait > 0 else self._idle
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
        """Start it again if it died and its pause is over. What a person stopped stays so.

        Raises:
            Refusal: it ended with status 75; with what it said.
            UserError: it never worked, and says again and again that the user is mistaken; with
                the last lines of its log.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_again and not self._is_left:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            if now - self._started >= LONG_LIFE:
                self._has_lived, self._loop = True, None
            self._renew(self._process, now)
            return
        self._end()
        if self._outdated is not None:
            self._outdated = None
            return
        if status in _STOPPED_BY_A_PERSON:
            self._is_left, self._idle = True, "stopped by someone"
            return
        self._died(status, now)

    def _died(self, status: int, now: float) -> None:
        """Choose what to do about it. Raises as `watch`."""
        said = last_lines(self.log, self._log_start, _LINES_SHOWN)
        if status == REFUSED:
            self._report("gave_up", status, said, 0.0)
            raise Refusal(_told(said) or f"{self.name} refused to go on. {said}")
        pause = pause_after(now - self._started, self._backoff)
        if pause is None and status == MISTAKEN and not self._has_lived:
            self._report("gave_up", status, said, 0.0)
            raise UserError(f"{self.name} {_loop(status)}. {self._last_words(said)}")
        self._loop = None if pause is not None else (status, said)
        pause = LOOP_PAUSE if pause is None else pause
        self._start_again = now + pause
        self._has_died = True
        self._report("restarted" if self._loop is None else "crash_loop", status, said, pause)

    def _report(
        self,
        action: Literal["restarted", "crash_loop", "gave_up"],
        status: int,
        said: str,
        pause: float,
    ) -> None:
        told = _told(said)
        reason = f"{_describe(status)}: {told}" if told else _describe(status)
        self._tell(
            Restart(
                service=f"process/{self.name.replace(' ', '-')}",
                supervisor="tape-up",
                action=action,
                reason=reason[:_LONGEST_REASON],
                restarts=self.restarts + (action != "gave_up"),
                pause_ms=round(pause * 1000),
                time=time.time_ns() // 1000,
            )
        )

    def _last_words(self, said: str) -> str:
        return f"The last lines of its log {self.log}:\n{said}"

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and start it no more. It is a complaint that it is in a crash loop."""
        self._start_again = 0.0
        if self._loop is not None:
            status, said = self._loop
            text = f"it {_loop(status)}. {self._last_words(said)}"
            self.complaint = Complaint(self.name, status, text, "is in a crash loop")
            self._loop = None
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
    pause = backoff.pause()
    return None if backoff.failures >= FAST_DEATHS else pause


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


def _loop(status: int) -> str:
    return f"died {FAST_DEATHS} times in quick succession (last with {_describe(status)})"


def _describe(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
