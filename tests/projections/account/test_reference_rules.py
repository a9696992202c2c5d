"""The reference, rule by rule: docs/trades.md in small examples."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from streams.events import (
    CancelTrade,
    CloseFailed,
    MarkError,
    OrderAccepted,
    OrderRejected,
    TradeExpired,
)
from streams.events.trade_commands import client_order_id
from streams.events.types import moment
from tests.projections.account.reference import reference
from tests.projections.account.sayings import (
    CLOSES,
    MARKET,
    NATIVE,
    OPENS,
    START,
    UNLINKED,
    asked,
    at,
    close,
    fill,
    flows,
    imported,
    limit,
    only,
    order,
    report,
    settlement,
    shares,
    stop,
    trade,
)

# The rules, one by one


def test_the_number_of_a_trade_is_made_of_its_ticket() -> None:
    number = trade(asked())["id"]
    assert number == 0xE632B7095B0BF32C >> 11
    assert 0 <= number < 2**53


def test_what_the_ticker_says_fills_what_the_command_does_not() -> None:
    row = trade(asked(prob=Decimal("97.2"), price=Decimal("0.96")))
    assert (row["symbol"], row["strike"], row["diff"]) == ("BTC", 114750, 1)
    own = trade(asked(symbol="X", strike=Decimal(5), prob=Decimal("96.5"), price=Decimal("0.96")))
    assert (own["symbol"], own["strike"], own["diff"]) == ("X", 5, 0)


def test_both_channels_make_one_fill() -> None:
    rest = fill("F1", 20, "0.96", time=START + 123_456, client_order_id=None, is_taker=True)
    socket = fill("F1", "20.00", "0.9600", time=START + 123_000, fee=Decimal("0.06"))
    for both in ([rest, socket], [socket, rest]):
        tables = reference([asked(), *both])
        row = only(tables["fills"])
        assert row["time"] == moment(START + 123_456)
        assert (row["fee"], row["is_taker"]) == (Decimal("0.06"), True)
        assert row["client_order_id"] == OPENS
        assert tables["conflicts"] == []
        assert only(tables["trades"])["position"] == 20


def test_of_two_contents_the_earlier_holds_and_the_other_is_a_conflict() -> None:
    early, late = fill("F1", 20, "0.96"), fill("F1", 19, "0.96", time=at(2))
    for both in ([early, late], [late, early]):
        tables = reference(both)
        assert only(tables["fills"])["count"] == 20
        lost = only(tables["conflicts"])
        assert (lost["fact"], lost["key"]) == ("fills", (MARKET["account"], "F1", "native"))


def test_a_native_row_goes_before_a_legacy_one_of_the_same_key() -> None:
    legacy = fill("F1", 5, "0.5", origin="legacy", time=at(0))
    tables = reference([asked(), legacy, fill("F1", 20, "0.96")])
    assert len(tables["fills"]) == 2
    assert tables["conflicts"] == []
    assert only(tables["trades"])["position"] == 20


def test_the_newest_state_of_an_order_is_the_most_filled_then_the_final_one() -> None:
    ten = {"fill_count": Decimal(10)}
    states = [
        order("O1", "canceled", updated=at(9)),
        order("O1", "resting", updated=at(8), **ten),
        order("O1", "executed", updated=at(7), client_order_id=None, **ten),
    ]
    for some in (states, states[::-1]):
        row = only(reference(some)["orders"])
        assert (row["status"], row["client_order_id"]) == ("executed", OPENS)


def test_nothing_bought_is_pending_then_canceled_or_an_error() -> None:
    canceled = order("O1", "canceled")
    assert trade(asked())["status"] == "pending"
    assert trade(asked(), order("O1", "resting"))["status"] == "pending"
    assert trade(asked(), canceled)["status"] == "canceled"
    assert trade(asked(), settlement("yes"))["status"] == "canceled"
    assert trade(asked(), settlement("yes"), order("O1", "resting"))["status"] == "pending"
    assert trade(asked(), report(TradeExpired))["status"] == "canceled"
    cancel = CancelTrade(**NATIVE, command_id="cancel", ticket_id="T", time=at(3), reason=None)
    assert trade(asked(), cancel)["status"] == "canceled"
    rejected = report(OrderRejected, command_id="open", reason=None)
    assert trade(asked(), rejected)["status"] == "error"
    assert trade(asked(), rejected, order("O1", "resting"))["status"] == "pending"
    assert trade(asked(), rejected, canceled)["status"] == "error"


def test_fills_go_before_a_mark_as_error() -> None:
    mark = MarkError(**NATIVE, command_id="mark", ticket_id="T", time=at(3), reason=None)
    assert trade(asked(), mark)["status"] == "error"
    assert trade(mark, asked(), fill("F1", 1, "0.96"))["status"] == "open"


def test_a_close_is_at_work_until_it_failed_or_is_done() -> None:
    opened = [asked(), fill("F1", 20, "0.96")]
    assert trade(*opened, close())["status"] == "closing"
    failed = report(CloseFailed, command_id="close", reason=None)
    assert trade(*opened, close(), failed)["status"] == "open"
    again = close(command_id="again", time=at(200))
    assert trade(*opened, close(), failed, again)["status"] == "closing"
    for ticket_only in (CloseFailed, OrderRejected):
        told = report(ticket_only, command_id=None, reason=None, time=at(200))
        left = trade(*opened, close(), again, told)["status"]
        # A rejection without a command means the opening order.
        assert left == ("open" if ticket_only is CloseFailed else "closing")
    resting = order("O2", "resting", side="yes", client_order_id=CLOSES)
    part = fill("F2", 5, "0.1", "yes")
    assert trade(*opened, close(), part, resting)["status"] == "closing"
    done = order("O2", "canceled", side="yes", client_order_id=CLOSES)
    row = trade(*opened, close(), part, done)
    assert (row["status"], row["held"], row["sell_price"]) == ("open", 15, Decimal("0.9"))


def test_an_expired_trade_waits_for_its_settlement() -> None:
    events = [asked(), fill("F1", 20, "0.96"), close(), report(TradeExpired)]
    assert trade(*events)["status"] == "expired"
    assert trade(*events, settlement("yes"))["status"] == "closed"
    assert trade(*events, settlement("yes"))["win_loss"] == "L"


def test_the_last_settlement_pays_and_a_scalar_one_its_value() -> None:
    opened = [asked(), fill("F1", 20, "0.96", fee=Decimal(0))]
    last = settlement("scalar", value=Decimal("0.25"), time=at(7200))
    for order_of_events in ([settlement("no"), last], [last, settlement("no")]):
        row = trade(*opened, *order_of_events)
        assert (row["sell_price"], row["pnl"]) == (Decimal("0.75"), Decimal("-4.2"))
        assert row["closed_at"] == moment(at(7200))


def test_a_settlement_may_come_before_the_fills() -> None:
    row = trade(settlement("no", time=at(0)), fill("F1", 20, "0.96"), asked())
    assert (row["status"], row["sell_price"]) == ("closed", 1)


def test_an_order_is_linked_by_its_own_or_its_fills_id_or_by_what_was_accepted() -> None:
    plain = {"client_order_id": None}
    bought = fill("F1", 20, "0.96", **plain)
    assert trade(asked(), bought)["status"] == "pending"
    state = order("O1", "executed", fill_count=Decimal(20))
    assert trade(asked(), bought, state)["position"] == 20
    other = fill("F2", 1, "0.9")
    assert trade(asked(), bought, other)["position"] == 21
    accepted = report(OrderAccepted, order_id="O1", command_id=None)
    assert trade(asked(), bought, accepted)["position"] == 20
    stray = report(OrderAccepted, order_id="O1", command_id=None, ticket_id="S", time=at(0))
    assert trade(asked(), bought, accepted, stray)["position"] == 20


def test_orders_of_a_second_open_with_the_ticket_belong_to_the_trade() -> None:
    again = asked(command_id="again", time=at(1), count=Decimal(5))
    carried = {"order_id": "O3", "client_order_id": client_order_id("T", "again")}
    tables = reference([again, asked(), fill("F1", 20, "0.96"), fill("F2", 5, "0.9", **carried)])
    row = only(tables["trades"])
    assert (row["requested"], row["position"]) == (20, 25)
    lost = only(tables["conflicts"])
    assert lost == {"fact": "tickets", "key": ("T",), "content": "again"}


def test_a_ticket_that_is_a_trade_elsewhere_is_none_here() -> None:
    elsewhere = {"ticker": "KXU3-25JUN-T4.2", "command_id": "again", "time": at(1)}
    carried = {"client_order_id": client_order_id("T", "again"), "ticker": "KXU3-25JUN-T4.2"}
    tables = reference([asked(), asked(**elsewhere), fill("F1", 20, "0.96", **carried)])
    assert only(tables["trades"])["position"] == 0
    assert only(tables["trade_fills"])["reason"] == "order of no trade"


# Fees that the order knows


def test_the_fees_of_an_order_are_spread_by_count_and_add_up() -> None:
    fills = [
        fill("F1", 10, "0.9", fee=Decimal("0.05")),
        *(fill(f"G{n}", 1, "0.9", time=at(2)) for n in range(3)),
    ]
    state = order("O1", "executed", fees=Decimal("0.15"), fill_count=Decimal(13))
    rows = reference([asked(), state, *fills])["trade_fills"]
    third = Decimal("0.0333333333")
    given_out = {row["trade_id"]: (row["fee"], row["fee_source"]) for row in rows}
    assert given_out == {
        "F1": (Decimal("0.05"), "fill"),
        "G0": (third, "order"),
        "G1": (third + Decimal("1E-10"), "order"),
        "G2": (third, "order"),
    }
    assert trade(asked(), state, *fills)["fees"] == Decimal("0.15")


def test_a_fill_that_is_still_missing_keeps_its_share_of_the_orders_fees() -> None:
    state = order("O1", "executed", fees=Decimal("0.10"), fill_count=Decimal(20))
    row = trade(asked(), state, fill("F1", 5, "0.9"))
    assert (row["fees"], row["fee_estimated"]) == (Decimal("0.025"), False)


@pytest.mark.parametrize(
    "unusable",
    [
        {"fees": None, "fill_count": Decimal(20)},
        {"fees": Decimal("0.10"), "fill_count": Decimal(0)},
        {"fees": Decimal("-0.10"), "fill_count": Decimal(20)},
    ],
)
def test_an_order_that_says_nothing_of_its_fees_leaves_the_formula(unusable: Any) -> None:
    row = trade(asked(), order("O1", "executed", **unusable), fill("F1", 20, "0.96"))
    assert (row["fees"], row["fee_estimated"]) == (Decimal("0.06"), True)


def test_the_parts_of_a_divided_fill_share_its_fee() -> None:
    over = fill("F2", 30, "0.02", "yes", fee=Decimal("0.10"))
    rows = reference([asked(), fill("F1", 20, "0.96"), close(), over])["trade_fills"]
    parts = {row["part"]: row["fee"] for row in rows if row["trade_id"] == "F2"}
    assert parts == {0: Decimal("0.0666666667"), 1: Decimal("0.0333333333")}


# Imported trades


def test_imported_trades_take_fills_of_no_known_order_in_turn() -> None:
    events = [
        imported("A", 0, 10),
        imported("B", 1, 10),
        fill("F1", 15, "0.9", **UNLINKED),
        fill("F2", 7, "0.9", time=at(2), order_id="other", client_order_id=None),
    ]
    assert shares(*events) == [
        ("F1", "A", "open", 10),
        ("F1", "B", "open", 5),
        ("F2", "B", "open", 5),
        ("F2", None, "order of no trade", 2),
    ]


def test_a_trade_with_an_order_of_its_side_takes_no_other_fills() -> None:
    linked = order("O9", "canceled", client_order_id=client_order_id("A", "A"))
    loose = fill("F1", 15, "0.9", **UNLINKED)
    assert shares(imported("A", 0, 10), linked, loose) == [("F1", None, "no order", 15)]


def test_a_legacy_close_closes_the_oldest_trade_that_is_open() -> None:
    events = [
        *(imported("B", 0, 10), imported("A", 0, 10), imported("C", 50, 10)),
        *(stop("x", 100), stop("y", 101), stop("z", 40), stop("w", 102)),
        close(ticket_id="B", command_id="native", time=at(10)),
    ]
    closes = {row["command_id"]: row["ticket_id"] for row in reference(events)["trade_closes"]}
    # At 40 s, A is first by its ticket and C was not asked for. At 101 s, none is open.
    assert closes == {"native": "B", "z": "A", "x": "C", "y": "C", "w": "C"}


def test_a_legacy_close_that_failed_by_then_leaves_the_trade_open() -> None:
    opens = [imported("A", 0, 10), imported("B", 1, 10)]
    failed = report(CloseFailed, ticket_id="auto", command_id="x", time=at(105), reason=None)
    tables = reference([*opens, failed, stop("x", 100), stop("y", 110)])
    assert {row["ticket_id"] for row in tables["trade_closes"]} == {"A"}
    tables = reference([*opens, failed, stop("x", 100), stop("y", 104)])
    assert {row["ticket_id"] for row in tables["trade_closes"]} == {"A", "B"}


def test_a_legacy_close_takes_up_to_its_count_and_is_done_then() -> None:
    events = [
        *(imported("A", 0, 10), fill("F1", 10, "0.9", **UNLINKED)),
        fill("F2", 6, "0.1", "yes", **UNLINKED),
    ]
    row = trade(*events, stop("x", 100, count=Decimal(4)), ticket="A")
    assert (row["status"], row["held"]) == ("open", 6)
    row = trade(*events, stop("x", 100, count=Decimal(7)), ticket="A")
    assert (row["status"], row["held"]) == ("closing", 4)


def test_a_native_close_of_an_unknown_ticket_belongs_to_nothing() -> None:
    tables = reference([asked(), fill("F1", 20, "0.96"), close(ticket_id="?")])
    assert only(tables["trade_closes"])["ticket_id"] is None
    assert only(tables["trades"])["status"] == "open"


# Cash


def test_a_fill_costs_and_a_closed_pair_returns_a_dollar() -> None:
    events = [fill("F1", 20, "0.96"), fill("F2", 25, "0.02", "yes", fee=Decimal("0.01"))]
    assert flows("fill", *events) == [
        ("F1", 0, Decimal("-19.2")),
        ("F2", 0, Decimal("19.5")),
    ]
    assert flows("fee", *events) == [("F1", 0, Decimal("-0.06")), ("F2", 0, Decimal("-0.01"))]


def test_a_settlement_brings_what_the_venue_reported() -> None:
    paid = settlement("no", revenue=Decimal(20))
    assert flows("settlement", paid) == [("2025-08-06T23:10:00+00:00", 0, Decimal(20))]
    assert flows("settlement", settlement("no")) == []


def test_a_resting_order_holds_its_limit_until_it_is_filled_or_ends() -> None:
    some = fill("F1", 4, "0.39", "yes", order_id="R", time=at(11))
    assert flows("hold", limit("R", "resting", "yes", 10)) == [("R", 0, Decimal(-4))]
    assert flows("hold", limit("R", "canceled", "yes", 10, updated=at(12)), some) == [
        ("R", 0, Decimal(-4)),
        ("R", 1, Decimal("1.6")),
        ("R", 2, Decimal("2.4")),
    ]
    assert flows("hold", limit("R", "canceled", "yes", 10)) == []
    assert flows("hold", limit("R", "resting", "yes", 10, created=None)) == []
    assert flows("hold", limit("R", "resting", "yes", 10, yes_price=None)) == []


def test_an_order_holds_nothing_for_what_is_covered() -> None:
    held = fill("F1", 8, "0.5", "yes", order_id=None, time=at(1))
    first = limit("R", "resting", "no", 5, yes_price=Decimal("0.60"))
    second = limit("S", "resting", "no", 5, yes_price=Decimal("0.60"), created=at(11))
    assert flows("hold", held, first) == []
    assert flows("hold", held, first, second) == [("S", 0, Decimal("-0.8"))]
    some = fill("F2", 4, "0.40", "no", order_id="S", time=at(12))
    assert flows("hold", held, first, second, some) == [
        ("S", 0, Decimal("-0.8")),
        ("S", 1, Decimal("0.4")),
    ]
