"""Order books: what a plain fold makes of the same messages, valid only where none is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from projections.market.book import Book, fold
from projections.market.reading import read
from streams.events import BookDelta, BookSnapshot, Event, MarketGap
from streams.events.types import micros_of, moment, plain
from tests.projections.logs import NOON, rows
from tests.projections.market import reference_book
from tests.projections.market.projected import (
    START,
    TICKER,
    Unreadable,
    project,
    quoted,
    reset,
    run,
    told,
    units_of,
)
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

OPENED = START - 1_000_000
OTHER = "KXBTCD-26NOV1516-T115249.99"


def snapshot(seq: int, **fields: Any) -> BookSnapshot:
    """Of connection `a`, subscription 1: 300 YES wanted at 0.40, 100 at 0.39, 50 NO at 0.55."""
    values: dict[str, Any] = {
        "connection": "a",
        "opened": OPENED,
        "sid": 1,
        "yes": [("0.3900", "100.00"), ("0.4000", "300.00")],
        "no": [("0.5500", "50.00")],
    }
    made: BookSnapshot = told(BookSnapshot, seq, seq=seq, **(values | fields))
    return made


def delta(seq: int, previous: int, change: str = "10.00", **fields: Any) -> BookDelta:
    """Of connection `a`, subscription 1, at 0.40 of YES."""
    values: dict[str, Any] = {"connection": "a", "sid": 1, "side": "yes", "price": "0.4000"}
    made: BookDelta = told(
        BookDelta, seq, seq=seq, previous=previous, delta=change, **(values | fields)
    )
    return made


def gap(at: int, **fields: Any) -> MarketGap:
    """Of connection `a`, received `at` microseconds after noon."""
    values: dict[str, Any] = {
        "venue": "kalshi",
        "ticker": TICKER,
        "connection": "a",
        "sid": 1,
        "expected": None,
        "got": None,
        "reason": "the connection ended",
        "received": START + at,
    }
    return MarketGap(**(values | fields))


def levels(dsn: str, ticker: str = TICKER) -> dict[tuple[str, str], str]:
    """Contracts by side and price, without trailing zeros."""
    return {
        (row["side"], row["price"]): plain(Decimal(row["size"]).normalize())
        for row in rows(dsn, "market_book")
        if row["ticker"] == ticker
    }


def state(dsn: str) -> dict[str, Any]:
    [row] = rows(dsn, "market_book_state")
    return dict(row)


BOOK = {("yes", "0.39"): "100", ("yes", "0.4"): "300", ("no", "0.55"): "50"}


def test_a_snapshot_is_the_whole_book(migrated_dsn: str) -> None:
    run(migrated_dsn, [snapshot(1), snapshot(5, yes=[("0.10", "7"), ("0.20", "0.00")], no=[])])
    assert levels(migrated_dsn) == {("yes", "0.1"): "7"}
    found = state(migrated_dsn)
    assert (found["seq"], found["valid"], found["reason"]) == (5, True, None)
    assert found["time"] == moment(START + 5)


def test_deltas_change_levels_and_an_empty_level_goes(migrated_dsn: str) -> None:
    changes = [
        snapshot(1),
        delta(4, 1, "-54.25"),
        delta(5, 4, "-100.00", price="0.39"),
        delta(9, 5, "12.5", side="no", price="0.5600", clock=77),
    ]
    for lengths in ([], [1, 1, 1], [2, 2]):
        reset(migrated_dsn)
        run(migrated_dsn, changes, lengths)
        assert levels(migrated_dsn) == {
            ("yes", "0.4"): "245.75",
            ("no", "0.55"): "50",
            ("no", "0.56"): "12.5",
        }
        found = state(migrated_dsn)
        assert (found["seq"], found["clock"], found["valid"]) == (9, 77, True)


def test_a_book_heals_by_its_next_snapshot_and_takes_no_delta_before(migrated_dsn: str) -> None:
    missing = [snapshot(1), delta(6, 4), delta(7, 6)]
    run(migrated_dsn, missing)
    found = state(migrated_dsn)
    assert (found["valid"], found["seq"]) == (False, 1)
    assert found["invalid_since"] == moment(START + 6)
    assert found["reason"] == "message 6 follows 4, but the last one taken was 1"
    assert levels(migrated_dsn) == BOOK
    assert {row["valid"] for row in rows(migrated_dsn, "market_book")} == {False}
    run(migrated_dsn, [*missing, snapshot(8), delta(9, 8)])
    found = state(migrated_dsn)
    assert (found["valid"], found["seq"]) == (True, 9)
    assert (found["invalid_since"], found["reason"]) == (None, None)
    assert levels(migrated_dsn) == BOOK | {("yes", "0.4"): "310"}


def test_a_chain_that_leaves_out_what_was_taken_is_broken_too(migrated_dsn: str) -> None:
    run(migrated_dsn, [snapshot(1), delta(2, 1), delta(3, 1)])
    assert state(migrated_dsn)["reason"] == "message 3 follows 1, but the last one taken was 2"


def test_more_taken_away_than_there_was_shows_a_lost_message(migrated_dsn: str) -> None:
    run(migrated_dsn, [snapshot(1), delta(2, 1, "-300.01"), delta(3, 2)])
    found = state(migrated_dsn)
    assert (found["valid"], found["invalid_since"]) == (False, moment(START + 2))
    assert found["reason"] == "message 2 leaves -0.01 contracts of yes at 0.4"
    assert levels(migrated_dsn) == BOOK


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(snapshot(3, yes=[]), id="a snapshot again"),
        pytest.param(snapshot(2, yes=[]), id="an older snapshot"),
        pytest.param(
            snapshot(9, yes=[], connection="zombie", opened=OPENED - 1), id="a zombie's snapshot"
        ),
        pytest.param(delta(3, 1), id="a delta again"),
        pytest.param(delta(9, 3, connection="zombie"), id="another connection's delta"),
        pytest.param(delta(9, 3, sid=2), id="another subscription's delta"),
        pytest.param(gap(9, connection="zombie"), id="another connection's gap"),
        pytest.param(gap(9, expected=2, got=3), id="a gap that a snapshot has closed"),
    ],
)
def test_what_says_nothing_of_a_book_leaves_it_valid_and_as_it_was(
    migrated_dsn: str, nothing: Event
) -> None:
    run(migrated_dsn, [snapshot(3), nothing])
    found = state(migrated_dsn)
    assert (found["valid"], found["seq"], levels(migrated_dsn)) == (True, 3, BOOK)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(gap(9), id="the connection ended"),
        pytest.param(gap(9, expected=4, got=6), id="numbers were skipped"),
        pytest.param(gap(9, sid=2, got=1), id="of another subscription"),
    ],
)
def test_a_gap_of_its_connection_makes_a_book_invalid(migrated_dsn: str, of: MarketGap) -> None:
    run(migrated_dsn, [snapshot(3), of, gap(50, reason="told again"), delta(4, 3)])
    found = state(migrated_dsn)
    assert (found["valid"], found["reason"]) == (False, "the connection ended")
    assert found["invalid_since"] == moment(START + 9)
    assert levels(migrated_dsn) == BOOK


@pytest.mark.parametrize(
    "newer",
    [
        pytest.param({"connection": "b", "opened": OPENED + 1}, id="a later connection"),
        pytest.param({"sid": 2}, id="a new subscription"),
    ],
)
def test_a_newer_stream_s_snapshot_replaces_the_book_whatever_its_number(
    migrated_dsn: str, newer: dict[str, Any]
) -> None:
    of = {name: value for name, value in newer.items() if name != "opened"}
    run(migrated_dsn, [snapshot(30), snapshot(1, yes=[], **newer), delta(2, 1, **of)])
    assert state(migrated_dsn)["seq"] == 2
    assert levels(migrated_dsn) == {("yes", "0.4"): "10", ("no", "0.55"): "50"}


def test_what_comes_before_any_snapshot_makes_no_book(migrated_dsn: str) -> None:
    run(migrated_dsn, [delta(2, 1), gap(3), Unreadable(delta(4, 2))])
    assert rows(migrated_dsn, "market_book_state") == []
    assert [row["ticker"] for row in rows(migrated_dsn, "markets")] == [TICKER]


def test_a_message_that_cannot_be_read_makes_its_own_book_invalid_at_once(
    migrated_dsn: str,
) -> None:
    others = [snapshot(1), snapshot(2, ticker=OTHER), snapshot(3, venue="kalshi_demo")]
    for lengths in ([], [3]):
        reset(migrated_dsn)
        run(migrated_dsn, [*others, Unreadable(delta(4, 1)), delta(5, 1)], lengths)
        valid = {
            (row["venue"], row["ticker"]): row["valid"]
            for row in rows(migrated_dsn, "market_book_state")
        }
        assert valid == {
            ("kalshi", TICKER): False,
            ("kalshi", OTHER): True,
            ("kalshi_demo", TICKER): True,
        }
        [broken] = [row for row in rows(migrated_dsn, "market_book_state") if not row["valid"]]
        assert broken["reason"] == "the record at offset 3 of kalshi.market[0] is a dead letter"
        assert broken["invalid_since"] == moment(NOON * 1_000_000)
        assert len(rows(migrated_dsn, "dead_letters")) == 1
        reset(migrated_dsn)
        run(migrated_dsn, [*others, Unreadable(delta(4, 1)), snapshot(6)], lengths)
        assert {row["valid"] for row in rows(migrated_dsn, "market_book_state")} == {True}


async def project_after_snapshot(dsn: str, *changes: Any) -> None:
    """A snapshot, and a delta whose record has these fields changed."""
    [[batch]] = units_of([snapshot(1), delta(2, 1)], [])
    first, second = batch.records
    changed: Any = second
    for change in changes:
        changed = replace(changed, **change)
    await project(dsn, [[replace(batch, records=[first, changed])]])


def headers(**changes: bytes | None) -> dict[str, Any]:
    """The headers of a delta's record; None leaves one out."""
    [[batch]] = units_of([delta(2, 1)], [])
    values = dict(batch.records[0].headers) | changes
    return {"headers": [(name, value) for name, value in values.items() if value is not None]}


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({"headers": headers(ce_type=b"market.book_delta.v2")["headers"]}, False),
        ({"headers": headers(ce_type=b"nobody.knows.v1")["headers"]}, False),
        ({"headers": headers(ce_type=None)["headers"]}, False),
        ({"headers": headers(ce_type=b"market.trade.v1")["headers"]}, True),
        ({"headers": headers(ce_type=b"market.ticker.v7")["headers"]}, True),
        ({"headers": headers(ce_type=b"market.unparsed.v1")["headers"]}, True),
        ({"headers": headers(ce_source=b"/elsewhere", ce_type=b"x")["headers"]}, True),
        ({"headers": []}, True),
        ({"value": None}, False),
        ({"value": None, "key": None}, True),
        ({"value": None, "key": b"kalshi:unparsed"}, True),
        ({"value": b"{}", "key": b"\xff"}, True),
    ],
)
async def test_a_refused_record_concerns_a_book_if_it_may_have_been_of_it(
    migrated_dsn: str, change: dict[str, Any], is_valid: bool
) -> None:
    await project_after_snapshot(migrated_dsn, change)
    assert len(rows(migrated_dsn, "dead_letters")) == 1
    assert state(migrated_dsn)["valid"] is is_valid


