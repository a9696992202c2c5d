"""`subprocess.Popen` of a Python program, forked from a process that has imported what it needs."""

from __future__ import annotations

import atexit
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, AnyStr

from tests.processes import server
from tests.processes.server import Task, receive, send

__all__ = ["ROOT", "Forked", "run"]

ROOT = Path(__file__).parents[2]

_PATH = {"PYTHONPATH": str(ROOT)}
#: Variables that the interpreter and the C library look at when they start.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "TZ")
#: Allocators that would have threads of their own, which no fork takes along.
_WITHOUT_THREADS = {
    "_RJEM_MALLOC_CONF": "background_thread:false",  # that of polars
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # that of pyarrow
}
#: Before any test has changed it.
_ENVIRONMENT = os.environ | _PATH


class _Server:
    """The process of tests/processes/server.py; it ends with this one, however this one ends."""

    def __init__(self) -> None:
        self.control, inner = socket.socketpair()
        code = f"from {server.__name__} import main; main()"
        with inner:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(inner.fileno())],
                cwd=ROOT,
                env=_ENVIRONMENT | _WITHOUT_THREADS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[inner.fileno()],
            )
        self._asked = set(receive(self.control))
        atexit.register(self._stop)

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether the server was imported as it would be with this environment."""
        # Polars sets one of these itself, once a test's process has imported it.
        names = {*environment, *_ENVIRONMENT} - _WITHOUT_THREADS.keys()
        return all(
            environment.get(name) == _ENVIRONMENT.get(name)
            for name in names
            if name in self._asked or name.startswith(_AT_START)
        )

    def start(self, task: Task, descriptors: Sequence[int]) -> tuple[int, socket.socket]:
        """Its process id, and the connection that tells how it ends."""
        connection, inner = socket.socketpair()
        with inner:
            socket.send_fds(self.control, [b"+"], [inner.fileno(), *descriptors])
        send(connection, task)
        return receive(connection), connection

    def _stop(self) -> None:
        self.control.close()
        self.process.wait(10)


@cache
def _started() -> _Server:
    return _Server()


_starting = threading.Lock()


def _server() -> _Server:
    with _starting:
        return _started()


class Forked(subprocess.Popen[AnyStr]):
    """`python -c CODE` or `python -m MODULE`, which is there at once.

    It takes what `Popen` takes and is the same to its user, but that its parent is another process;
    without an environment of its own it finds the modules of this repository. It is a new
    interpreter where it has to be one: to write to a terminal, and with variables that the
    interpreter or a module looks at when it starts.

    Overridden is how `Popen` starts a process and waits for it on POSIX, and nothing else.
    """

    _connection: socket.socket | None = None

    def _execute_child(
        self,
        args: Sequence[str],
        executable: str | None,
        preexec_fn: object,
        close_fds: bool,
        pass_fds: Sequence[int],
        cwd: str | Path | None,
        env: Mapping[str, str] | None,
        *others: Any,
    ) -> None:
        pipes, new_session = others[3:9], others[-2]
        theirs = [pipes[0], pipes[3], pipes[5]]
        streams = [number if given == -1 else given for number, given in enumerate(theirs)]
        environment = dict(os.environ | _PATH if env is None else env)
        apart = args[1] not in {"-c", "-m"} or any(map(os.isatty, streams[1:]))
        if apart or not _server().suits(environment):
            options = (executable, preexec_fn, close_fds, pass_fds, cwd, environment, *others)
            super()._execute_child(args, *options)  # type: ignore[misc]
            return
        assert not any((executable, preexec_fn, pass_fds)), "a fork has no such options"
        task = Task([*args[1:]], environment, str(Path(cwd or ".").resolve()), new_session)
        self._lock = threading.Lock()
        self.pid, self._connection = _server().start(task, streams)
        self._descriptor = os.pidfd_open(self.pid)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *given: Any, **options: Any) -> int | None:
        if self._connection is None:
            return super()._internal_poll(*given, **options)  # type: ignore[misc, no-any-return]
        return self._hear(0)

    def _wait(self, timeout: float | None) -> int:
        if self._connection is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        status = self._hear(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def _hear(self, timeout: float | None) -> int | None:
        """The exit status, as soon as it is known; None if it is not, in this time."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = max(until - time.monotonic(), 0.0)
            if self._lock.acquire(timeout=min(left, 60)):
                try:
                    self._read_status(min(left, 60))
                finally:
                    self._lock.release()
            if left == 0:
                break
        return self.returncode

    def _read_status(self, seconds: float) -> None:
        connection = self._connection
        if self.returncode is not None or connection is None:  # another thread has read it
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if poll.poll(seconds * 1000):
            os.close(self._descriptor)
            with connection:
                status: int = receive(connection)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # nothing comes: the process is no zombie any more
            self.returncode = status


def run(
    command: Sequence[str], *, timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` of a program whose output is wanted, in text."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    with Forked[str](command, **options) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
