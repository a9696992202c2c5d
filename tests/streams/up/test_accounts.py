"""What `tape up` reads of accounts is what the tables hold of them, and of no others."""

import asyncio
from collections import Counter

import psycopg
import pytest

from projections import PROJECTIONS
from projections.account import Account
from projections.migrations import migrate
from streams.events import Balance
from streams.up.accounts import AccountReader, AccountsReading, Whose
from tests.projections.account.projected import rows, run
from tests.streams.simulated.kalshi.driving import ACCOUNT, only, simulated


@pytest.fixture
def dsn(fresh_database: str) -> str:
    """A database with the tables of all projections."""
    asyncio.run(migrate(fresh_database, [projection() for projection in PROJECTIONS.values()]))
    return fresh_database


def read(dsn: str, whose: Whose) -> AccountsReading:
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as connection:
        return AccountReader(whose).read(connection, exact=True)


@pytest.mark.parametrize("whose", [Whose("simulated/demo/te", True), Whose("kalshi/", False)])
def test_trades_gains_and_cash_are_those_of_the_accounts(dsn: str, whose: Whose) -> None:
    events = [event for event in simulated(1, 40) if event.topic in Account.topics]
    run(dsn, events)
    reading, trades = read(dsn, whose), rows(dsn, "trades")
    assert reading.trades == Counter(trade["status"] for trade in trades)
    assert reading.settled == sum(trade["close_method"] == "expired" for trade in trades) > 0
    assert reading.pnl == sum(trade["pnl"] or 0 for trade in trades) != 0
    assert reading.fees == sum(trade["fees"] for trade in trades) > 0
    newest = sorted(trades, key=lambda trade: trade["asked_at"], reverse=True)[:12]
    assert [one.ticker for one in reading.newest] == [trade["ticker"] for trade in newest]
    assert [one.pnl for one in reading.newest] == [trade["pnl"] for trade in newest]
    (cash,) = reading.cash
    assert (cash.account, cash.balance) == (ACCOUNT, only(events, Balance)[-1].balance)
    assert reading.unexplained == 0


@pytest.mark.parametrize("whose", [Whose("simulated/demo/up-", True), Whose("simulated/", False)])
def test_other_accounts_are_left_out(dsn: str, whose: Whose) -> None:
    run(dsn, [event for event in simulated(1, 20) if event.topic in Account.topics])
    assert read(dsn, whose) == AccountsReading(newest=[], cash=[])


def test_cents_that_nothing_explains_are_added_up(dsn: str) -> None:
    events = [event for event in simulated(1, 20) if event.topic in Account.topics]
    last = only(events, Balance)[-1]
    times = [last.time + seconds * 1_000_000 for seconds in (60, 120)]
    richer = [
        last.model_copy(update={"balance": last.balance + cents, "time": time})
        for cents, time in zip((1, 0), times, strict=True)
    ]
    run(dsn, [*events, *richer])
    assert read(dsn, Whose("simulated/", True)).unexplained == 2
