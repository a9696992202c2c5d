"""`tape book`: what the tables say of a market's book, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.reports.book import read_book
from streams.reports.reading import reading
from tests.projections.market.projected import (
    TICKER,
    described,
    project,
    quoted,
    reset,
    run,
    units_of,
)
from tests.projections.market.test_book import OTHER, delta, gap, snapshot
from tests.projections.market.test_trades import traded
from tests.strategies import few
from tests.streams.tape import ROOT, Tape, make_tables

THIRD = "KXBTCD-26NOV1516-T115749.99"


@pytest.fixture
async def tables(dsn: str) -> str:
    """The DSN of a database with tables."""
    await make_tables(dsn)
    return dsn


@pytest.fixture
def tape(tables: str, tmp_path: Path) -> Tape:
    return Tape(TAPE_DSN=tables, TAPE_HOME=str(tmp_path))


async def projected(dsn: str, *events: Any) -> None:
    await project(dsn, units_of(events, []))


def lines(output: str) -> list[str]:
    """Without the spaces at their ends; ages, which go by the clock, as AGE."""
    assert all(len(line) <= 80 for line in output.splitlines())
    aged = re.sub(r"-?[0-9.,]+ (?:s|min|h|days) ago", "AGE", output)
    return [line.rstrip() for line in aged.splitlines()]


async def test_a_book_is_shown_with_its_best_prices_last_trade_and_quote(
    tables: str, tape: Tape
) -> None:
    await projected(
        tables,
        described(0, title="Bitcoin price", subtitle="$114,750 or above", status="active"),
        snapshot(1, no=[("0.5500", "50.00"), ("0.5275", "1200.50"), ("0.0100", "1")]),
        traded(2, taker_side="yes", yes_price="0.44"),
        quoted(3, yes_bid="0.40", yes_bid_size="300"),
    )
    assert lines(tape.output("book", TICKER, "--depth", 2)) == [
        "KXBTCD-26NOV1516-T114749.99 of kalshi",
        "Bitcoin price, $114,750 or above",
        "strike 114,750, closes 2026-11-15 16:00 Eastern, active",
        "valid, last changed AGE",
        "",
        "   contracts           bid           ask     contracts",
        "         300          0.40          0.45            50",
        "         100          0.39        0.4725       1,200.5",
        "                                                1 more",
        "",
        "best        bid 0.40 x 300, ask 0.45 x 50",
        "spread      0.05",
        "last trade  10 at 0.44, yes taken, AGE",
        "quote       bid 0.40 x 300, ask -, AGE",
    ]


async def test_a_book_that_is_not_valid_says_since_when_and_why(tables: str, tape: Tape) -> None:
    await projected(tables, snapshot(1, no=[]), gap(2))
    shown = lines(tape.output("book", TICKER))
    assert " ".join(shown[2:4]) == (
        "NOT VALID since 2026-11-15 07:00:00 Eastern: the connection ended; it was last changed AGE"
    )
    assert "best    bid 0.40 x 300, ask -" in shown
    assert "spread  -" in shown


async def test_a_market_without_a_book_says_so(tables: str, tape: Tape) -> None:
    await projected(tables, quoted(1, yes_bid="0.40"))
    assert lines(tape.output("book", TICKER))[2:] == [
        "no book: no snapshot of it was projected yet",
        "",
        "quote  bid 0.40, ask -, AGE",
    ]


async def test_programs_get_all_levels_exactly(tables: str, tape: Tape) -> None:
    await projected(tables, snapshot(1), delta(2, 1, "0.0000000001"), traded(3))
    found = json.loads(tape.output("book", TICKER, "--depth", 1, "--json"))
    assert found["bids"] == [
        {"price": "0.4", "size": "300.0000000001"},
        {"price": "0.39", "size": "100"},
    ]
    assert found["asks"] == [{"price": "0.45", "size": "50"}]
    assert (found["spread"], found["state"]["valid"], found["state"]["seq"]) == ("0.05", True, 2)
    assert (found["last_trade"]["yes_price"], found["quote"]) == ("0.36", None)
    assert found["market"]["strike"] == "114750"


async def test_an_unknown_market_is_answered_with_the_nearest(tables: str, tape: Tape) -> None:
    far = "KXETHD-25AUG0619-T3599.99"
    await projected(tables, *(quoted(0, ticker=one) for one in (TICKER, OTHER, THIRD, far)))
    complaint = tape.complaint("book", TICKER.lower())
    assert "no market 'kxbtcd-26nov1516-t114749.99' of kalshi" in complaint
    assert f"the nearest are {TICKER}, " in complaint
    assert far not in complaint
    assert "kalshi has none like it" in tape.complaint("book", "ZZZ")
    assert "try --venue kalshi" in tape.complaint("book", TICKER, "--venue", "kalshi_demo")


def test_a_database_without_tables_says_what_to_do(dsn: str, tmp_path: Path) -> None:
    bare = Tape(TAPE_DSN=dsn, TAPE_HOME=str(tmp_path))
    assert "run `tape db migrate`" in bare.complaint("book", TICKER)


async def test_watching_is_for_a_terminal(tables: str, tape: Tape) -> None:
    await projected(tables, snapshot(1))
    for more in ([], ["--json"]):
        assert "--watch is for a terminal" in tape.complaint("book", TICKER, "--watch", *more)


class Terminal:
    """`tape` on a terminal of 80 columns, and all that it has written there."""

    def __init__(self, dsn: str, home: Path, *words: str) -> None:
        self._end, inner = pty.openpty()
        self._written = ""
        self._has_more = threading.Condition()
        settings = {"TAPE_DSN": dsn, "TAPE_HOME": str(home), "COLUMNS": "80", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from streams.cli import main; main()", *words],
            env=os.environ | settings | {"TERM": "xterm", "PYTHONPATH": str(ROOT)},
            stdin=inner,
            stdout=inner,
            stderr=inner,
        )
        os.close(inner)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._end, 4096)
            except OSError:  # Linux says so once the other side is closed
                return
            with self._has_more:
                self._written += piece.decode()
                self._has_more.notify()

    def shows(self, text: str) -> bool:
        """Whether this is written, now or within a minute."""
        with self._has_more:
            return self._has_more.wait_for(lambda: text in self._written, 60)

    def written(self) -> str:
        """All that is written, once the process has ended."""
        self._reader.join()
        return self._written

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._end)


@pytest.fixture
def terminal(dsn: str, tmp_path: Path) -> Iterator[Terminal]:
    asyncio.run(make_tables(dsn))
    run(dsn, [snapshot(1)])
    opened = Terminal(dsn, tmp_path, "book", TICKER, "--watch")
    yield opened
    opened.close()


def test_watching_shows_every_change_until_it_is_stopped(terminal: Terminal, dsn: str) -> None:
    assert terminal.shows("bid 0.40 x 300, ask 0.45 x 50")
    run(dsn, [snapshot(1), delta(2, 1, "7.00"), gap(3)])
    assert terminal.shows("bid 0.40 x 307")
    assert terminal.shows("NOT VALID")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter view market_book_state rename to elsewhere")
        assert terminal.shows("the database: relation")
        connection.execute("alter view elsewhere rename to market_book_state")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(60) == 130
    assert "Traceback" not in terminal.written()


_cents = st.integers(0, 100).map(lambda cents: Decimal(cents).scaleb(-2))
_sides = st.dictionaries(_cents, st.integers(1, 9).map(Decimal), max_size=12)


@few
@given(yes=_sides, no=_sides)
def test_bids_fall_and_asks_rise_from_the_best(
    tables: str, yes: dict[Decimal, Decimal], no: dict[Decimal, Decimal]
) -> None:
    reset(tables)
    run(tables, [snapshot(1, yes=list(yes.items()), no=list(no.items()))])
    with reading(tables) as connection:
        book = read_book(connection, "kalshi", TICKER)
    assert book is not None
    bids, asks = sorted(yes, reverse=True), sorted(no, reverse=True)
    assert [(level.price, level.size) for level in book.bids] == [(one, yes[one]) for one in bids]
    assert [(level.price, level.size) for level in book.asks] == [
        (1 - one, no[one]) for one in asks
    ]
    assert book.spread == (1 - asks[0] - bids[0] if yes and no else None)
