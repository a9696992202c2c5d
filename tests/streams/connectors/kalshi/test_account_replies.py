"""REST replies about an account become facts, one for each item."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from streams.connectors.kalshi import account_replies
from streams.connectors.values import FrameError
from streams.events import (
    AccountUnparsed,
    Balance,
    Event,
    Fill,
    Order,
    Position,
    Settlement,
    Transfer,
)

from .said import DELIVERY, FILL, ORDER, RECEIVED, REST_POSITION, SETTLEMENT, TICKER

DEPOSIT: dict[str, Any] = {
    "id": "d-1",
    "status": "applied",
    "type": "ach",
    "amount_cents": 50_000,
    "fee_cents": 25,
    "created_ts": 1_754_578_138,
    "finalized_ts": None,
}


def only(events: list[Event]) -> Event:
    [event] = events
    return event


def settlement(**changes: Any) -> Settlement:
    item = {**SETTLEMENT, **changes}
    event = only(account_replies.settlements({"settlements": [item]}, DELIVERY))
    assert isinstance(event, Settlement)
    return event


def test_a_fill_is_named_by_its_fill_id_and_keeps_microseconds() -> None:
    item = {
        "fill_id": "t-1",
        "trade_id": "t-1",
        "ticker": TICKER,
        "market_ticker": TICKER,
        "created_time": "2025-08-07T14:48:58.250907Z",
        "subaccount_number": None,
    }
    fill = only(account_replies.fills({"fills": [{**FILL, **item}], "cursor": ""}, DELIVERY))
    assert isinstance(fill, Fill)
    assert (fill.trade_id, fill.time) == ("t-1", 1_754_578_138_250_907)
    assert fill.raw == orjson.dumps({**FILL, **item}).decode()


def test_one_item_that_cannot_be_read_costs_no_other() -> None:
    bad = {**FILL, "price": 0.6, "yes_price_dollars": 0.6}
    reply = {"fills": [FILL, bad, 5, {**FILL, "price": 0.6}]}
    good, unread, number, last = account_replies.fills(reply, DELIVERY)
    assert isinstance(good, Fill)
    assert isinstance(last, Fill)
    assert isinstance(unread, AccountUnparsed)
    assert isinstance(number, AccountUnparsed)
    assert unread.frame == orjson.dumps(bad)
    assert (unread.connection, unread.arrival) == ("c1/7", 1)
    assert unread.event_id() != number.event_id()


@pytest.mark.parametrize("reply", [{"error": {"code": "permission_denied"}}, {"fills": None}])
def test_a_reply_without_a_list_does_not_say_that_there_is_nothing(reply: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="not a list"):
        account_replies.fills(reply, DELIVERY)


def test_an_empty_list_is_no_facts() -> None:
    assert account_replies.positions({"market_positions": []}, DELIVERY) == []


@pytest.mark.parametrize(
    "reply",
    [
        {"orders": [ORDER]},
        {"order": ORDER, "reduced_by": 1},
        {"orders": [{"order": ORDER, "error": None}, {"order": None, "error": {"code": "x"}}]},
    ],
)
def test_an_order_stands_in_a_list_alone_or_in_a_batch(reply: dict[str, Any]) -> None:
    order = only(account_replies.orders(reply, DELIVERY))
    assert isinstance(order, Order)
    assert order.order_id == "o-1"


def test_an_amended_order_is_two_states() -> None:
    amended = {**ORDER, "last_update_time": "2025-08-07T14:48:59Z"}
    old, new = account_replies.orders({"old_order": ORDER, "order": amended}, DELIVERY)
    assert old.event_id() != new.event_id()


def test_an_order_of_rest_tells_its_kind() -> None:
    order = only(account_replies.orders({"order": {**ORDER, "type": "limit"}}, DELIVERY))
    other = only(account_replies.orders({"order": {**ORDER, "type": "stop"}}, DELIVERY))
    assert isinstance(order, Order)
    assert isinstance(other, Order)
    assert (order.kind, other.kind) == ("limit", None)


def test_a_position_has_the_venues_time() -> None:
    reply = {"market_positions": [REST_POSITION]}
    assert only(account_replies.positions(reply, DELIVERY)) == Position(
        account="kalshi/prod/main/0",
        origin="native",
        ticker=TICKER,
        position=Decimal("-200.00"),
        cost=Decimal("192.0000"),
        realized_pnl=Decimal("-1.5000"),
        fees=Decimal("0.5400"),
        time=1_754_578_827_586_015,
        received=RECEIVED,
        raw=orjson.dumps(REST_POSITION).decode(),
    )


def test_a_position_in_cents_beside_lists_is_read_in_cents() -> None:
    item = {
        "ticker": TICKER,
        "position": -200,
        "market_exposure": 19200,
        "market_exposure_dollars": [0, 0],
        "realized_pnl": -150,
        "fees_paid": 54,
        "last_updated_ts": "2025-08-07T15:00:27.586015Z",
    }
    position = only(account_replies.positions({"market_positions": [item]}, DELIVERY))
    assert isinstance(position, Position)
    assert position.position == -200
    assert (position.cost, position.fees) == (Decimal(192), Decimal("0.54"))
    assert position.realized_pnl == Decimal("-1.5")


def test_a_settlement_is_in_dollars_whatever_its_fields_are_in() -> None:
    assert settlement() == Settlement(
        account="kalshi/prod/main/0",
        origin="native",
        ticker=TICKER,
        result="no",
        value=Decimal(0),
        yes_count=Decimal("2.00"),
        no_count=Decimal("200.00"),
        yes_cost=Decimal("0.080000"),
        no_cost=Decimal("192.000000"),
        revenue=Decimal("198.00"),
        fee=Decimal("0.540000"),
        time=1_754_579_059_856_020,
        received=RECEIVED,
        raw=orjson.dumps(SETTLEMENT).decode(),
    )
    old = {"yes_count": 2, "yes_total_cost": 8, "no_count": 200, "no_total_cost": 19200}
    cents = settlement(**dict.fromkeys(SETTLEMENT.keys() & {"fee_cost", "value"}), **old)
    assert (cents.yes_cost, cents.no_cost) == (Decimal("0.08"), Decimal(192))
    assert cents.fee is None


def test_the_result_says_what_a_contract_pays() -> None:
    assert settlement(market_result="yes", value=4559).value == 1
    assert settlement(market_result="no", value=0.5).value == 0
    assert settlement(market_result="scalar", value=37).value == Decimal("0.37")
    assert settlement(market_result="scalar", value=None).value is None


def test_a_balance_in_dollars_is_exact() -> None:
    reply = {
        "balance": 99946,
        "balance_dollars": "999.4625",
        "portfolio_value": 12345,
        "updated_ts": 1_754_578_138,
    }
    assert account_replies.balance(reply, DELIVERY) == Balance(
        account="kalshi/prod/main/0",
        origin="native",
        balance=Decimal("999.4625"),
        exact=True,
        portfolio_value=Decimal("123.45"),
        time=1_754_578_138_000_000,
        received=RECEIVED,
        raw=orjson.dumps(reply).decode(),
    )


def test_a_balance_in_cents_is_cut_off_and_may_have_no_time() -> None:
    balance = account_replies.balance({"balance": 123456}, DELIVERY)
    assert (balance.balance, balance.exact) == (Decimal("1234.56"), False)
    assert (balance.portfolio_value, balance.time) == (None, RECEIVED)


def test_a_reply_that_names_no_subaccount_is_of_the_one_asked_for() -> None:
    asked = replace(DELIVERY, subaccount=5)
    assert account_replies.balance({"balance": 1}, asked).account == "kalshi/prod/main/5"
    [settled] = account_replies.settlements({"settlements": [SETTLEMENT]}, asked)
    assert isinstance(settled, Settlement)
    assert settled.account == "kalshi/prod/main/5"


@pytest.mark.parametrize("kind", ["deposit", "withdrawal"])
def test_a_transfer_is_one_state_in_dollars(kind: Any) -> None:
    reply = {f"{kind}s": [DEPOSIT]}
    assert only(account_replies.transfers(reply, kind, DELIVERY)) == Transfer(
        account="kalshi/prod/main/0",
        origin="native",
        kind=kind,
        transfer_id="d-1",
        status="applied",
        method="ach",
        amount=Decimal("500.00"),
        fee=Decimal("0.25"),
        created=1_754_578_138_000_000,
        finalized=None,
        received=RECEIVED,
        raw=orjson.dumps(DEPOSIT).decode(),
    )


def test_a_transfer_in_a_state_that_is_not_known_is_kept_as_it_came() -> None:
    reply = {"deposits": [{**DEPOSIT, "status": "frozen"}]}
    event = only(account_replies.transfers(reply, "deposit", DELIVERY))
    assert isinstance(event, AccountUnparsed)
