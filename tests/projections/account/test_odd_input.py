"""What arrives out of order, twice, contradicting or for nobody: each has its place."""

from decimal import Decimal
from hashlib import sha256
from itertools import permutations

import psycopg
import pytest

from projections.account import Account
from projections.base import Batch
from projections.unit import Projector
from streams.events import Event, SnapshotStarted
from streams.events.types import micros_of
from tests.projections.account.examples import (
    ACCOUNT,
    ASKED,
    SECOND,
    TICKER,
    accepted,
    canceled,
    close_failed,
    closed,
    expired,
    fill,
    marked_as_error,
    opened,
    order,
    rejected,
    settlement,
)
from tests.projections.account.projected import reset, row, rows, run, starts, tables, units_of
from tests.projections.logs import record_of, trade

pytestmark = pytest.mark.usefixtures("both_ways")

OTHER = "KXBTCD-25AUG0619-T115249.99"
LIFE: list[Event] = [opened(), order(opened()), fill(), settlement()]


def status(dsn: str) -> str:
    return str(row(dsn, "trades")["status"])


def test_a_fill_of_an_unknown_ticket_is_unmatched_until_its_ticket_comes(migrated_dsn: str) -> None:
    run(migrated_dsn, [fill()])
    over = row(migrated_dsn, "unmatched_fills")
    assert (over["count"], over["reason"]) == (20, "order of no trade")
    assert row(migrated_dsn, "positions")["position"] == -20
    reset(migrated_dsn)
    run(migrated_dsn, [fill(), order(opened()), opened()], [1, 1])
    assert not rows(migrated_dsn, "unmatched_fills")
    assert status(migrated_dsn) == "open"


def test_an_order_before_its_command_is_found_by_it(migrated_dsn: str) -> None:
    resting = order(opened(), status="resting", fill_count="0", remaining_count="20")
    run(migrated_dsn, [resting, opened()], [1])
    assert status(migrated_dsn) == "pending"


def test_a_settlement_before_the_fill_settles_it_when_it_comes(migrated_dsn: str) -> None:
    run(migrated_dsn, list(reversed(LIFE)), [1, 1, 1])
    backwards = tables(migrated_dsn)
    assert status(migrated_dsn) == "closed"
    reset(migrated_dsn)
    run(migrated_dsn, LIFE)
    assert tables(migrated_dsn) == backwards


def test_two_closes_at_once_close_two_trades_of_the_old_system(migrated_dsn: str) -> None:
    """Each names only the market; the one fill of a single trade is not sold twice."""
    imported = [
        opened(command_id="c1", ticket_id="T1", origin="legacy", count="10"),
        opened(command_id="c2", ticket_id="T2", origin="legacy", count="5", time=ASKED + SECOND),
        fill(order_id=None, count="15"),
        *(
            closed(command_id=name, ticket_id="same", origin="legacy", time=ASKED + 60 * SECOND)
            for name in ("x1", "x2")
        ),
        fill(trade_id="f2", order_id=None, side="yes", count="12", time=ASKED + 61 * SECOND),
    ]
    run(migrated_dsn, imported)
    sold = {one["ticket_id"]: one["held"] for one in rows(migrated_dsn, "trades")}
    assert sold == {"T1": 0, "T2": 3}
    closes = {one["command_id"]: one["ticket_id"] for one in rows(migrated_dsn, "trade_closes")}
    assert closes == {"x1": "T1", "x2": "T2"}


def test_two_closes_at_once_of_one_trade_sell_no_more_than_it_holds(migrated_dsn: str) -> None:
    one, two = closed(command_id="x1"), closed(command_id="x2")
    sold = [
        order(one, order_id="o2"),
        order(two, order_id="o3"),
        fill(trade_id="f2", order_id="o2", side="yes", time=ASKED + 61 * SECOND),
        fill(trade_id="f3", order_id="o3", side="yes", time=ASKED + 62 * SECOND),
    ]
    run(migrated_dsn, [opened(), order(opened()), fill(), one, two, *sold])
    assert status(migrated_dsn) == "closed"
    over = row(migrated_dsn, "unmatched_fills")
    assert (over["trade_id"], over["count"]) == ("f3", 20)
    assert over["reason"] == "closes more than was bought"
    assert row(migrated_dsn, "positions")["position"] == 20


