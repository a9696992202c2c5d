"""The parts of `tape up` that need neither broker nor database."""

import io
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from projections.errors import Refusal
from streams.connectors.runner import Backoff
from streams.errors import UserError
from streams.up.children import (
    FAST_DEATHS,
    Child,
    ChildState,
    Complaint,
    last_lines,
    pause_after,
    stop_all,
)
from streams.up.claim import only_one
from streams.up.readings import LastPrice, ProjectionReading, Reading, Rows, database_address
from streams.up.readings import lag_by_topic as lag
from streams.up.signals import StopSignals
from streams.up.summary import Summary
from streams.up.view import Frame, Where, line, render
from streams.up.watch import Latest, Speed

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WHERE = Where("simulated", "127.0.0.1:9092", "127.0.0.1:5432/tickertape", "/tape/logs")


def reading(symbols: int = 2, dead: int = 0) -> Reading:
    tables = [Rows("price_history", 1_234_567, exact=False), Rows("price_seconds", 42)]
    return Reading(
        taken=5.0,
        end=900,
        projections=[ProjectionReading("prices", 888, {"price.ticks": 12}, tables)],
        dead_letters=Rows("dead_letters", dead),
        prices=[
            LastPrice("simulated", f"S{n}-USD", Decimal("63990.71"), NOON, float(n))
            for n in range(symbols)
        ],
    )


def frame(latest: Latest, *children: ChildState) -> Frame:
    return Frame(12.3, 20.0, "running", 900, latest, children)


def drawn(shown: Frame, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(WHERE, shown, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_a_frame_fits_the_terminal_and_tells_all(width: int, height: int) -> None:
    children = (
        ChildState("worker 1", 71, "running", 0),
        ChildState("worker 2", None, "died, starts again in 0.8 s", 2),
        ChildState("produce simulated", 72, "running", 0),
    )
    latest = Latest(reading(symbols=50, dead=3), {"prices": 399.0}, "no route to " + "x" * 200)
    lines = drawn(frame(latest, *children), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for fact in (
        *("127.0.0.1:9092", "127.0.0.1:5432/tickertape", "/tape/logs", "12 of 20 s"),
        *("399 events/s", "12 events", "~1,234,567 rows", "42 rows", "3 rows", "63,990.71"),
        *("starts again in 0.8 s", "restarts 2", "pid 72", "no route to", " more"),
    ):
        assert fact in text


def test_a_frame_before_the_first_reading_can_be_drawn() -> None:
    assert "no reading yet" in "\n".join(drawn(frame(Latest()), 80, 24))
    assert line(frame(Latest())) == "  12.3 s  running  900 events"


def test_a_plain_line_names_what_does_not_run() -> None:
    latest = Latest(reading(), {"prices": 399.0}, "no route")
    shown = line(frame(latest, ChildState("worker 1", None, "died", 1)))
    assert "prices 399/s lag 12  price_history ~1,234,567" in shown
    assert "S1-USD 63,990.71  worker 1 died  no route" in shown


def test_the_summary_as_json_and_as_text() -> None:
    killed = Complaint("worker 1", -9, "it was killed")
    workers = [ChildState("worker 1", None, "", 2)]
    summary = Summary("simulated", 8.04, 900, reading(), workers, [killed])
    told = json.loads(summary.as_json())
    assert told["rows"] == {"price_history": 1_234_567, "price_seconds": 42}
    assert told["lag"] == {"prices": {"price.ticks": 12}}
    assert told["prices"][0]["price"] == "63990.71"
    assert told["restarts"] == {"worker 1": 2}
    text = summary.as_text()
    assert "8.0 s of simulated: 900 events produced, 12 not yet projected" in text
    assert "worker 1 died and was started again 2 times" in text
    assert "worker 1 did not stop cleanly: it was killed" in text
    assert told["complaints"] == [str(killed)]


def test_lag_counts_from_the_start_of_the_log_where_there_is_no_checkpoint() -> None:
    bounds = {("a", 0): (5, 20), ("a", 1): (5, 20), ("b", 0): (0, 7)}
    assert lag(["a"], bounds, {("a", 0): 18}) == {"a": 2 + 15}


def test_speed_is_taken_over_the_last_seconds() -> None:
    speed = Speed()
    assert speed.add(0.0, 0) == 0.0
    assert speed.add(1.0, 100) == 100.0
    assert speed.add(10.0, 100) == 0.0
    assert speed.add(11.0, 90) == 0.0


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("postgresql://me:sesame@db.example:6543/tape", "db.example:6543/tape"),
        ("host=db dbname=tape password=sesame", "db:5432/tape"),
    ],
)
def test_an_address_has_no_password(dsn: str, address: str) -> None:
    assert database_address(dsn) == address


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


def python(name: str, code: str, folder: Path) -> Child:
    child = Child(name, [sys.executable, "-c", code], folder / f"{name}.log")
    child._backoff = Backoff(first=0.01, cap=0.02)
    return child


def watched_to_the_end(child: Child) -> None:
    deadline = time.monotonic() + 30
    child.start()
    while time.monotonic() < deadline:
        child.watch()
        time.sleep(0.01)


def test_a_child_that_dies_again_and_again_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    child = python("worker 1", "raise SystemExit('the disk is gone')", tmp_path)
    with pytest.raises(UserError, match=r"died 5 times .*status 1") as caught:
        watched_to_the_end(child)
    assert "the disk is gone" in str(caught.value)
    assert not isinstance(caught.value, Refusal)
    assert child.restarts == FAST_DEATHS - 1


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
    while not child.log.stat().st_size:
        time.sleep(0.01)
    stop_all([child])
    assert str(child.complaint) == "produce did not stop cleanly: 7 events are lost"


def test_a_home_has_one_tape_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with only_one(home), pytest.raises(UserError, match=rf"\(pid {os.getpid()}\)"), only_one(home):
        pass
    with only_one(home) as logs:
        assert logs.is_dir()


def test_a_signal_asks_and_a_later_second_one_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        signals.patient = True
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked
        signal.raise_signal(signal.SIGINT)  # an echo of the first
        signals._asked_at -= 1.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # the clean-up goes on
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_during_the_set_up_interrupts_at_once() -> None:
    with StopSignals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
