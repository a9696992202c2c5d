"""Forked processes are what new interpreters would be, to themselves and to who starts them."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import forked
from tests.processes.forked import ROOT, Forked, run

#: Prints what a program finds when it begins.
FOUND = """
import ctypes, json, os, signal, sys, threading
def handler(number):
    return getattr(signal.getsignal(number), "__name__", str(signal.getsignal(number)))
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print(json.dumps({
    "arguments": [sys.argv, sys.orig_argv],
    "path": sys.path,
    "environment": dict(os.environ),
    "of the C library": [str(getenv(name)) for name in (b"OWN", b"HOME", b"_RJEM_MALLOC_CONF")],
    "folder": os.getcwd(),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "handlers": [handler(number) for number in signal.valid_signals()],
    "held back": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [
        [one.encoding, one.errors, one.line_buffering, one.write_through, one.fileno()]
        for one in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "same streams": [sys.stdin, sys.stdout] == [sys.__stdin__, sys.__stdout__],
    "main": sorted(vars(sys.modules["__main__"]).keys() - {"__annotations__"}),
    "threads": [one.name for one in threading.enumerate()],
    "group": os.getpgrp(),
}))
"""
ENDS = {
    "by itself": "print('done')",
    "with a status": "raise SystemExit(7)",
    "with a message": "raise SystemExit('no')",
    "with an error": "raise ValueError('no')",
    "by Ctrl-C": "raise KeyboardInterrupt",
    "by a signal": "import os; os.kill(os.getpid(), 9)",
    "at once": "import os; print('lost'); os._exit(3)",
    "with an exit function": "import atexit; atexit.register(print, 'over'); print('x', end='')",
    "with a thread": (
        "import threading, time\n"
        "threading.Thread(target=lambda: time.sleep(0.2) or print('late')).start()"
    ),
    "with what is no program": "1 +",
}
#: Tells that it has begun, and waits; in short pieces, because a signal right before a sleep is
#: handled after it.
WAITS = "import time; print('waits', flush=True)\nfor _ in range(1200): time.sleep(0.05)"


def python(*words: str) -> list[str]:
    return [sys.executable, "-c", *words]


def waiting() -> Forked[str]:
    process = Forked[str](python(WAITS), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    return process


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal: a shell lets what it starts in the background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_process_begins_as_a_new_interpreter_does(tmp_path: Path) -> None:
    found = []
    for kind in (subprocess.Popen, Forked):
        with kind(
            python(FOUND, "-x", "word"),
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OWN": "\udcff ü"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            found.append(json.loads(process.communicate(timeout=60)[0]))
    assert isinstance(process, Forked)
    assert process._connection is not None, "it was not forked"
    assert found[0] == found[1]


def test_a_module_is_run_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import sys; print(__name__, __file__, sys.argv, sys.path[0])")
    words = [sys.executable, "-m", "own", "word"]
    before = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run(words, cwd=tmp_path).stdout == before.stdout
    assert "No module named nothing" in run([sys.executable, "-m", "nothing"]).stderr


@pytest.mark.parametrize("end", ENDS)
def test_a_process_ends_as_it_would_otherwise(end: str) -> None:
    wanted = subprocess.run(python(ENDS[end]), capture_output=True, text=True, check=False)
    found = run(python(ENDS[end]))
    assert (found.returncode, found.stdout) == (wanted.returncode, wanted.stdout)
    assert found.stderr.splitlines()[-1:] == wanted.stderr.splitlines()[-1:]


def test_each_process_draws_numbers_of_its_own() -> None:
    program = python("import random, uuid, tempfile; print(random.random(), uuid.uuid4())")
    assert len({run(program).stdout for _ in range(3)}) == 3


def test_input_and_output_of_any_size_go_through() -> None:
    program = "import sys; text = sys.stdin.read(); print(text * 2); print(text, file=sys.stderr)"
    with Forked(
        python(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        output, errors = process.communicate("x" * 1_000_000, timeout=60)
    assert (len(output), len(errors)) == (2_000_001, 1_000_001)


def test_output_goes_where_it_would_otherwise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    program = "import sys; print('here', flush=True); print('there', file=sys.stderr)"
    with file.open("w") as log:
        Forked[bytes](python(program), stdout=log, stderr=subprocess.STDOUT).wait(60)
    assert file.read_text() == "here\nthere\n"
    assert Forked[bytes](python(program)).wait(60) == 0
    assert capfd.readouterr() == ("here\n", "there\n")


def test_a_process_stops_goes_on_and_dies_by_signals() -> None:
    process = waiting()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    seen = psutil.Process(process.pid)
    process.send_signal(signal.SIGSTOP)
    until(lambda: seen.status() == psutil.STATUS_STOPPED)
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    until(lambda: seen.status() == psutil.STATUS_SLEEPING)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    assert process.poll() == process.returncode == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)
    process.kill()  # as with any process that has ended: nothing happens
    process.communicate()


def test_ctrl_c_ends_a_process_and_not_what_it_was_forked_from() -> None:
    server = forked._server().process
    server.send_signal(signal.SIGINT)
    with waiting() as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert server.poll() is None


def test_an_ended_process_keeps_its_id_until_it_was_waited_for() -> None:
    process = waiting()
    os.kill(process.pid, signal.SIGKILL)
    seen = psutil.Process(process.pid)
    until(lambda: seen.status() == psutil.STATUS_ZOMBIE)
    assert process.poll() == -signal.SIGKILL
    assert not psutil.pid_exists(process.pid)
    process.communicate()


def test_a_process_may_have_a_session_of_its_own() -> None:
    program = python("import os; print(os.getsid(0) == os.getpid())")
    assert run(program).stdout == "False\n"
    assert run(program, start_new_session=True).stdout == "True\n"


@pytest.mark.parametrize("variable", ["NO_COLOR", "PYTHONUNBUFFERED", "TZ", "PSYCOPG_IMPL"])
def test_what_is_read_at_the_start_needs_an_interpreter_of_its_own(variable: str) -> None:
    process = Forked[bytes](python("pass"), env=os.environ | {variable: "python"})
    assert process._connection is None
    assert process.wait(60) == 0


def test_for_a_terminal_there_is_an_interpreter_of_its_own() -> None:
    outer, inner = pty.openpty()
    with os.fdopen(outer), os.fdopen(inner):
        process = Forked[bytes](python("raise SystemExit(5)"), stdout=inner)
        assert process._connection is None
        assert process.wait(60) == 5


def test_processes_are_forked_beside_no_thread_that_does_anything() -> None:
    tasks = Path(f"/proc/{forked._server().process.pid}/task")
    names = sorted((task / "comm").read_text().strip() for task in tasks.iterdir())
    assert names[-1].startswith("python")
    assert names[:-1] in ([], ["polars-ooc-clea"])


def test_a_killed_test_run_leaves_nothing_to_fork_from() -> None:
    program = (
        "import time; from tests.processes import forked;"
        "print(forked._server().process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(python(program), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert psutil.pid_exists(server)
        process.kill()
    until(lambda: has_ended(server))


def has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