@pytest.mark.parametrize(
    "unstorable", [delta(2, 1, connection="a\0"), gap(2, reason="\0"), snapshot(2, connection="\0")]
)
def test_what_the_database_cannot_store_is_a_dead_letter_and_the_book_invalid(
    migrated_dsn: str, unstorable: Event
) -> None:
    run(migrated_dsn, [snapshot(1), unstorable])
    assert state(migrated_dsn)["valid"] is False
    [letter] = rows(migrated_dsn, "dead_letters")
    assert "NUL" in letter["error"]


def test_the_best_prices_are_those_of_both_sides_in_terms_of_yes(migrated_dsn: str) -> None:
    run(migrated_dsn, [snapshot(1), snapshot(2, ticker=OTHER, no=[]), gap(3)])
    best, empty_side = rows(migrated_dsn, "market_best", "ticker")
    assert (best["yes_bid"], best["yes_bid_size"]) == ("0.4", "300.00")
    assert (best["yes_ask"], best["yes_ask_size"]) == ("0.45", "50.00")
    assert (best["spread"], best["valid"]) == ("0.05", False)
    assert (empty_side["yes_bid"], empty_side["yes_ask"], empty_side["spread"]) == (
        *("0.4", None, None),
    )
    assert empty_side["valid"] is True


