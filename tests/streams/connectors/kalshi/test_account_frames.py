"""The private channels' frames become fills, orders and positions."""

from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.kalshi.frames import frame_events
from streams.events import AccountUnparsed, Fill, Order, Position

from .said import DELIVERY, FILL, OLD_FILL, OLD_POSITION, ORDER, POSITION, RECEIVED, TICKER, frame
from .said import read as read_any


def fill(msg: dict[str, Any]) -> Fill:
    event = read_any("fill", msg)
    assert isinstance(event, Fill)
    return event


def order(msg: dict[str, Any]) -> Order:
    event = read_any("user_order", msg)
    assert isinstance(event, Order)
    return event


def position(msg: dict[str, Any], **envelope: Any) -> Position:
    event = read_any("market_position", msg, **envelope)
    assert isinstance(event, Position)
    return event


def test_a_fill_says_what_was_acquired_at_which_price_of_yes() -> None:
    assert fill(FILL) == Fill(
        account="kalshi/prod/main/0",
        origin="native",
        ticker=TICKER,
        trade_id="t-1",
        order_id="o-1",
        client_order_id="mine-1",
        side="no",
        yes_price=Decimal("0.0400"),
        count=Decimal("200.00"),
        fee=Decimal("0.540000"),
        is_taker=True,
        post_position=Decimal("-200.00"),
        time=1_754_578_138_250_000,
        received=RECEIVED,
        raw=frame("fill", FILL).decode(),
    )


def test_a_fill_in_whole_numbers_is_the_same_but_for_what_it_lacks() -> None:
    new, old = fill(FILL), fill(OLD_FILL)
    lacks = {"client_order_id": None, "fee": None, "time": 1_754_578_138_000_000, "raw": old.raw}
    assert old == new.model_copy(update=lacks)
    assert old.event_id() == new.event_id()


def test_a_fill_of_both_formats_is_read_by_its_text() -> None:
    assert fill({**OLD_FILL, **FILL}).yes_price == Decimal("0.0400")


def test_the_subaccount_of_the_message_is_part_of_its_account() -> None:
    assert fill({**FILL, "subaccount": 3}).account == "kalshi/prod/main/3"
    assert order({**ORDER, "subaccount_number": 63}).account == "kalshi/prod/main/63"


def test_an_empty_client_order_id_is_none() -> None:
    assert fill({**FILL, "client_order_id": ""}).client_order_id is None
    assert order({**ORDER, "client_order_id": ""}).client_order_id is None


def test_an_order_is_its_full_state() -> None:
    assert order(ORDER) == Order(
        account="kalshi/prod/main/0",
        origin="native",
        ticker=TICKER,
        order_id="o-1",
        client_order_id="mine-1",
        side="no",
        status="resting",
        kind=None,
        yes_price=Decimal("0.3500"),
        initial_count=Decimal("10.00"),
        fill_count=Decimal("4.00"),
        remaining_count=Decimal("6.00"),
        fill_cost=Decimal("2.600000"),
        fees=Decimal("0.031900"),
        created=1_754_578_138_250_000,
        updated=None,
        expires=None,
        reason=None,
        received=RECEIVED,
        raw=frame("user_order", ORDER).decode(),
    )


def test_an_order_tells_when_and_why_it_changed_and_when_it_expires() -> None:
    changed = order(
        {
            **ORDER,
            "status": "canceled",
            "last_updated_ts_ms": 1_754_578_139_001,
            "last_update_reason": "ExpiryCancel",
            "expiration_ts_ms": 1_754_578_139_000,
        }
    )
    assert (changed.status, changed.reason) == ("canceled", "ExpiryCancel")
    assert (changed.updated, changed.expires) == (1_754_578_139_001_000, 1_754_578_139_000_000)


def test_a_status_that_is_not_known_is_unknown() -> None:
    assert order({**ORDER, "status": "paused"}).status == "unknown"


def test_costs_and_fees_that_no_field_gives_are_none() -> None:
    names = [name for name in ORDER if name.endswith(("fill_cost_dollars", "fees_dollars"))]
    bare = order({name: value for name, value in ORDER.items() if name not in names})
    assert (bare.fill_cost, bare.fees) == (None, None)
    assert order({**ORDER, "maker_fees_dollars": None}).fees == Decimal("0.0319")


def test_a_position_is_negative_for_no_and_has_the_time_of_sending() -> None:
    assert position(POSITION, sending_ts_ms=1_754_578_139_250) == Position(
        account="kalshi/prod/main/0",
        origin="native",
        ticker=TICKER,
        position=Decimal("-200.00"),
        cost=Decimal("192.0000"),
        realized_pnl=Decimal("-1.5000"),
        fees=Decimal("0.5400"),
        time=1_754_578_139_250_000,
        received=RECEIVED,
        raw=frame("market_position", POSITION, sending_ts_ms=1_754_578_139_250).decode(),
    )


def test_a_position_without_a_time_of_sending_has_the_receive_time() -> None:
    assert position(POSITION).time == RECEIVED


def test_whole_numbers_of_money_in_a_position_are_centi_cents() -> None:
    old = position(OLD_POSITION)
    assert old.position == -200
    assert (old.cost, old.realized_pnl, old.fees) == (
        Decimal(192),
        Decimal(0),
        Decimal("0.54"),
    )


@pytest.mark.parametrize(
    ("kind", "msg"),
    [
        ("fill", {**FILL, "book_side": "bid"}),
        ("fill", {**FILL, "no_price_dollars": "0.9500"}),
        ("fill", {**FILL, "yes_price_dollars": 0.04}),
        ("fill", {**FILL, "count_fp": "0.00"}),
        ("fill", {**FILL, "subaccount": 64}),
        ("fill", {**FILL, "trade_id": ""}),
        ("fill", {**FILL, "ts": None, "ts_ms": None}),
        ("user_order", {**ORDER, "order_id": None}),
        ("user_order", {**ORDER, "status": None}),
        ("market_position", {**POSITION, "position_fp": -200.0}),
        ("deposit_seen", {}),
    ],
)
def test_a_frame_that_cannot_be_read_is_kept_as_it_came(kind: str, msg: dict[str, Any]) -> None:
    data = frame(kind, msg)
    [event] = frame_events(data, DELIVERY)
    assert isinstance(event, AccountUnparsed)
    assert (event.frame, event.venue, event.received) == (data, "kalshi", RECEIVED)
    assert (event.connection, event.arrival) == ("c1", 7)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"type":"fill"}', b'{"type":["fill"]}', b"\xff"])
def test_what_is_no_message_is_kept_as_it_came(data: bytes) -> None:
    [event] = frame_events(data, DELIVERY)
    assert isinstance(event, AccountUnparsed)
    assert event.frame == data


def test_a_frame_too_large_to_be_kept_beside_its_fact_is_left_out() -> None:
    assert fill({**FILL, "note": '"' * 200_000}).raw is None
    assert fill({**FILL, "note": "n" * 200_000}).raw is not None
