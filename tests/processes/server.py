"""The process that tests' processes are forked from, in place of an interpreter for each.

To start Python and to import what `tape` needs takes a second of the processor; a fork of a process
that has done so takes a hundredth of it. tests/processes/forked.py starts this one and talks to it.

A child is what a new interpreter would be: it has the given arguments, environment, folder and
standard streams, handles signals as Python does at its start, and leaves `main` to end as any
program, with the exit status or the traceback that the interpreter makes of it.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["main", "receive", "send"]

#: Imported with all that they import: commands import when they run, and these when they are used.
_PACKAGES = ("streams", "projections")
_OTHERS = ("typer.rich_utils",)
#: Threads that may live while this process forks. This one of polars waits from its start on for
#: what nobody sends: queries that spill to the disk. A child has no such thread, and needs none.
_HARMLESS = {"polars-ooc-clea"}
_LENGTH = struct.Struct("!I")


class Task(NamedTuple):
    """What a process is to do: `python COMMAND...`, by `-c CODE` or `-m MODULE` and arguments."""

    command: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool


def send(connection: socket.socket, message: Any) -> None:
    """Send a message of any length, which is JSON."""
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Any:
    """The next message. Raises EOFError where the other side is gone."""
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    return json.loads(_read(connection, length))


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class _Watched(os._Environ[str]):
    """The environment while modules are imported: it notes which variables they ask for."""

    asked: set[str]

    def __getitem__(self, key: str) -> str:
        # For a program that it runs, this one copies them all.
        if sys._getframe(1).f_globals["__name__"] != "platform":
            self.asked.add(key)
        return super().__getitem__(key)


def main() -> None:
    """Serves the socket of the descriptor that is the last argument, until its other end is closed.

    Returns in the children, once they have done what they are for.
    """
    control = socket.socket(fileno=int(sys.argv.pop()))
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever runs tests
    asked = _import_all()
    _wait_for_silence()
    gc.collect()
    gc.freeze()  # a child's first collection would copy every page
    send(control, sorted(asked))
    server = _Server(control)
    server.serve()
    if server.task is None:
        os._exit(0)
    signal.signal(signal.SIGINT, on_interrupt)
    signal.pthread_sigmask(signal.SIG_SETMASK, server.mask)
    _become(server.task)
    _run(server.task.command)


def _import_all() -> set[str]:
    """Imports what processes need; returns the variables that were asked for on the way."""
    environment: Any = os.environ
    plain = environment.__class__
    environment.asked = set()
    environment.__class__ = _Watched
    try:
        for name in (*_modules(), *_OTHERS):
            importlib.import_module(name)
    finally:
        environment.__class__ = plain
    asked: set[str] = environment.__dict__.pop("asked")
    return asked


def _modules() -> Iterator[str]:
    for package in map(importlib.import_module, _PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield module.name


def _wait_for_silence() -> None:
    """Until there is no other thread, but for those that may be there, and these sleep."""
    until = time.monotonic() + 10
    while busy := _threads() - {(name, "S") for name in _HARMLESS}:
        if time.monotonic() > until:
            raise RuntimeError(f"no fork is safe beside these threads: {busy}")
        time.sleep(0.01)


def _threads() -> set[tuple[str, str]]:
    """The names and states of all threads but the first."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        if int(thread.name) != os.getpid():
            name, rest = (thread / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            found.add((name, rest.split()[0]))
    return found


@dataclass(eq=False)
class _Child:
    """A process that was not waited for yet, and the connection to whoever started it."""

    pid: int
    connection: socket.socket
    ended: bool = False
    forgotten: bool = False


class _Server:
    """Forks for each task that comes, and tells how its processes end."""

    def __init__(self, control: socket.socket) -> None:
        #: In a child, what it is for, and the signals that were held back before the fork.
        self.task: Task | None = None
        self.mask: set[int] = set()
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Returns when there is nobody left to serve, and in each child."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._hear(key)
                elif not self._start():
                    return

    def _start(self) -> bool:
        """Starts a process, if there is one to start; returns whether to go on serving."""
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 4)
        if not descriptors:
            return False
        connection = socket.socket(fileno=descriptors[0])
        task = Task(*receive(connection))
        # A child handles no signal before it does so as a new interpreter.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if not pid:
            self.task, self.mask = task, mask
            connection.close()
            self._close()
            for number, descriptor in enumerate(descriptors[1:]):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return False
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        child = _Child(pid, connection)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, child)
        self._selector.register(connection, selectors.EVENT_READ, child)
        send(connection, pid)
        return True

    def _hear(self, key: selectors.SelectorKey) -> None:
        """Of the end of a process, or that whoever started it needs to know no more of it.

        It stays a zombie until both: nobody can signal another process by its id.
        """
        child: _Child = key.data
        self._selector.unregister(key.fileobj)
        if key.fileobj is child.connection:
            child.forgotten = True
        else:
            os.close(key.fd)
            child.ended = True
            with suppress(BrokenPipeError):
                send(child.connection, _status(child.pid))
        if child.ended and child.forgotten:
            os.waitpid(child.pid, 0)
            child.connection.close()

    def _close(self) -> None:
        """In a child: all that is the server's."""
        for key in self._selector.get_map().values():
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            else:
                os.close(key.fd)
        self._selector.close()


def _status(pid: int) -> int:
    """Of a zombie: its exit status, or minus the signal that it died of."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _become(task: Task) -> None:
    """What a new interpreter would be that is to do this."""
    if task.new_session:
        os.setsid()
    os.chdir(task.folder)
    os.environ.clear()
    os.environ.update(task.environment)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        mode, buffering = "wb" if number else "rb", 0 if before.write_through else -1
        stream = io.TextIOWrapper(
            open(number, mode, buffering, closefd=False),  # noqa: SIM115
            before.encoding,
            before.errors,
            newline="\n",
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.orig_argv[1:] = task.command


def _run(command: list[str]) -> None:
    """As `python COMMAND...` does."""
    option, what, *arguments = command
    module = sys.modules["__main__"] = ModuleType("__main__")
    sys.argv[:] = [option, *arguments]
    if option == "-m":
        sys.path[0] = str(Path.cwd())
        as_main: Any = runpy  # the interpreter itself calls it
        as_main._run_module_as_main(what)
    else:
        exec(compile(what, "<string>", "exec"), module.__dict__)  # noqa: S102
