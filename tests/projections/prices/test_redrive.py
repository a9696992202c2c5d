"""A late record of prices comes to the rows that it would have made in its place, or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections.prices import Prices
from projections.redrive import Outcome
from streams.events import Event, PriceQuote
from tests.projections.logs import NOON, log_of, rows, trade
from tests.projections.prices.projected import reset
from tests.projections.redriven import older, project, redrive
from tests.strategies import many_at_once

DONE = Outcome("projected")
TABLES = [name for name in Prices.tables if name != "price_months"]
#: What tells the copies of a case apart, and which of several records of a trade made its row.
APART = {"venue", "symbol", "partition", "offset", "appended"}
#: When that record came; of the latest it does matter.
OF_FACTS = {"price_history", "price_conflicts"}
#: The events of a case, and the index of the one that an older program cannot read.
Case = tuple[Sequence[Event], int]


def quote(number: int, sequence: int | None = None, **fields: Any) -> PriceQuote:
    values: dict[str, Any] = {"bid": Decimal(5), "bid_size": None, "ask": Decimal(6)}
    values |= {"ask_size": None, "venue": "coinbase", "symbol": "BTC-USD", "sequence": sequence}
    time = NOON * 1_000_000 + number * 1_000
    return PriceQuote(**{**values, "time": time, "received": time, **fields})


@st.composite
def told(draw: st.DrawFn) -> Event:
    at, number = draw(st.integers(0, 3)), draw(st.integers(0, 9))
    sequence = draw(st.none() | st.integers(0, 2))
    if draw(st.booleans()):
        return quote(at, sequence, bid=Decimal(number + 1))
    price = Decimal(draw(st.sampled_from(["1", "2"])))
    # A channel may not give a trade's sequence, but none gives another.
    told_at = None if sequence is None else number % 4
    return trade(at, trade_id=str(number % 4), price=price, sequence=told_at)


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    """Logs, and a record of each that comes late."""
    logs = draw(st.lists(st.lists(told(), min_size=1, max_size=8), min_size=15, max_size=30))
    return [(log, draw(st.integers(0, len(log) - 1))) for log in logs]


def check(dsn: str, *cases: Case) -> list[Outcome]:
    """All rows are as if the late record had come in its place or, where it is left, not at all.

    Each case is told of three venues: with a late record, in place, and without that record.
    """
    log: list[Event] = []
    refused: set[int] = set()
    for number, (events, index) in enumerate(cases):
        for venue in ("late", "whole", "without"):
            for at, event in enumerate(events):
                if at == index and venue == "late":
                    refused.add(len(log))
                if at != index or venue != "without":
                    told = {"venue": venue, "symbol": f"CASE{number}"}
                    log.append(event.model_copy(update=told))
    reset(dsn)
    asyncio.run(project(dsn, older(Prices, refused), [log_of(log)]))
    outcomes = asyncio.run(redrive(dsn, Prices()))
    held = {name: rows(dsn, name) for name in TABLES}
    for number, outcome in enumerate(outcomes):
        assert outcome.kind in {"projected", "left"}
        other = "whole" if outcome == DONE else "without"
        assert of_venue(held, number, "late") == of_venue(held, number, other), cases[number]
    return outcomes


def of_venue(held: Mapping[str, list[Mapping[str, Any]]], number: int, venue: str) -> list[str]:
    """The contents of the tables about one copy of a case."""
    return sorted(
        f"{table} {sorted((name, value) for name, value in row.items() if name not in apart)}"
        for table, found in held.items()
        for apart in [APART | {"received"} if table in OF_FACTS else APART]
        for row in found
        if (row["venue"], row["symbol"]) == (venue, f"CASE{number}")
    )


@many_at_once
@given(cases=cases())
def test_a_late_record_makes_no_row_wrong(migrated_dsn: str, cases: list[Case]) -> None:
    check(migrated_dsn, *cases)


def test_late_trades_and_quotes_are_projected(migrated_dsn: str) -> None:
    events: list[Event] = [trade(n) if n % 2 else quote(n) for n in range(6)]
    assert check(migrated_dsn, *((events, n) for n in range(6))) == [DONE] * 6


def test_what_ties_with_the_latest_waits_for_a_newer_one(migrated_dsn: str) -> None:
    same = {"sequence": None, "time": NOON * 1_000_000}
    events = [trade(n, **same) for n in range(2)]
    tied, passed = check(migrated_dsn, (events, 0), ([*events, trade(5)], 0))
    assert tied.kind == "left"
    assert "retry once a newer one came" in tied.reason
    assert passed == DONE