def test_sizes_are_exact_to_the_last_digit(migrated_dsn: str) -> None:
    most = "99999999999999999999.9999999999"
    run(
        migrated_dsn,
        [
            snapshot(1, yes=[("0.0000000001", most)], no=[]),
            delta(2, 1, most, price="0.0000000001"),
            delta(3, 2, "0.0000000001", price="0.0000000001"),
        ],
        [1, 1],
    )
    [row] = rows(migrated_dsn, "market_book")
    assert row["price"] == "0.0000000001"
    assert row["size"] == "199999999999999999999.9999999999"


class Connector:
    """Draws what a connector, its zombie and a bad line may say of one market."""

    def __init__(self, draw: st.DrawFn, ticker: str) -> None:
        self.draw = draw
        self.ticker = ticker
        self.connection, self.opened, self.sid = "c0", OPENED, 1
        self.seq = self.previous = draw(st.integers(0, 3))
        self.said: list[Event | Unreadable] = [self.snapshot()]

    def of(self) -> dict[str, Any]:
        return {"ticker": self.ticker, "connection": self.connection, "sid": self.sid}

    def next_seq(self) -> tuple[int, int]:
        before, self.seq = self.previous, self.seq + self.draw(st.integers(1, 3))
        self.previous = self.seq
        return self.seq, before

    def snapshot(self) -> BookSnapshot:
        side = st.lists(
            st.tuples(
                st.sampled_from(["0.1", "0.10", "0.25", "1"]), st.sampled_from(["0", "2", "7.50"])
            ),
            max_size=3,
            unique_by=lambda level: Fraction(level[0]),
        )
        seq, _ = self.next_seq()
        return snapshot(
            seq, opened=self.opened, yes=self.draw(side), no=self.draw(side), **self.of()
        )

    def delta(self) -> BookDelta:
        seq, before = self.next_seq()
        return delta(
            seq,
            before,
            self.draw(st.sampled_from(["-7.50", "-2", "-1.25", "0", "1.25", "2.00", "5"])),
            side=self.draw(st.sampled_from(["yes", "no"])),
            price=self.draw(st.sampled_from(["0.1", "0.1000", "0.25"])),
            **self.of(),
        )

    def step(self) -> None:
        match self.draw(st.sampled_from(["delta"] * 9 + list("slugrnzo"))):
            case "delta":
                self.said.append(self.delta())
            case "s":
                self.said.append(self.snapshot())
            case "l":  # a message is lost on the way
                self.draw(st.sampled_from([self.delta, self.snapshot]))()
            case "u":
                self.said.append(Unreadable(self.delta()))
            case "g":
                got = self.draw(st.none() | st.integers(max(0, self.seq - 3), self.seq + 1))
                self.said.append(gap(self.seq, expected=got, got=got, **self.of()))
            case "r":  # the log has something twice
                self.said.append(self.draw(st.sampled_from(self.said)))
            case "n":
                self.sid += 1
                self.said.append(self.snapshot())
            case "z":  # a connection of before goes on
                held = self.connection, self.opened
                self.connection, self.opened = "zombie", OPENED - 1
                self.said.append(self.draw(st.sampled_from([self.delta, self.snapshot]))())
                self.connection, self.opened = held
            case "o":
                self.opened += self.draw(st.integers(0, 2))
                self.connection = f"c{self.opened}"
                self.said.append(self.snapshot())


