"""The parts of `tape up`, without all that it runs."""

import io
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from streams.errors import UserError
from streams.up.accounts import AccountsReading, Cash, Trade, Whose
from streams.up.children import (
    ChildState,
    Complaint,
)
from streams.up.claim import only_one
from streams.up.markets import MarketQuote
from streams.up.panels import Frame, Where, render
from streams.up.readings import LastPrice, ProjectionReading, Reading, Rows, database_address
from streams.up.readings import lag_by_topic as lag
from streams.up.run import Plan, children, whose
from streams.up.signals import StopSignals
from streams.up.summary import Summary
from streams.up.view import line
from streams.up.watch import Latest, Speed

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
