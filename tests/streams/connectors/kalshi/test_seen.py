"""What was produced before is no news; what is different is, unless it is older."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.kalshi import account_frames, account_replies, records
from streams.connectors.kalshi.seen import Seen
from streams.events import Balance, Fill, Order, Position, Settlement, Transfer

from .said import DELIVERY, FILL, ORDER, POSITION, RECEIVED, SETTLEMENT

SECOND = 1_000_000
MILLISECOND = 1_000


def fill(**changes: Any) -> Fill:
    return records.fill({**FILL, **changes}, DELIVERY, None)


def order(**changes: Any) -> Order:
    return records.order({**ORDER, **changes}, DELIVERY, None)


def position(time: int, count: str = "-200.00") -> Position:
    frame = {"msg": {**POSITION, "position_fp": count}, "sending_ts_ms": time // MILLISECOND}
    return account_frames.position(frame, DELIVERY, None)


def read(time: int, count: str) -> Position:
    """The same by REST."""
    return position(RECEIVED, count).model_copy(update={"time": time})


def test_a_fill_by_rest_after_websocket_is_no_news_though_it_is_finer() -> None:
    seen = Seen()
    by_rest = {"created_time": "2025-08-07T14:48:58.250907Z", "client_order_id": None}
    assert seen.news(fill())
    assert seen.news(fill(**by_rest, post_position_fp=None)) is None
    assert seen.news(fill()) is None


def test_a_fill_that_differs_is_news_once() -> None:
    seen = Seen()
    seen.news(fill())
    assert seen.news(fill(fee_cost="0.6")) is not None
    assert seen.news(fill(fee_cost="0.60")) is None
    assert seen.news(fill(ts=FILL["ts"] + 1, ts_ms=FILL["ts_ms"] + 1000)) is not None


def test_what_a_channel_lacks_is_no_difference_and_what_it_adds_is() -> None:
    seen = Seen()
    assert seen.news(fill(fee_cost=None)) is not None
    assert seen.news(fill()) is not None
    assert seen.news(fill(fee_cost=None)) is None
    assert seen.news(fill()) is None


def test_an_order_never_goes_back() -> None:
    seen = Seen()
    update = 1_754_578_139_000
    later = {"fill_count_fp": "5.00", "remaining_count_fp": "5.00"}
    assert seen.news(order(last_updated_ts_ms=update)) is not None
    assert seen.news(order(**later, last_updated_ts_ms=update)) is not None
    assert seen.news(order(last_updated_ts_ms=update + 1)) is None
    canceled = order(**later, status="canceled", last_updated_ts_ms=update + 2)
    assert seen.news(canceled) is not None
    assert seen.news(order(**later, last_updated_ts_ms=update + 3)) is None


def test_an_amended_order_is_news_unless_it_is_older() -> None:
    seen = Seen()
    seen.news(order(last_updated_ts_ms=1_754_578_139_000))
    amended = order(yes_price_dollars="0.3600", last_updated_ts_ms=1_754_578_139_001)
    assert seen.news(amended) is not None
    assert seen.news(order(last_updated_ts_ms=1_754_578_139_000)) is None
    assert seen.news(order(yes_price_dollars="0.3700")) is not None  # says not when


def test_only_orders_that_rest_and_were_heard_of_before_are_asked_for() -> None:
    seen = Seen()
    state = order(last_updated_ts_ms=1_754_578_139_000)
    seen.news(state)
    assert state.updated is not None
    assert seen.resting(state.updated) == set()
    assert seen.resting(state.updated + 1) == {"o-1"}
    seen.forget_order("o-1")
    assert seen.resting(state.updated + 1) == set()


def test_another_position_by_rest_is_true_from_when_replies_know_it() -> None:
    seen = Seen()
    seen.news(position(RECEIVED))
    stale = read(RECEIVED - SECOND, "-150.00")
    assert seen.news(stale, RECEIVED - MILLISECOND) is None
    found = seen.news(stale, RECEIVED + SECOND)
    assert isinstance(found, Position)
    assert (found.position, found.time) == (Decimal("-150.00"), RECEIVED + SECOND)
    assert seen.news(stale, RECEIVED + 2 * SECOND) is None


def test_without_knowing_how_fresh_replies_are_an_older_position_is_no_news() -> None:
    seen = Seen()
    seen.news(position(RECEIVED))
    assert seen.news(read(RECEIVED - SECOND, "-150.00")) is None
    assert seen.news(read(RECEIVED + SECOND, "-150.00")) is not None


def test_two_positions_of_one_millisecond_are_in_the_order_of_arrival() -> None:
    seen = Seen()
    first = seen.news(position(RECEIVED))
    second = seen.news(position(RECEIVED, "-150.00"))
    assert isinstance(first, Position)
    assert isinstance(second, Position)
    assert second.time == first.time + 1


def test_a_balance_that_is_older_or_the_same_is_no_news() -> None:
    seen = Seen()
    reply = {"balance_dollars": "10.00", "portfolio_value": 0, "updated_ts": 1_754_578_139}
    assert seen.news(account_replies.balance(reply, DELIVERY)) is not None
    assert seen.news(account_replies.balance(reply, DELIVERY)) is None
    older = {**reply, "balance_dollars": "9.00", "updated_ts": 1_754_578_138}
    assert seen.news(account_replies.balance(older, DELIVERY)) is None
    worth = account_replies.balance({**reply, "portfolio_value": 5}, DELIVERY)
    assert isinstance(seen.news(worth), Balance)


def test_each_state_of_a_transfer_is_news_once() -> None:
    seen = Seen()
    item = {
        "id": "d-1",
        "type": "ach",
        "amount_cents": 5,
        "fee_cents": 0,
        "created_ts": 1_754_578_138,
    }
    for status in ("pending", "applied"):
        reply = {"deposits": [{**item, "status": status}]}
        [event] = account_replies.transfers(reply, "deposit", DELIVERY)
        assert isinstance(event, Transfer)
        assert seen.news(event) is event
        assert seen.news(event) is None


def test_a_settlement_is_news_once_and_again_when_it_differs() -> None:
    seen = Seen()
    first = account_replies.settlement(SETTLEMENT, DELIVERY, None)
    assert isinstance(first, Settlement)
    assert seen.news(first) is first
    assert seen.news(first) is None
    assert seen.news(first.model_copy(update={"revenue": first.revenue + 1})) is not None


counts = st.sampled_from(["0.00", "1.00", "-3.00", "200.00"])


@given(st.lists(st.tuples(st.integers(0, 20), counts), min_size=1, max_size=20), st.randoms())
def test_positions_in_any_order_end_in_the_latest(told: list[tuple[int, str]], chance: Any) -> None:
    latest = dict(told)
    states = list(latest.items())
    chance.shuffle(states)
    seen = Seen()
    found = [
        event
        for step, count in states
        if (event := seen.news(position(RECEIVED + step * SECOND, count))) is not None
    ]
    newest = max(
        (event for event in found if isinstance(event, Position)), key=lambda event: event.time
    )
    assert newest.position == Decimal(latest[max(latest)])