@st.composite
def stories(draw: st.DrawFn) -> list[Event | Unreadable]:
    """What is said of two markets, in any order between them."""
    one, other = Connector(draw, TICKER), Connector(draw, OTHER)
    for _ in range(draw(st.integers(0, 30))):
        draw(st.sampled_from([one, one, other])).step()
    told_of = [draw(st.permutations(["one"] * len(one.said) + ["other"] * len(other.said)))]
    parts = {"one": iter(one.said), "other": iter(other.said)}
    return [next(parts[name]) for name in told_of[0]]


def stored(dsn: str) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows(dsn, "market_book_state"):
        kept = {name: row[name] for name in ("connection", "sid", "seq", "clock", "valid")}
        kept |= {name: micros_of(row[name]) for name in ("opened", "time", "received")}
        since = row["invalid_since"]
        kept["invalid_since"] = None if since is None else micros_of(since)
        assert (row["reason"] is None) is row["valid"]
        found[row["venue"], row["ticker"]] = kept | {"levels": {}}
    for row in rows(dsn, "market_book"):
        place = row["side"], Fraction(row["price"])
        found[row["venue"], row["ticker"]]["levels"][place] = Fraction(row["size"])
    return found


def expected(told_of: Sequence[Event | Unreadable]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        key: {
            "connection": book.snapshot.connection,
            "sid": book.snapshot.sid,
            "seq": book.last.seq,
            "clock": book.last.clock,
            "valid": book.broken is None,
            "opened": book.snapshot.opened,
            "time": book.last.time,
            "received": book.last.received,
            "invalid_since": book.broken,
            "levels": book.levels,
        }
        for key, book in reference_book.books(told_of).items()
    }


