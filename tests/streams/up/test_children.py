"""The children of `tape up`: what is started again, what is given up, and what is told of it."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from projections.errors import Refusal
from streams.backoff import Backoff
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import Restart, decode
from streams.settings import Endpoints
from streams.topics import ensure_topics
from streams.up import children as up_children
from streams.up import telling
from streams.up.children import (
    FAST_DEATHS,
    LOOP_PAUSE,
    Child,
    ChildState,
    last_lines,
    pause_after,
    stop_all,
)
from streams.up.telling import Teller
from tests.projections.health.told import restart
from tests.streams.tape import records_of


def test_a_crash_loop_is_a_number_of_fast_deaths_in_a_row() -> None:
    backoff = Backoff(first=0.5, cap=5.0)
    pauses = [pause_after(1.0, backoff) for _ in range(FAST_DEATHS)]
    assert all(0 < pause <= 5.0 for pause in pauses[:-1] if pause is not None)
    assert pauses.index(None) == FAST_DEATHS - 1
    assert pause_after(60.0, backoff) is not None


def test_the_last_lines_are_those_of_this_life_without_control_codes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"earlier\n\x1b[?25lone\r\n\ntwo\nthree\n")
    assert last_lines(log, len("earlier\n"), 8) == "one\ntwo\nthree"
    assert last_lines(log, 0, 2) == "two\nthree"
    assert last_lines(tmp_path / "none", 0, 2) == ""


def python(name: str, code: str, folder: Path, told: list[Restart] | None = None) -> Child:
    tell = None if told is None else told.append
    child = Child(name, [sys.executable, "-c", code], folder / f"{name}.log", tell=tell)
    child._backoff = Backoff(first=0.01, cap=0.02)
    return child


def watched_to_the_end(child: Child) -> None:
    deadline = time.monotonic() + 30
    child.start()
    while time.monotonic() < deadline:
        child.watch()
        time.sleep(0.01)


def has_said(log: Path, text: str) -> bool:
    return log.exists() and log.read_text() == text


def until(child: Child, condition: Callable[[], bool]) -> None:
    """Watch it until it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        child.watch()
        time.sleep(0.01)


def test_a_users_mistake_is_given_up_with_the_last_words_of_the_child(tmp_path: Path) -> None:
    told: list[Restart] = []
    code = "print('tape: there is no key'); raise SystemExit(2)"
    child = python("produce kalshi", code, tmp_path, told)
    with pytest.raises(UserError, match=r"died 5 times .*status 2") as caught:
        watched_to_the_end(child)
    assert "there is no key" in str(caught.value)
    assert not isinstance(caught.value, Refusal)
    assert child.restarts == FAST_DEATHS - 1
    assert [one.action for one in told] == ["restarted"] * (FAST_DEATHS - 1) + ["gave_up"]
    assert (told[-1].restarts, told[-1].pause_ms) == (FAST_DEATHS - 1, 0)
    assert told[-1].reason == "status 2: there is no key"


def test_a_crash_loop_is_told_and_goes_on_and_is_a_complaint_at_the_end(tmp_path: Path) -> None:
    told: list[Restart] = []
    child = python("worker 1", "raise SystemExit('the disk is gone')", tmp_path, told)
    child.start()
    until(child, lambda: len(told) == FAST_DEATHS)
    assert [one.action for one in told] == ["restarted"] * (FAST_DEATHS - 1) + ["crash_loop"]
    assert [one.restarts for one in told] == [1, 2, 3, 4, 5]
    assert {(one.service, one.supervisor) for one in told} == {("process/worker-1", "tape-up")}
    assert told[-1].pause_ms == LOOP_PAUSE * 1000
    assert child.state.doing.startswith("crash loop, starts again in ")
    child._start_again = 0.0  # the pause is over
    until(child, lambda: len(told) == FAST_DEATHS + 1)
    assert told[-1].action == "crash_loop"
    stop_all([child])
    assert child.complaint is not None
    assert str(child.complaint).startswith("worker 1 is in a crash loop: it died 5 times in quick")
    assert "the disk is gone" in child.complaint.text


