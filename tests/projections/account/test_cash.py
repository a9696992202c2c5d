"""Every change of the available cash is explained by what happened, or told."""

from decimal import Decimal
from typing import Any

import pytest

from streams.events import Event
from streams.events.types import micros_of
from tests.projections.account.examples import (
    ASKED,
    SECOND,
    balance,
    closed,
    fill,
    opened,
    order,
    settlement,
    transfer,
)
from tests.projections.account.projected import reset, rows, run

pytestmark = pytest.mark.usefixtures("both_ways")


def ledger(dsn: str, events: list[Event]) -> list[dict[str, Any]]:
    """The ledger's rows after each account's first."""
    reset(dsn)
    run(dsn, events)
    return [one for one in rows(dsn, "cash_ledger") if one["since"] is not None]


def unexplained(dsn: str, events: list[Event]) -> list[Decimal]:
    return [one["unexplained"] for one in ledger(dsn, events)]


def test_a_purchase_and_its_fee_explain_what_is_missing(migrated_dsn: str) -> None:
    (one,) = ledger(migrated_dsn, [balance("100", -5), fill(fee="0.06"), balance("80.74", 5)])
    assert (one["change"], one["fills"], one["fees"]) == (
        Decimal("-19.26"),
        Decimal("-19.20"),
        Decimal("-0.06"),
    )
    assert one["unexplained"] == 0
    assert not rows(migrated_dsn, "cash_unexplained")


def test_a_cent_that_nothing_explains_is_a_row(migrated_dsn: str) -> None:
    run(migrated_dsn, [balance("100", -5), fill(fee="0.06"), balance("80.73", 5)])
    (one,) = rows(migrated_dsn, "cash_unexplained")
    assert one["amount"] == Decimal("-0.01")


def test_what_was_unexplained_once_is_not_told_again(migrated_dsn: str) -> None:
    some = [balance("100", -5), balance("99", 5), balance("99", 10), balance("98", 15)]
    assert unexplained(migrated_dsn, list(some)) == [-1, 0, -1]


def test_a_close_returns_a_dollar_for_each_pair_at_once(migrated_dsn: str) -> None:
    sold = fill(
        trade_id="f2", side="yes", count="8", yes_price="0.02", fee="0.02", time=ASKED + 9 * SECOND
    )
    (bought, back) = ledger(
        migrated_dsn,
        # 80.74 + 8 - 8 x 0.02 - 0.02
        [balance("100", -5), fill(fee="0.06"), balance("80.74", 5), sold, balance("88.56", 12)],
    )
    assert bought["unexplained"] == back["unexplained"] == 0
    assert back["fills"] == Decimal("7.84")


def test_a_settlement_is_the_revenue_that_the_venue_paid(migrated_dsn: str) -> None:
    (one,) = ledger(migrated_dsn, [balance("0", -5), settlement(), balance("20", 3605)])
    assert (one["settlements"], one["unexplained"]) == (20, 0)


def test_a_resting_order_holds_its_limit_until_it_is_filled_or_canceled(migrated_dsn: str) -> None:
    canceled = order(
        opened(),
        status="canceled",
        yes_price="0.10",
        fill_count="5",
        updated=ASKED + 30 * SECOND,
    )
    part = fill(count="5", yes_price="0.12", fee="0", time=ASKED + 10 * SECOND)
    assert unexplained(
        migrated_dsn,
        [
            balance("100", -5),
            canceled,  # holds 20 x 0.90
            balance("82", 5),
            part,  # releases 5 x 0.90, pays 5 x 0.88
            balance("82.10", 15),
            balance("95.60", 35),  # the end releases 15 x 0.90
        ],
    ) == [0, 0, 0]


def test_an_order_against_what_is_held_holds_nothing(migrated_dsn: str) -> None:
    resting = order(
        closed(),
        order_id="o2",
        status="resting",
        yes_price="0.05",
        fill_count="0",
        remaining_count="20",
        created=ASKED + 20 * SECOND,
    )
    beyond = order(
        closed(),
        order_id="o3",
        status="resting",
        yes_price="0.05",
        fill_count="0",
        remaining_count="20",
        created=ASKED + 21 * SECOND,
    )
    assert unexplained(
        migrated_dsn,
        [
            fill(fee="0"),
            balance("50", 10),
            resting,
            beyond,  # all that is held is spoken for: 20 x 0.05
            balance("49", 30),
        ],
    ) == [0]


def test_a_balance_may_or_may_not_know_of_its_own_second(migrated_dsn: str) -> None:
    """The venue gives whole seconds: 80.8 may be stamped before the fill that it knows of."""
    in_the_second = fill(fee="0", time=ASKED + 500_000)
    for after, following in (("100", "80.8"), ("80.8", "80.8")):
        some = [balance("100", -5), in_the_second, balance(after, 0), balance(following, 5)]
        assert unexplained(migrated_dsn, list(some)) == [0, 0]