@given(story=stories())
def test_a_fold_in_memory_is_a_plain_fold(story: list[Event | Unreadable]) -> None:
    books: dict[tuple[str, str], Book] = {}
    for [batch] in units_of(story, [1] * len(story)):
        fold(books, read([batch]).facts.book)
    folded = {key: (book.seq, book.invalid_since, read_levels(book)) for key, book in books.items()}
    for key, book in expected(story).items():
        event("valid" if book["valid"] else "not valid")
        assert folded.pop(key) == (book["seq"], book["invalid_since"], book["levels"])
    assert folded == {}


def read_levels(book: Book) -> dict[tuple[str, Fraction], Fraction]:
    return {
        (side, Fraction(price)): Fraction(size)
        for side, found in (("yes", book.yes), ("no", book.no))
        for price, size in found.items()
    }


@few
@given(
    story=stories(),
    units=st.lists(st.integers(1, 9), max_size=8),
    partitions=st.sampled_from([1, 2, 7]),
)
def test_books_are_those_of_a_plain_fold_however_the_log_is_cut_and_partitioned(
    migrated_dsn: str, story: list[Event | Unreadable], units: list[int], partitions: int
) -> None:
    reset(migrated_dsn)
    run(migrated_dsn, story, units, partitions)
    books = expected(story)
    for book in books.values():
        event("valid" if book["valid"] else "not valid")
    assert stored(migrated_dsn) == books


async def test_a_unit_that_is_tried_again_folds_once(migrated_dsn: str) -> None:
    """As after a lost reply to COMMIT: the same units come to a process that claims anew."""
    units = units_of([snapshot(1), delta(2, 1), delta(3, 2), quoted(4, yes_bid="0.5")], [2])
    await project(migrated_dsn, units)
    await project(migrated_dsn, units)
    assert levels(migrated_dsn) == BOOK | {("yes", "0.4"): "320"}
    assert len(rows(migrated_dsn, "market_log")) == 4