def test_a_ticket_opened_twice_is_the_first_and_the_other_is_told(migrated_dsn: str) -> None:
    again = opened(command_id="c9", count="50", time=ASKED + SECOND)
    for some in ([opened(), again], [again, opened()]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        assert row(migrated_dsn, "trades")["requested"] == 20
        assert row(migrated_dsn, "account_conflicts")["content"] == "c9"


def test_a_ticket_opened_in_two_markets_is_a_trade_of_the_first(migrated_dsn: str) -> None:
    later = opened(command_id="c9", ticker=OTHER, time=ASKED + SECOND)
    for some in ([opened(), later], [later, opened()]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        assert row(migrated_dsn, "trades")["ticker"] == TICKER


def test_a_command_id_with_two_contents_keeps_the_smaller_and_tells_the_other(
    migrated_dsn: str,
) -> None:
    earlier, later = opened(count="10"), opened(count="11", time=ASKED + 1)
    for some in ([earlier, later], [later, earlier], [later, earlier, later, later]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1, 1, 1])
        assert row(migrated_dsn, "trades")["requested"] == 10
        lost = row(migrated_dsn, "account_conflicts")
        assert (lost["fact"], lost["body"]["count"]) == ("commands", "11")


def test_a_snapshot_that_started_twice_started_first_and_the_other_is_told(
    migrated_dsn: str,
) -> None:
    first, second = (
        SnapshotStarted(
            account=ACCOUNT,
            origin="native",
            received=ASKED,
            raw=None,
            snapshot_id="s1",
            time=ASKED + seconds * SECOND,
        )
        for seconds in (0, 1)
    )
    run(migrated_dsn, [second, first], [1])
    assert micros_of(row(migrated_dsn, "snapshots")["time"]) == ASKED
    lost = row(migrated_dsn, "account_conflicts")
    assert lost["content"] == sha256(f"[{ASKED + SECOND},null]".encode()).hexdigest()


def test_a_fill_by_two_channels_is_one_and_each_fills_what_the_other_lacks(
    migrated_dsn: str,
) -> None:
    by_socket = fill(fee="0.07", client_order_id="mine", time=ASKED + 2000)
    by_request = fill(count="20.00", time=ASKED + 2345)
    for some in ([by_socket, by_request], [by_request, by_socket]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        one = row(migrated_dsn, "fills")
        assert (one["fee"], one["client_order_id"]) == (Decimal("0.07"), "mine")
        assert one["time"].microsecond == 2345
        assert not rows(migrated_dsn, "account_conflicts")


def test_a_contradicting_fill_is_told_and_moves_between_markets(migrated_dsn: str) -> None:
    here, there = fill(), fill(ticker=OTHER, time=ASKED - 10 * SECOND)
    for some in ([here, there], [there, here]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        assert row(migrated_dsn, "fills")["ticker"] == OTHER
        assert [one["ticker"] for one in rows(migrated_dsn, "positions")] == [OTHER]
        assert row(migrated_dsn, "account_conflicts")["body"]["ticker"] == TICKER


def test_an_older_state_of_an_order_changes_nothing_and_is_no_conflict(migrated_dsn: str) -> None:
    resting = order(
        opened(), status="resting", fill_count="0", remaining_count="20", updated=ASKED + 1000
    )
    done = order(opened())
    for some in ([resting, done], [done, resting]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        assert row(migrated_dsn, "orders")["status"] == "executed"
        assert not rows(migrated_dsn, "account_conflicts")


def test_a_rejected_trade_is_an_error_unless_it_bought_something(migrated_dsn: str) -> None:
    run(migrated_dsn, [opened(), rejected()])
    assert status(migrated_dsn) == "error"
    run_again(migrated_dsn, [opened(), rejected(), order(opened()), fill()])
    assert status(migrated_dsn) == "open"


def test_marking_a_trade_that_bought_something_as_error_does_nothing(migrated_dsn: str) -> None:
    run(migrated_dsn, [opened(), marked_as_error()])
    assert status(migrated_dsn) == "error"
    run_again(migrated_dsn, [opened(), marked_as_error(), order(opened()), fill()])
    assert status(migrated_dsn) == "open"


def test_a_canceled_order_without_fills_cancels_the_trade(migrated_dsn: str) -> None:
    over = order(opened(), status="canceled", fill_count="0", remaining_count="0")
    run(migrated_dsn, [opened(), over, canceled()])
    trade = row(migrated_dsn, "trades")
    assert (trade["status"], trade["canceled"], trade["buy_price"]) == ("canceled", 20, None)


def test_a_close_that_failed_leaves_the_trade_open_for_the_next(migrated_dsn: str) -> None:
    held = [opened(), order(opened()), fill(), closed()]
    run(migrated_dsn, held)
    assert status(migrated_dsn) == "closing"
    run_again(migrated_dsn, [*held, close_failed(command_id="c2")])
    assert status(migrated_dsn) == "open"
    retried = closed(command_id="c5", time=ASKED + 120 * SECOND)
    run_again(migrated_dsn, [*held, close_failed(command_id="c2"), retried])
    assert status(migrated_dsn) == "closing"


def test_a_close_that_came_to_part_leaves_the_rest_open(migrated_dsn: str) -> None:
    part = order(closed(), order_id="o2", status="canceled", fill_count="8", remaining_count="0")
    sold = fill(trade_id="f2", order_id="o2", side="yes", count="8", time=ASKED + 61 * SECOND)
    run(migrated_dsn, [opened(), order(opened()), fill(), closed(), part, sold])
    trade = row(migrated_dsn, "trades")
    assert (trade["status"], trade["position"], trade["held"]) == ("open", 20, 12)
    assert trade["pnl"] is None


def test_an_expired_trade_waits_for_its_settlement(migrated_dsn: str) -> None:
    run(migrated_dsn, [*LIFE[:3], expired()])
    assert status(migrated_dsn) == "expired"
    run_again(migrated_dsn, [expired(), *LIFE])
    assert status(migrated_dsn) == "closed"


def test_an_order_without_our_client_order_id_is_found_by_its_acceptance(migrated_dsn: str) -> None:
    run(migrated_dsn, [opened(), order(client_order_id="theirs"), fill(), accepted()])
    assert status(migrated_dsn) == "open"


def test_a_close_without_a_trade_is_told(migrated_dsn: str) -> None:
    run(migrated_dsn, [closed(ticket_id="nobody"), canceled(ticket_id="nobody")])
    kinds = {one["kind"] for one in rows(migrated_dsn, "unmatched_commands")}
    assert kinds == {"close", "cancel"}


@pytest.mark.parametrize("ticker", ["FED-23DEC-T3.00", "KXBTCD-25FEB3099-Tx", "NOTHING", "NULL"])
def test_a_ticker_that_says_little_makes_a_trade_all_the_same(
    migrated_dsn: str, ticker: str
) -> None:
    run(migrated_dsn, [one.model_copy(update={"ticker": ticker}) for one in LIFE])
    trade = row(migrated_dsn, "trades")
    assert (trade["ticker"], trade["status"], trade["win_loss"]) == (ticker, "closed", "W")


def test_the_native_row_stands_where_a_legacy_one_has_its_key(migrated_dsn: str) -> None:
    legacy = fill(origin="legacy", count="19", fee="0.01")
    run(migrated_dsn, [opened(), order(opened()), legacy, fill()])
    assert len(rows(migrated_dsn, "fills")) == 2
    assert row(migrated_dsn, "trades")["position"] == 20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "-1"),
        ("count", "0"),
        ("yes_price", "1.01"),
        ("yes_price", "-0.01"),
        ("fee", "NaN"),
    ],
)
def test_impossible_numbers_become_dead_letters_and_the_rest_goes_on(
    migrated_dsn: str, field: str, value: str
) -> None:
    impossible = fill(trade_id="bad").model_copy(update={field: Decimal(value)})
    run(migrated_dsn, [opened(), order(opened()), impossible, fill()])
    with psycopg.connect(migrated_dsn) as connection:
        letters = connection.execute("select error from dead_letters").fetchall()
    assert [error.split(":")[0] for (error,) in letters] == [field]
    assert status(migrated_dsn) == "open"


def test_two_accounts_in_one_market_know_nothing_of_each_other(migrated_dsn: str) -> None:
    other = "kalshi/demo/second/3"
    theirs = [
        one.model_copy(update={"account": other})
        for one in (opened(ticket_id="T2", time=ASKED + 1), fill())
    ]
    run(migrated_dsn, [*LIFE, *theirs])
    states = {(one["account"], one["status"]) for one in rows(migrated_dsn, "trades")}
    assert states == {(ACCOUNT, "closed"), (other, "pending")}


def test_a_trade_stands_again_when_the_command_that_opened_it_means_another(
    migrated_dsn: str,
) -> None:
    """The smaller content of a command wins: its ticket is then another one, in another market."""
    first = opened()
    later = opened(command_id="c9", ticker=OTHER, time=ASKED + 10 * SECOND)
    smaller = opened(ticket_id="T2", ticker="KXETHD-25AUG0619-T3779.99", time=ASKED - SECOND)
    for some in permutations([first, later, smaller]):
        reset(migrated_dsn)
        run(migrated_dsn, list(some), [1, 1])
        found = {one["ticket_id"]: one["ticker"] for one in rows(migrated_dsn, "trades")}
        assert found == {"T1": OTHER, "T2": smaller.ticker}


def test_ids_with_a_slash_that_come_to_one_client_order_id_mean_the_smaller_ticket(
    migrated_dsn: str,
) -> None:
    short, long = opened(command_id="x/y"), opened(ticket_id="T1/x", command_id="y")
    run(migrated_dsn, [short, long, order(short), fill()])
    bought = {one["ticket_id"]: one["position"] for one in rows(migrated_dsn, "trades")}
    assert bought == {"T1": 20, "T1/x": 0}


def test_a_command_of_both_origins_is_told_once(migrated_dsn: str) -> None:
    some = [closed(ticket_id="nobody", origin=origin) for origin in ("native", "legacy")]
    run(migrated_dsn, list(some))
    assert len(rows(migrated_dsn, "unmatched_commands")) == 1


def test_what_a_newer_state_of_an_order_lacks_is_known_from_the_older(migrated_dsn: str) -> None:
    resting = order(opened(), status="resting", fill_count="0", remaining_count="20")
    partly = order(status="resting", fill_count="5", remaining_count="15", created=None, kind=None)
    for some in ([resting, partly], [partly, resting]):
        reset(migrated_dsn)
        run(migrated_dsn, some, [1])
        one = row(migrated_dsn, "orders")
        assert (one["fill_count"], one["kind"]) == (5, "limit")
        assert one["created"] is not None
        assert one["client_order_id"] is not None


def test_a_report_about_an_unknown_ticket_is_told(migrated_dsn: str) -> None:
    run(migrated_dsn, [*LIFE, expired(ticket_id="nobody"), expired()])
    assert [one["ticket_id"] for one in rows(migrated_dsn, "unmatched_events")] == ["nobody"]


async def test_an_event_of_another_topic_becomes_a_dead_letter(migrated_dsn: str) -> None:
    [unit] = units_of([fill()])
    stray = record_of(trade(), 1)
    source, records = unit[0].source, unit[0].records
    projector = Projector(Account(), migrated_dsn)
    await projector.claim(starts([unit]))
    await projector.commit([Batch(source, [*records, stray])])
    await projector.close()
    with psycopg.connect(migrated_dsn) as connection:
        (error,) = connection.execute("select error from dead_letters").fetchone() or ("",)
    assert error == "price.trade.v1 belongs to the topic price.ticks"
    assert row(migrated_dsn, "fills")["trade_id"] == "f1"


def run_again(dsn: str, events: list[Event]) -> None:
    reset(dsn)
    run(dsn, events)
