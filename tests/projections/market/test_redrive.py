"""A late record of a market comes to the rows that it would have made in its place, or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from projections.market import Market
from projections.redrive import Outcome
from streams.events import Event, MarketCandle, MarketTrade
from tests.projections.logs import rows
from tests.projections.market.projected import (
    described,
    determined,
    quoted,
    reset,
    settled,
    told,
    units_of,
)
from tests.projections.market.test_book import delta, gap, snapshot
from tests.projections.market.test_quotes import messages
from tests.projections.redriven import older, project, redrive
from tests.strategies import many_at_once

DONE = Outcome("projected")
TABLES = [name for name in Market.tables if name not in {"market_book", "market_log_days"}]
FULL: dict[str, Any] = {"yes_bid": "0.4", "yes_ask": "0.5", "volume": "9"}


#: What tells the copies of a case apart, and which of several records of a fact made its row.
APART = {"venue", "ticker", "partition", "offset", "appended", "event", "content", "series"}
#: The events of a case, and the index of the one that an older program cannot read.
Case = tuple[Sequence[Any], int]


def refuse(dsn: str, events: Sequence[Event], refused: int) -> None:
    """Project these; an older program cannot read the one of this index."""
    topic = events[refused].topic
    offset = sum(event.topic == topic for event in events[:refused])
    program = older(Market, {offset}, topic)
    asyncio.run(project(dsn, program, *units_of(events, [])))


def late(dsn: str) -> Outcome:
    [outcome] = asyncio.run(redrive(dsn, Market()))
    return outcome


def check(dsn: str, *cases: Case) -> list[Outcome]:
    """All rows are as if the late record had come in its place or, where it is left, not at all.

    Each case is told of three venues: with a late record, in place, and without that record.
    """
    log: dict[str, list[Event]] = {topic: [] for topic in Market.topics}
    refused: dict[str, list[tuple[int, int]]] = {topic: [] for topic in Market.topics}
    for number, (events, index) in enumerate(cases):
        for venue in ("late", "whole", "without"):
            for at, event in enumerate(events):
                records = log[event.topic]
                if at == index and venue == "late":
                    refused[event.topic].append((number, len(records)))
                if at != index or venue != "without":
                    told = {"venue": venue, "ticker": f"KXCASE-{number}"}
                    records.append(event.model_copy(update=told))
    outcomes: dict[int, Outcome] = {}
    for topic in Market.topics:
        program = older(Market, {offset for _, offset in refused[topic]}, topic)
        asyncio.run(project(dsn, program, *units_of(log[topic], [])))
        found = asyncio.run(redrive(dsn, Market()))
        outcomes |= zip((number for number, _ in refused[topic]), found, strict=True)
        with psycopg.connect(dsn) as connection:
            connection.execute("delete from dead_letters")
    held = {name: rows(dsn, name) for name in TABLES}
    for number in range(len(cases)):
        other = "whole" if outcomes[number] == DONE else "without"
        assert outcomes[number].kind in {"projected", "left"}
        assert of_venue(held, number, "late") == of_venue(held, number, other), cases[number]
    return [outcomes[number] for number in range(len(cases))]


def of_venue(held: Mapping[str, list[Mapping[str, Any]]], number: int, venue: str) -> list[str]:
    """The contents of the tables about one copy of a case."""
    return sorted(
        f"{table} {sorted((name, value) for name, value in row.items() if name not in APART)}"
        for table, found in held.items()
        for row in found
        if (row["venue"], row["ticker"]) == (venue, f"KXCASE-{number}")
    )


@st.composite
def cases(draw: st.DrawFn, events: st.SearchStrategy[list[Any]]) -> list[Case]:
    """Logs, and a record of each that comes late."""
    logs = draw(st.lists(events, min_size=15, max_size=30))
    return [(log, draw(st.integers(0, len(log) - 1))) for log in logs]


@many_at_once
@given(cases=cases(st.lists(messages(), min_size=1, max_size=6)))
def test_a_late_quote_makes_no_row_wrong(migrated_dsn: str, cases: list[Case]) -> None:
    reset(migrated_dsn)
    check(migrated_dsn, *cases)


def test_quotes_that_were_followed(migrated_dsn: str) -> None:
    first, second = quoted(0, **FULL), quoted(1, **FULL | {"yes_bid": "0.1"})
    tied = quoted(0, **FULL | {"yes_bid": "0.1"})
    projected = [[first], [quoted(0, volume_delta="5")], [first, second], [first, tied]]
    left = [
        [first, quoted(1, yes_bid="0.1")],
        [quoted(1, **FULL), quoted(0, **FULL)],
        [quoted(0, volume_delta="5"), quoted(1, volume="20")],
    ]
    outcomes = check(migrated_dsn, *((events, 0) for events in (*projected, *left)))
    assert [one.kind for one in outcomes] == ["projected"] * 4 + ["left"] * 3


def test_a_late_total_of_deltas_is_not_counted_twice(migrated_dsn: str) -> None:
    """The newer total holds the late delta already."""
    events = [quoted(0, volume="10"), quoted(1, volume_delta="5"), quoted(2, volume="15")]
    refuse(migrated_dsn, events, 1)
    outcome = late(migrated_dsn)
    assert outcome.kind == "left"
    assert "moves a total" in outcome.reason
    assert rows(migrated_dsn, "market_quotes")[0]["volume"] == "15"


def test_messages_of_books_are_left_and_the_book_stays_as_it_is(migrated_dsn: str) -> None:
    messages = (snapshot(3), delta(2, 1), gap(2))
    cases = [([snapshot(1), message, snapshot(9)], 1) for message in messages]
    for outcome in check(migrated_dsn, *cases):
        assert outcome.kind == "left"
        assert "order book" in outcome.reason
    assert {row["valid"] for row in rows(migrated_dsn, "market_book_state")} == {True}


def test_what_is_refused_again_does_not_break_the_book_again(migrated_dsn: str) -> None:
    refuse(migrated_dsn, [snapshot(1), delta(2, 1), snapshot(9)], 1)
    [outcome] = asyncio.run(redrive(migrated_dsn, older(Market, {1}, "kalshi.market")))
    assert outcome.kind == "failed"
    assert rows(migrated_dsn, "market_book_state")[0]["valid"] is True


def test_trades_and_candles_come_late_as_well_as_in_time(migrated_dsn: str) -> None:
    trade = {"yes_price": "0.4", "count": "1", "trade_id": "t1", "taker_side": "yes"}
    events = [
        told(MarketTrade, 0, **trade),
        told(MarketTrade, 1_000_000, **trade | {"count": "2"}),
        told(MarketTrade, 0, **trade | {"taker_side": None}),
        told(MarketCandle, 0, minutes=60, end=1_794_744_000_000_000, volume=Decimal(3)),
        told(MarketCandle, 5, minutes=60, end=1_794_744_000_000_000, volume=Decimal(4)),
    ]
    for refused in range(len(events)):
        reset(migrated_dsn)
        assert check(migrated_dsn, (events, refused)) == [DONE]


@st.composite
def lives(draw: st.DrawFn) -> list[Event]:
    """What is told of one market, no older news after newer."""
    at = sorted(draw(st.lists(st.integers(0, 5), min_size=1, max_size=6)))
    word = st.none() | st.sampled_from(["a", "b"])
    events: list[Event] = []
    for time in at:
        kind = draw(st.sampled_from(["described", "determined", "settled"]))
        if kind == "described":
            fields = {name: draw(word) for name in ("title", "subtitle", "status")}
            events.append(described(time, **fields))
        elif kind == "determined":
            events.append(determined(time, result="yes", value=None))
        else:
            events.append(settled(time))
    return events


@many_at_once
@given(cases=cases(lives()))
def test_late_news_of_a_market_makes_no_row_wrong(migrated_dsn: str, cases: list[Case]) -> None:
    reset(migrated_dsn)
    check(migrated_dsn, *cases)


def test_a_late_settlement_behind_a_newer_result_is_left(migrated_dsn: str) -> None:
    events = [settled(2), determined(4, result="yes", value=None)]
    assert [one.kind for one in check(migrated_dsn, (events, 0))] == ["left"]


def test_news_that_were_followed(migrated_dsn: str) -> None:
    described_first = described(0, title="a")
    projected: list[list[Event]] = [
        [described_first],
        [described_first, quoted(1)],
        [determined(1, result="yes"), settled(2)],
        [settled(2), described(3, title="a")],
    ]
    left: list[list[Event]] = [
        [described_first, described(1, status="x")],
        [determined(1, result="yes"), settled(1)],
        [determined(1, result="yes"), determined(2, result="no")],
    ]
    outcomes = check(migrated_dsn, *((events, 0) for events in (*projected, *left)))
    assert [one.kind for one in outcomes] == ["projected"] * 4 + ["left"] * 3


def test_a_quote_of_a_day_that_is_logged_no_more_is_left(migrated_dsn: str) -> None:
    refuse(migrated_dsn, [quoted(0, **FULL), quoted(1, **FULL)], 0)
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        connection.execute("drop table market_1.market_log_2026_11_15")
        connection.execute("update market_1.market_log_days set closed = true")
    outcome = late(migrated_dsn)
    assert outcome.kind == "left"
    assert "no longer in market_log" in outcome.reason