def test_who_worked_once_is_never_given_up_and_who_works_again_is_in_no_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker whose broker is away for a while: it says that of itself with status 2."""
    monkeypatch.setattr(up_children, "LONG_LIFE", 0.2)
    told: list[Restart] = []
    works = tmp_path / "works"
    works.touch()
    code = (
        "import pathlib, sys, time; print(1, flush=True);"
        f" [time.sleep(0.01) for _ in iter(pathlib.Path({str(works)!r}).exists, False)];"
        " sys.exit(2)"
    )
    child = python("worker 1", code, tmp_path, told)
    child.start()
    until(child, lambda: child._has_lived)
    monkeypatch.setattr(up_children, "LONG_LIFE", 20.0)
    works.unlink()
    until(child, lambda: len(told) == FAST_DEATHS)
    assert told[-1].action == "crash_loop"
    assert child._loop is not None
    monkeypatch.setattr(up_children, "LONG_LIFE", 0.2)
    works.touch()
    child._start_again = 0.0
    until(child, lambda: child._loop is None)
    assert child.state.doing == "running"
    stop_all([child])
    assert child.complaint is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("ends_well", [True, False])
def test_what_a_person_stopped_is_not_started_again(
    tmp_path: Path, number: signal.Signals, ends_well: bool
) -> None:
    told: list[Restart] = []
    handler = "lambda *_: sys.exit(0)" if ends_well else "signal.SIG_DFL"
    code = (
        f"import signal, sys; signal.signal({int(number)}, {handler});"
        " print(1, flush=True); signal.pause()"
    )
    child = python("worker 1", code, tmp_path, told)
    child.start()
    until(child, lambda: has_said(child.log, "1\n"))
    assert child.state.pid is not None
    os.kill(child.state.pid, number)
    until(child, lambda: child.state.pid is None)
    for _ in range(20):
        child.watch()
        time.sleep(0.01)
    assert child.state == ChildState("worker 1", None, "stopped by someone", 0)
    assert told == []
    stop_all([child])
    assert child.complaint is None


def test_what_was_killed_is_started_again(tmp_path: Path) -> None:
    told: list[Restart] = []
    child = python("worker 1", "import time; time.sleep(60)", tmp_path, told)
    child.start()
    first = child.state.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(child, lambda: child.state.pid not in {None, first})
    stop_all([child])
    [one] = told
    assert (one.action, one.reason, one.restarts) == ("restarted", "SIGKILL", 1)


def test_a_broker_that_is_away_keeps_nobody_from_telling(tmp_path: Path) -> None:
    log = tmp_path / "restarts.log"
    began = time.monotonic()
    with Teller(Endpoints("127.0.0.1:1", {}, "", True, True), log) as teller:
        teller.tell(restart(reason="SIGKILL\nand more"))
        assert time.monotonic() - began < 1
    assert time.monotonic() - began < 10
    assert log.read_text().endswith("process/worker-1: SIGKILL and more: starts again in 0.5 s\n")


def test_a_restart_is_an_event(
    stack: StackInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_FAREWELL", 30.0)
    endpoints = Endpoints(stack.brokers, {}, "", True, True)
    ensure_topics(endpoints)
    service = f"process/{secrets.token_hex(6)}"
    told = [restart(service=service), restart(5, service=service, action="crash_loop")]
    with Teller(endpoints, tmp_path / "log") as teller:
        for one in told:
            teller.tell(one)
    records = asyncio.run(records_of(stack.brokers, "system.health", service, partitions=1))
    assert [decode(one.value, one.headers) for one in records] == told
    assert "not sent" not in (tmp_path / "log").read_text()


def test_a_child_waits_for_its_settings_and_starts_anew_with_others(tmp_path: Path) -> None:
    given: dict[str, str] | None = None
    code = "import os, time; print(os.environ['TAPE_X'], flush=True); time.sleep(60)"
    child = Child("feed", [sys.executable, "-c", code], tmp_path / "log", lambda: given)
    child.start()
    child.watch()
    assert child.state == ChildState("feed", None, "waits for the simulated venues", 0)
    for settings, said in (("one", "one\n"), (None, "one\n"), ("two", "one\ntwo\n")):
        given = None if settings is None else {"TAPE_X": settings}
        until(child, partial(has_said, child.log, said))
    assert child.restarts == 0
    stop_all([child])
    assert child.complaint is None


def test_a_refusal_is_passed_on_and_never_restarted(tmp_path: Path) -> None:
    code = "print('noise\\ntape: a rebuild is due:\\nrun it'); raise SystemExit(75)"
    child = python("worker 1", code, tmp_path)
    with pytest.raises(Refusal, match=r"^a rebuild is due:\nrun it$"):
        watched_to_the_end(child)
    assert child.restarts == 0


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    )
    child = python("worker 1", code + "; time.sleep(60)", tmp_path)
    child.start()
    pid = child.state.pid
    assert pid is not None
    while not child.log.stat().st_size:
        time.sleep(0.01)
    stop_all([child], within=0.2)
    assert child.state == ChildState("worker 1", None, "stopped", 0)
    assert child.complaint is not None
    assert child.complaint.status == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_a_child_says_when_its_stop_fails_is_not_lost(tmp_path: Path) -> None:
    code = "import sys, signal; signal.signal(15, lambda *_: sys.exit('tape: 7 events are lost'))"
    child = python("produce", f"{code}; print(1, flush=True); signal.pause()", tmp_path)
    child.start()
    while not child.log.read_bytes().endswith(b"\n"):  # `1` and the end of its line come apart
        time.sleep(0.01)
    stop_all([child])
    assert str(child.complaint) == "produce did not stop cleanly: 7 events are lost"
