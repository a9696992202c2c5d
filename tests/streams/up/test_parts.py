"""The parts of `tape up`, without all that it runs."""

import asyncio
import io
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from projections.errors import Refusal
from streams.backoff import Backoff
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import Restart, decode
from streams.settings import Endpoints
from streams.topics import ensure_topics
from streams.up import children as up_children
from streams.up import telling
from streams.up.accounts import AccountsReading, Cash, Trade, Whose
from streams.up.children import (
    FAST_DEATHS,
    LOOP_PAUSE,
    Child,
    ChildState,
    Complaint,
    last_lines,
    pause_after,
    stop_all,
)
from streams.up.claim import only_one
from streams.up.markets import MarketQuote
from streams.up.panels import Frame, Where, render
from streams.up.readings import LastPrice, ProjectionReading, Reading, Rows, database_address
from streams.up.readings import lag_by_topic as lag
from streams.up.run import Plan, children, whose
from streams.up.signals import StopSignals
from streams.up.summary import Summary
from streams.up.telling import Teller
from streams.up.view import line
from streams.up.watch import Latest, Speed
from tests.projections.health.told import restart
from tests.streams.tape import records_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PORTS = (8321, 9109)
WHERE = Where("simulated", "127.0.0.1:9092", "127.0.0.1:5432/tickertape", "http://127.0.0.1:8321/")


ACCOUNT = "simulated/demo/up-c0ffee-65/0"


def accounts(newest: int = 20, unexplained: str | None = "0") -> AccountsReading:
    ticker = "KXBTCSIM-26NOV22231325-T63974.99"
    bought = Trade(
        ticker, "yes", "closed", Decimal(20), Decimal(20), Decimal("0.4955"), Decimal("-3.08")
    )
    asked = Trade(ticker, "no", "pending", Decimal("2.5"), Decimal(0), None, None)
    return AccountsReading(
        trades={"open": 6, "closed": 1_034, "error": 3},
        settled=11,
        pnl=Decimal("-16.1850"),
        fees=Decimal("5.10"),
        newest=[asked, bought][:newest] + [bought] * (newest - 2),
        cash=[Cash(ACCOUNT, Decimal("993.1968"), NOON)],
        unexplained=None if unexplained is None else Decimal(unexplained),
    )


def quote(number: int = 0, *, valid: bool = True) -> MarketQuote:
    ticker = f"KXBTCSIM-26NOV22231325-T6397{number}.99"
    return MarketQuote(
        ticker, Decimal("0.43"), Decimal("12.5"), Decimal("0.46"), Decimal(3), valid, 4.2
    )


def reading(
    symbols: int = 2,
    dead: int = 0,
    of_accounts: AccountsReading | None = None,
    markets: Sequence[MarketQuote] = (),
) -> Reading:
    prices = [Rows("price_history", 1_234_567, exact=False), Rows("price_seconds", 42)]
    account = [Rows("fills", 260), Rows("trades", 120)]
    market = [Rows("markets", 99), Rows("market_trades", 98)]
    return Reading(
        taken=5.0,
        ends={"kalshi.account": 300, "kalshi.market": 200, "price.ticks": 400},
        projections=[
            ProjectionReading("account", 400, {"kalshi.account": 0, "trade.events": 1}, account),
            ProjectionReading("market", 300, {"kalshi.market": 0}, market),
            ProjectionReading("prices", 888, {"price.ticks": 12}, prices),
        ],
        dead_letters=Rows("dead_letters", dead),
        prices=[
            LastPrice("simulated", f"S{n}-USD", Decimal("63990.70"), NOON, float(n))
            for n in range(symbols)
        ],
        markets=markets,
        accounts=of_accounts or AccountsReading(),
    )


def with_health(found: Reading) -> Reading:
    ends = {**found.ends, "system.health": 1_000}
    health = ProjectionReading("health", 996, {"system.health": 4}, [Rows("health_services", 9)])
    return replace(found, ends=ends, projections=[*found.projections, health])


def test_what_processes_tell_of_themselves_counts_neither_as_events_nor_as_lag() -> None:
    found = reading()
    told = with_health(found)
    assert (told.end, told.lag) == (found.end, found.lag)


