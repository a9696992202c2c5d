"""What the simulated account did and what the projection makes of it are one and the same."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import pytest

from projections import PROJECTIONS
from projections.account import Account
from projections.migrations import migrate
from streams.events import Balance, Event, OpenTrade, Settlement
from tests.projections.account.projected import rows, run
from tests.streams.simulated.kalshi.driving import only, simulated

#: One of each fact that a view would hold if the two did not agree.
DISAGREEMENTS = (
    "cash_unexplained",
    "position_differences",
    "unmatched_commands",
    "unmatched_fills",
    "account_conflicts",
)


@pytest.fixture
def dsn(fresh_database: str) -> str:
    """A database with the tables of all projections."""
    asyncio.run(migrate(fresh_database, [projection() for projection in PROJECTIONS.values()]))
    return fresh_database


def shuffled(events: Sequence[Event], seed: int) -> list[Event]:
    """The events in any order, some of them twice."""
    random_ = random.Random(seed)
    drawn = [*events, *random_.sample(events, len(events) // 10)]
    random_.shuffle(drawn)
    return drawn


@pytest.mark.parametrize("seed", [1, 2])
def test_every_cent_contract_and_trade_is_explained(dsn: str, seed: int) -> None:
    events = [event for event in simulated(seed, 90) if event.topic in Account.topics]
    run(dsn, shuffled(events, seed), [50] * (len(events) // 50))
    for view in DISAGREEMENTS:
        assert rows(dsn, view) == [], view
    ledger = rows(dsn, "cash_ledger")
    last = max(only(events, Balance), key=lambda balance: balance.received)
    assert max(ledger, key=lambda row: row["time"])["balance"] == last.balance
    assert len(ledger) > 40
    trades = {trade["ticket_id"]: trade for trade in rows(dsn, "trades")}
    assert set(trades) == {command.ticket_id for command in only(events, OpenTrade)}
    statuses = {trade["status"] for trade in trades.values()}
    assert {"open", "closed", "canceled", "error"} <= statuses
    assert {"auto", "expired"} <= {trade["close_method"] for trade in trades.values()}


def test_what_a_settled_market_gained_is_what_it_moved_the_cash_by(dsn: str) -> None:
    events = [event for event in simulated(3, 60) if event.topic in Account.topics]
    run(dsn, events)
    settlements = {event.ticker: event for event in only(events, Settlement)}
    positions = {row["ticker"]: row for row in rows(dsn, "positions")}
    flows: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows(dsn, "cash_flows"):
        flows[row["ticker"]] += row["amount"]
    gains: dict[str, Decimal] = defaultdict(Decimal)
    for trade in rows(dsn, "trades"):
        gains[trade["ticker"]] += trade["pnl"] or 0
    assert len(settlements) > 10
    for ticker, settlement in settlements.items():
        position = positions[ticker]
        assert (position["position"], position["payout"]) == (0, settlement.revenue)
        assert flows[ticker] == position["realized_pnl"] - position["fees_paid"] == gains[ticker]