def test_the_first_balance_may_know_of_its_own_second_as_well(migrated_dsn: str) -> None:
    in_the_second = fill(fee="0", time=ASKED + 500_000)
    for first in ("100", "80.8"):
        some = [balance(first, 0), in_the_second, balance("80.8", 5)]
        assert unexplained(migrated_dsn, list(some)) == [0]


def test_transfers_count_when_they_are_applied_and_when_they_come_back(migrated_dsn: str) -> None:
    assert unexplained(
        migrated_dsn,
        [
            balance("0", -5),
            transfer("100", 0, status="pending", finalized=None),
            transfer("100", 0, fee="1"),
            balance("99", 5),
            transfer("40", 10, kind="withdrawal", transfer_id="w1", fee="2"),
            balance("57", 15),
            transfer("40", 20, kind="withdrawal", transfer_id="w1", fee="2", status="returned"),
            balance("99", 25),
            transfer("7", 30, transfer_id="d2", status="failed"),
            transfer("9", 30, transfer_id="d3", status="returned"),
            balance("99", 35),
        ],
    ) == [0, 0, 0, 0]


def test_a_source_without_fractions_of_a_cent_is_believed_to_the_cent(migrated_dsn: str) -> None:
    """99,946 cents beside 999.4625 dollars, in a real reply."""
    some = [
        balance("1000", -5),
        fill(count="1", yes_price="0.4625", fee="0"),  # 0.5375 for NO
        balance("999.46", 5, exact=False),
        balance("999.4625", 10),
    ]
    assert unexplained(migrated_dsn, list(some)) == [0, 0]


def test_of_two_balances_in_a_second_the_one_that_came_last_stands(migrated_dsn: str) -> None:
    some = [
        balance("100", -5),
        balance("100", 5.1),
        fill(fee="0", time=ASKED + 5_300_000),
        balance("80.8", 5.6),
        balance("80.8", 9),
    ]
    assert unexplained(migrated_dsn, list(some)) == [0, 0]
    assert len(rows(migrated_dsn, "balances")) == 4


def test_balances_stamped_within_their_second_count_as_of_the_whole_second(
    migrated_dsn: str,
) -> None:
    some = [
        balance("100", -5),
        balance("100", 5, time=ASKED + 5_100_000),
        fill(fee="0", time=ASKED + 5_300_000),
        balance("80.8", 5.6, time=ASKED + 5_600_000),
        balance("80.8", 9),
    ]
    assert unexplained(migrated_dsn, list(some)) == [0, 0]


def test_fills_stamped_before_their_order_was_created_still_were_covered(migrated_dsn: str) -> None:
    """20 NO are held; a close of 20 at 0.05 fills 5 at once, by a coarser clock; 15 rest."""
    resting = order(
        closed(),
        order_id="o2",
        status="resting",
        yes_price="0.05",
        fill_count="5",
        remaining_count="15",
        created=ASKED + 20 * SECOND + 456,
    )
    sold = fill(
        trade_id="f2",
        order_id="o2",
        side="yes",
        yes_price="0.05",
        count="5",
        fee="0",
        time=ASKED + 20 * SECOND,
    )
    assert unexplained(
        migrated_dsn,
        [fill(fee="0"), balance("50", 10), resting, sold, balance("54.75", 30)],
    ) == [0]


def test_an_early_fill_that_contradicts_its_order_does_not_cover_it(migrated_dsn: str) -> None:
    """4 NO of an order for 20 YES at 0.40, stamped before it was created.

    Without its own fills nothing was held then, so nothing covers it: it holds 20 x 0.40, and the
    fill, which counts at its creation, releases 4 x 0.40. Were the fill taken off by the order's
    side, minus 4 contracts would become minus 8, and 8 NO would seem to cover the order.
    """
    run(
        migrated_dsn,
        [
            order(
                side="yes",
                status="resting",
                fill_count="4",
                remaining_count="16",
                yes_price="0.40",
                created=ASKED + 1000,
            ),
            fill(side="no", count="4", fee="0", time=ASKED),
        ],
    )
    flows = {
        (one["kind"], one["ref"], one["part"]): (micros_of(one["time"]) - ASKED, one["amount"])
        for one in rows(migrated_dsn, "cash_flows")
    }
    assert flows == {
        ("fill", "f1", 0): (0, Decimal("-3.84")),  # 4 x 0.96
        ("hold", "o1", 0): (1000, Decimal("-8.00")),
        ("hold", "o1", 1): (1000, Decimal("1.60")),
    }


def test_accounts_have_ledgers_of_their_own(migrated_dsn: str) -> None:
    other = "simulated/demo/run/0"
    some = [balance("10", 0), balance("7", 1, account=other), balance("10", 5)]
    assert unexplained(migrated_dsn, [*some, balance("7", 9, account=other)]) == [0, 0]
