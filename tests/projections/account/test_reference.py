"""The reference itself: the numbers of the old system's data, and what always holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streams.events import Event, Position
from streams.events.types import moment
from tests.projections.account.lives import lives, shuffled
from tests.projections.account.reference import canonical, reference
from tests.projections.account.sayings import (
    FROM_VENUE,
    START,
    asked,
    at,
    close,
    fill,
    only,
    order,
    settlement,
    shares,
    trade,
)

# The acceptance checks that the old system's data allow (legacy-system.md, section 15.1)


def test_fills_that_are_replayed_change_nothing() -> None:
    events = [asked(), fill("F1", 12, "0.96"), fill("F2", 8, "0.95")]
    assert canonical(reference(events * 2)) == canonical(reference(events))


def test_fills_of_one_order_in_another_order_give_the_same_average_and_fees() -> None:
    fills = [fill("F1", 7, "0.96"), fill("F2", 3, "0.9"), fill("F3", 10, "0.97")]
    for some in (fills, fills[::-1], fills[1:] + fills[:1]):
        row = trade(asked(), *some)
        assert row["buy_price"] == Decimal("0.956")
        assert row["fees"] == Decimal("0.07")
        assert row["fee_estimated"]


@pytest.mark.parametrize(("count", "fee"), [(20, "0.06"), (200, "0.54")])
def test_the_fee_of_a_fill_at_96_cents(count: int, fee: str) -> None:
    assert trade(asked(), fill("F1", count, "0.96"))["fees"] == Decimal(fee)


def test_the_fee_is_rounded_up_for_each_fill_and_not_for_the_order() -> None:
    halves = [fill("F1", 10, "0.96"), fill("F2", 10, "0.96", time=at(2))]
    assert trade(asked(), *halves)["fees"] == Decimal("0.06")
    thirds = [fill(f"F{n}", 5, "0.96") for n in range(4)]
    assert trade(asked(), *thirds)["fees"] == Decimal("0.08")


def test_a_settlement_of_22_yes_and_2_no_pays_20_dollars() -> None:
    fills = [fill("F1", 2, "0.1"), fill("F2", 22, "0.8", "yes")]
    row = only(reference([*fills, settlement("yes")])["positions"])
    assert row["payout"] == 20
    assert row["realized_pnl"] == 2 - Decimal("0.2") + 20 - Decimal("17.6")
    assert (row["position"], row["cost"], row["volume"]) == (0, 0, 24)


def test_a_settlement_of_one_yes_and_one_no_pays_nothing_and_a_closed_trade_stays() -> None:
    events = [
        asked(count=Decimal(1)),
        fill("F1", 1, "0.5"),
        close(),
        fill("F2", 1, "0.4", "yes"),
    ]
    settled = settlement("yes", yes_count=Decimal(1), no_count=Decimal(1))
    before = trade(*events)
    assert (before["status"], before["pnl"]) == ("closed", Decimal("0.06"))
    assert trade(*events, settled) == before
    assert only(reference([*events, settled])["positions"])["payout"] == 0


def test_a_close_by_an_opposite_buy_at_2_cents_sells_at_98() -> None:
    row = trade(asked(), fill("F1", 20, "0.96"), close(), fill("F2", 20, "0.02", "yes"))
    assert (row["status"], row["sell_price"]) == ("closed", Decimal("0.98"))
    assert row["pnl"] == Decimal("0.4") - row["fees"]
    assert (row["close_method"], row["closed_at"]) == ("manual", moment(at(101)))


def test_a_no_trade_of_20_at_96_cents_that_expires_as_winner_earns_74_cents() -> None:
    row = trade(asked(), fill("F1", 20, "0.96", fee=Decimal("0.06")), settlement("no"))
    assert (row["pnl"], row["win_loss"]) == (Decimal("0.74"), "W")
    assert (row["sell_price"], row["close_method"]) == (1, "expired")
    assert (row["status"], row["held"], row["closed_at"]) == ("closed", 0, moment(at(3600)))
    assert not row["fee_estimated"]


def test_a_canceled_order_with_5_of_10_filled_is_a_position_of_5() -> None:
    ten = {"initial_count": Decimal(10), "fill_count": Decimal(5)}
    row = trade(asked(count=Decimal(10)), order("O1", "canceled", **ten), fill("F1", 5, "0.96"))
    assert (row["status"], row["position"], row["canceled"]) == ("open", 5, 5)
    assert row["requested"] == 10


def test_a_position_of_minus_200_is_200_contracts_of_no() -> None:
    said = Position(
        **FROM_VENUE,
        position=Decimal(-200),
        cost=Decimal("192.00"),
        realized_pnl=Decimal(0),
        fees=Decimal("0.54"),
        time=at(5),
    )
    tables = reference([asked(count=Decimal(200)), fill("F1", 200, "0.96"), said])
    row = only(tables["positions"])
    assert (row["position"], row["cost"], row["fees_paid"]) == (-200, 192, Decimal("0.54"))
    assert only(tables["trades"])["side"] == "no"
    venues = only(tables["position_facts"])
    assert (venues["position"], venues["cost"], venues["fees"]) == (-200, 192, Decimal("0.54"))


def test_times_with_5_and_6_digits_after_the_second_are_compared_as_times() -> None:
    early, late = START + 57_939_150, START + 57_939_152
    events = [asked(), fill("F1", 20, "0.96"), fill("F2", 15, "0.1", "yes", time=late)]
    given_out = shares(*events, close(), fill("F3", 15, "0.2", "yes", time=early))
    assert given_out[1:] == [
        ("F2", "T", "close", 5),
        ("F2", None, "closes more than was bought", 10),
        ("F3", "T", "close", 15),
    ]


# What always holds

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(many, max_examples=500)
@given(lives(), st.data())
def test_any_order_and_any_repetition_gives_the_same(events: list[Event], data: Any) -> None:
    again, units = shuffled(data.draw, events)
    assert all(unit > 0 for unit in units)
    assert canonical(reference(again)) == canonical(reference(events))


@many
@given(lives())
def test_nothing_of_a_fill_is_lost_or_given_twice(events: list[Event]) -> None:
    tables = reference(events)
    counts: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    paid: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in tables["trade_fills"]:
        assert row["count"] > 0
        assert (row["ticket_id"] is None) == (row["role"] is None) != (row["reason"] is None)
        key = row["account"], row["trade_id"]
        counts[key] += Fraction(row["count"])
        paid[key] += Fraction(row["fee"])
        numbers[key].append(row["part"])
    assert set(counts) == {(row["account"], row["trade_id"]) for row in tables["fills"]}
    for row in tables["fills"]:
        key = row["account"], row["trade_id"]
        assert sorted(numbers[key]) == list(range(len(numbers[key])))
        twin = any(
            r["trade_id"] == key[1] and r["origin"] != row["origin"] for r in tables["fills"]
        )
        if not twin:
            assert counts[key] == Fraction(row["count"])
            assert row["fee"] is None or paid[key] == Fraction(row["fee"])


@many
@given(lives())
def test_every_trade_adds_up(events: list[Event]) -> None:
    tables = reference(events)
    for row in tables["trades"]:
        mine = [part for part in tables["trade_fills"] if part["ticket_id"] == row["ticket_id"]]
        bought = sum(part["count"] for part in mine if part["role"] == "open")
        sold = sum(part["count"] for part in mine if part["role"] == "close")
        assert row["position"] == bought
        assert 0 <= row["held"] <= bought - sold
        assert row["fees"] == sum(part["fee"] for part in mine)
        assert (row["buy_price"] is None) == (row["opened_at"] is None) == (bought == 0)
        assert (row["status"] == "closed") == (row["pnl"] is not None)
        assert (row["status"] == "closed") == (bought > 0 and row["held"] == 0)
        assert (row["pnl"] is None) == (row["win_loss"] is None) == (row["closed_at"] is None)
        assert {part["side"] for part in mine if part["role"] == "open"} <= {row["side"]}


@many
@given(lives())
def test_cash_and_profit_of_every_market_agree(events: list[Event]) -> None:
    tables = reference(events)
    for row in tables["positions"]:
        place = row["account"], row["ticker"]
        moved = sum(
            flow["amount"]
            for flow in tables["cash_flows"]
            if (flow["account"], flow["ticker"]) == place and flow["kind"] == "fill"
        )
        # Rounded to ten digits, each.
        off = row["realized_pnl"] - (moved + row["cost"] + (row["payout"] or 0))
        assert abs(off) <= Decimal("2E-10")


@many
@given(lives())
def test_what_an_order_held_is_released_when_it_ends(events: list[Event]) -> None:
    tables = reference(events)
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for flow in tables["cash_flows"]:
        if flow["kind"] == "hold":
            held[flow["account"], flow["ref"]] += flow["amount"]
    for row in tables["orders"]:
        left = held[row["account"], row["order_id"]]
        assert left <= 0
        assert not left or row["status"] == "resting" or twice(tables["orders"], row)


def twice(rows: list[dict[str, Any]], row: dict[str, Any]) -> bool:
    ids = [other["order_id"] for other in rows]
    return ids.count(row["order_id"]) > 1


def test_lives_reach_everything_that_the_rules_tell_apart() -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
    )
    @given(lives())
    def look(events: list[Event]) -> None:
        tables = reference(events)
        seen["lives"] += 1
        seen["with trades"] += any(row["position"] for row in tables["trades"])
        seen["divided"] += any(row["part"] for row in tables["trade_fills"])
        for row in tables["trades"]:
            seen.update([row["status"], f"{row['origin']} {row['close_method']}"])
            seen.update([str(row["win_loss"])])
        for row in tables["trade_fills"]:
            seen.update([row["reason"] or f"{row['role']} {row['fee_source']}"])
        seen.update(row["fact"] for row in tables["conflicts"])
        seen.update(row["kind"] for row in tables["cash_flows"])
        seen.update(name for name, rows in tables.items() if rows)

    look()
    wanted = [
        *("pending", "open", "closing", "expired", "closed", "canceled", "error"),
        *("W", "L", "native expired", "legacy expired", "native manual", "legacy manual"),
        *("no order", "order of no trade", "closes more than was bought", "divided"),
        *(f"{role} {source}" for role in ("open", "close") for source in ("fill", "order")),
        *("open formula", "close formula", "fill", "fee", "settlement", "hold"),
        *("commands", "tickets", "settlements", "transfers", "snapshots", "balances"),
    ]
    assert [name for name in wanted if not seen[name]] == []
    assert seen["with trades"] > seen["lives"] / 2