def frame(latest: Latest, *children: ChildState) -> Frame:
    return Frame(12.3, 20.0, "running", 900, latest, children)


def drawn(shown: Frame, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(WHERE, shown, width, height))
    return capture.get().splitlines()


CHILDREN = (
    ChildState("worker 1", 71, "running", 0),
    ChildState("worker 2", None, "died, starts again in 0.8 s", 2),
    ChildState("produce simulated", 72, "running", 0),
    ChildState("produce kalshi", 75, "running", 0),
    ChildState("expire", 73, "running", 0),
    ChildState("simulate", 74, "running", 1),
)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_a_frame_fits_the_terminal_and_tells_all(width: int, height: int) -> None:
    speeds = {"account": 29.0, "market": 16.0, "prices": 399.0, "health": 0.8}
    flows = {"kalshi": 167.4, "price": 401.0, "trade": 3.0}
    quotes = [quote(number) for number in range(3)]
    whole = with_health(reading(symbols=50, dead=3, of_accounts=accounts(), markets=quotes))
    latest = Latest(whole, speeds, flows, "no route to " + "x" * 200)
    lines = drawn(frame(latest, *CHILDREN), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for fact in (
        *("127.0.0.1:9092", "127.0.0.1:5432/tickertape", "http://127.0.0.1:8321/", "12 of 20 s"),
        *("account 29 1 fills 260 trades 120", "market 16 0 markets 99 market_trades 98"),
        *("prices 399 12 price_history ~1,234,567 price_seconds 42", "3 dead letters"),
        *("kalshi 167/s price 401/s trade 3/s", "T63970.99 bid 0.43 x 12.5 ask 0.46 x 3 4 s left"),
        *("trades 6 open 1,034 closed 3 error", "-16.185 after 5.10 of fees; 11 ended at"),
        *("cash 993.1968 every cent explained simulated/demo/up-c0ffee", "63,990.70", " more"),
        *("pending KXBTCSIM-26NOV22231325-T63974.99 no 2.5 asked", "20 at 0.4955 -3.08"),
        *("starts again in 0.8 s restarts 2", "pid 72", "pid 74 restarts 1", "no route to"),
    ):
        assert fact in text
    assert ("health 1 4 health_services 9" in text) == (height > 24)


def test_the_more_lines_a_terminal_has_the_more_of_the_newest_trades_it_shows() -> None:
    latest = Latest(reading(of_accounts=accounts()))
    shown = [
        "\n".join(drawn(frame(latest, *CHILDREN), 100, height)).count("KXBTCSIM")
        for height in (24, 28, 60)
    ]
    assert shown[0] >= 2
    assert shown[0] < shown[1] < shown[2] == 12


def test_without_trades_and_cash_nothing_is_said_of_them() -> None:
    text = "\n".join(drawn(frame(Latest(reading()), *CHILDREN), 80, 24))
    assert "pnl" not in text
    assert "cash" not in text


@pytest.mark.parametrize(
    ("unexplained", "told"),
    [("0.01", "0.01 unexplained"), (None, "not reckoned in time"), ("0", "every cent explained")],
)
def test_cents_that_nothing_explains_are_told(unexplained: str | None, told: str) -> None:
    latest = Latest(reading(of_accounts=accounts(unexplained=unexplained)))
    assert told in "\n".join(drawn(frame(latest), 80, 24))


def test_a_frame_before_the_first_reading_can_be_drawn() -> None:
    assert "no reading yet" in "\n".join(drawn(frame(Latest()), 80, 24))
    assert line(frame(Latest())) == "  12.3 s  running  900 events"


def test_a_plain_line_names_what_does_not_run() -> None:
    latest = Latest(reading(of_accounts=accounts()), {"prices": 399.0}, trouble="no route")
    shown = line(frame(latest, ChildState("worker 1", None, "died", 1)))
    assert "prices 399/s lag 12  price_history ~1,234,567  trades 1,043" in shown
    assert "S1-USD 63,990.70  worker 1 died  no route" in shown


def test_the_summary_as_json() -> None:
    killed = Complaint("worker 1", -9, "it was killed")
    workers = [ChildState("worker 1", None, "", 2)]
    whole = reading(symbols=1, of_accounts=accounts())
    summary = Summary("simulated", 8.04, 900, whole, workers, [killed])
    assert json.loads(summary.as_json()) == {
        "venue": "simulated",
        "seconds": 8.04,
        "events": 900,
        "rows": {
            "fills": 260,
            "trades": 120,
            "markets": 99,
            "market_trades": 98,
            "price_history": 1_234_567,
            "price_seconds": 42,
        },
        "dead_letters": 0,
        "lag": {
            "account": {"kalshi.account": 0, "trade.events": 1},
            "market": {"kalshi.market": 0},
            "prices": {"price.ticks": 12},
        },
        "trades": {
            "by_status": {
                "pending": 0,
                "open": 6,
                "closing": 0,
                "closed": 1034,
                "expired": 0,
                "canceled": 0,
                "error": 3,
            },
            "settled": 11,
            "pnl": "-16.185",
            "fees": "5.1",
        },
        "cash": {
            "balances": [
                {"account": ACCOUNT, "balance": "993.1968", "time": "2026-01-02T12:00:00+00:00"}
            ],
            "unexplained": "0",
        },
        "prices": [
            {
                "venue": "simulated",
                "symbol": "S0-USD",
                "price": "63990.70",
                "time": "2026-01-02T12:00:00+00:00",
            }
        ],
        "restarts": {"worker 1": 2},
        "complaints": ["worker 1 did not stop cleanly: it was killed"],
    }


def test_the_summary_as_text() -> None:
    killed = Complaint("worker 1", -9, "it was killed")
    workers = [ChildState("worker 1", None, "", 2)]
    whole = reading(of_accounts=accounts(unexplained="0.01"))
    text = Summary("simulated", 8.04, 900, whole, workers, [killed]).as_text()
    assert "8.0 s of simulated: 900 events produced, 13 not yet projected" in text
    assert "trades: 6 open, 1,034 closed, 3 error; 11 ended at settlement" in text
    assert "pnl -16.185 after 5.10 of fees" in text
    assert f"cash of {ACCOUNT}: 993.1968" in text
    assert "cash that nothing explains: 0.01, see cash_unexplained" in text
    assert "worker 1 died and was started again 2 times" in text
    assert "worker 1 did not stop cleanly: it was killed" in text


def test_a_summary_without_trades_does_not_speak_of_them() -> None:
    text = Summary("coinbase", 8.04, 900, reading(), []).as_text()
    assert "pnl" not in text
    assert "cash" not in text


def test_a_run_of_the_simulated_venues_has_a_simulated_account_of_its_own(tmp_path: Path) -> None:
    plan, other = Plan("simulated", 2, None), Plan("simulated", 2, None)
    venues, writers, workers, watchers = children(plan, tmp_path, tmp_path / "none.env", PORTS)
    assert [child.name for child in venues] == ["simulate"]
    assert [child.name for child in writers] == ["produce simulated", "produce kalshi", "expire"]
    assert [child.name for child in workers] == ["worker 1", "worker 2"]
    assert [child.name for child in watchers] == ["console", "monitor"]
    assert whose(plan) == Whose(f"simulated/demo/{plan.name}-", wanted=True)
    assert whose(plan) != whose(other)


def test_a_run_of_a_real_venue_shows_all_accounts_but_the_simulated_ones(tmp_path: Path) -> None:
    plan = Plan("coinbase", 1, None)
    venues, writers, _, _ = children(plan, tmp_path, tmp_path / "none.env", PORTS)
    assert not venues
    assert [child.name for child in writers] == ["produce coinbase", "expire"]
    assert whose(plan) == Whose("simulated/", wanted=False)


def test_a_book_that_is_not_valid_is_told_as_such() -> None:
    latest = Latest(reading(markets=[quote(valid=False)]))
    text = "\n".join(drawn(frame(latest), 80, 24))
    assert "not valid" in text
    assert "s left" not in text


def test_a_side_that_nobody_bids_for_is_told() -> None:
    empty = quote()._replace(bid=None, bid_size=None, ask=None, ask_size=None)
    text = "\n".join(drawn(frame(Latest(reading(markets=[empty]))), 80, 24))
    assert "no bid" in text
    assert "no ask" in text


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
