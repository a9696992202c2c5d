"""Processes that outlive the one that started them."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import psutil

from streams.errors import UserError

__all__ = ["Stopped", "find", "launch", "ours", "stop", "wait_until_usable"]

_LARGEST_LOG = 10_000_000

# Kept so that a daemon which dies under its starter is reaped by the next Popen.
_children: list[subprocess.Popen[bytes]] = []


class Stopped(StrEnum):
    """How a daemon came to its end."""

    NOT_RUNNING = "was not running"
    CLEANLY = "stopped"
    KILLED = "did not stop in time and was killed"


def launch(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    user: tuple[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Starts `command` in a session of its own, its output appended to `log`; gives its pid.

    `user` is (uid, gid) to run as. Signals of the caller's terminal do not reach it.

    Raises:
        OSError: the program could not be started.
    """
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_name(log.name + ".1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    uid, gid = user or (None, None)
    try:
        child = subprocess.Popen(
            [os.fspath(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=cwd,
            env=environment,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=[] if user else None,
        )
    finally:
        os.close(descriptor)
    _children.append(child)
    return child.pid


def ours(pid: int, word: str) -> bool:
    """Whether `pid` is a living process that has `word` as one of its arguments.

    A remembered pid may belong to another program after a reboot or a wrap-around of pids.
    """
    try:
        return word in psutil.Process(pid).cmdline()
    except psutil.Error:  # gone, a zombie, or someone else's
        return False


def find(is_sought: Callable[[str], bool]) -> list[int]:
    """The living processes with an argument that `is_sought`, the oldest first."""
    found = [
        (process.info["create_time"], process.pid)
        for process in psutil.process_iter(["cmdline", "create_time"])
        if any(map(is_sought, process.info["cmdline"] or []))
    ]
    return [pid for _, pid in sorted(found)]


def wait_until_usable(
    name: str, pid: int, log: Path, usable: Callable[[], bool], deadline_s: float
) -> None:
    """Waits until `usable()`.

    Raises:
        UserError: the process ended, or is still unusable after `deadline_s` seconds; with the
            last lines of its log.
    """
    until = time.monotonic() + deadline_s
    while not usable():
        if not _alive(pid):
            raise UserError(f"{name} ended while starting. {_tail(log)}")
        if time.monotonic() > until:
            raise UserError(
                f"{name} (pid {pid}) is not usable after {deadline_s:.0f} s; try `tape stack stop` "
                f"and start again. {_tail(log)}"
            )
        time.sleep(0.05)


def stop(pid: int, first: signal.Signals, deadline_s: float) -> Stopped:
    """Ends `pid` by the signal `first`, and by SIGKILL when it is still there after `deadline_s`.

    Raises:
        UserError: it may not be signalled, because it belongs to another user.
    """
    try:
        process = psutil.Process(pid)
        process.send_signal(first)
        if _gone(process, deadline_s):
            return Stopped.CLEANLY
        process.kill()
        _gone(process, 10)
    except psutil.NoSuchProcess:
        return Stopped.CLEANLY
    except psutil.AccessDenied:
        raise UserError(f"process {pid} belongs to another user; stop it as that user") from None
    return Stopped.KILLED


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _gone(process: psutil.Process, deadline_s: float) -> bool:
    # Not process.wait() alone: a zombie whose parent never reaps it counts as gone.
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if not _alive(process.pid):
            return True
        time.sleep(0.02)
    return False


def _tail(log: Path, lines: int = 15) -> str:
    try:
        with log.open(encoding="utf-8", errors="replace") as stream:
            last = "".join(deque(stream, maxlen=lines)).rstrip()
    except OSError:
        last = ""
    if not last:
        return f"Its log {log} is empty."
    return f"The last lines of its log {log}:\n{last}"
