"""Whatever a message holds, it becomes events that survive the codec, or a FrameError."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.connectors.kalshi import (
    account_replies,
    legacy_rows,
    legacy_tickets,
    lifecycle,
)
from streams.connectors.kalshi.frames import frame_events
from streams.connectors.values import FrameError
from streams.events import Event, Unparsed, decode, encode

from . import said, test_account_replies, test_legacy_rows, test_legacy_tickets
from .said import DELIVERY, frame

FRAMES: list[dict[str, Any]] = [
    json.loads(data)
    for data in (
        frame("fill", said.FILL, sending_ts_ms=1_754_578_139_250),
        frame("fill", said.OLD_FILL),
        frame("user_order", said.ORDER),
        frame("market_position", said.POSITION),
        frame("market_position", said.OLD_POSITION),
        frame("ticker", said.TICK),
        frame("ticker_v2", {"market_ticker": said.TICKER, "price": 1, "volume_delta": -1}),
        frame("market_lifecycle_v2", {"market_ticker": said.TICKER, "event_type": "settled"}),
        frame(
            "market_lifecycle_v2",
            {"market_ticker": said.TICKER, "event_type": "determined", "result": "scalar"}
            | {"settlement_value": "0.5"},
        ),
        frame(
            "market_lifecycle_v2",
            {"market_ticker": said.TICKER, "event_type": "created"}
            | {
                "additional_metadata": {"floor_strike": 1.5, "title": "t"},
                "open_ts": 1_754_575_200,
            },
        ),
    )
]

Convert = Callable[[dict[str, Any]], Iterable[Event]]
#: A message that can be read, and what reads it.
OTHERS: dict[str, tuple[dict[str, Any], Convert]] = {
    "fills": (said.FILL, lambda item: account_replies.fills({"fills": [item]}, DELIVERY)),
    "orders": (said.ORDER, lambda item: account_replies.orders({"order": item}, DELIVERY)),
    "batch": (said.ORDER, lambda item: account_replies.orders({"orders": [item]}, DELIVERY)),
    "positions": (
        said.REST_POSITION,
        lambda item: account_replies.positions({"market_positions": [item]}, DELIVERY),
    ),
    "settlements": (
        said.SETTLEMENT,
        lambda item: account_replies.settlements({"settlements": [item]}, DELIVERY),
    ),
    "transfers": (
        test_account_replies.DEPOSIT,
        lambda item: account_replies.transfers({"deposits": [item]}, "deposit", DELIVERY),
    ),
    "balance": (
        {"balance": 1, "balance_dollars": "0.0125", "updated_ts": 1_754_578_138},
        lambda reply: [account_replies.balance(reply, DELIVERY)],
    ),
    "reply": ({"fills": [said.FILL]}, lambda reply: account_replies.fills(reply, DELIVERY)),
    "markets": (
        {**said.MARKET, "result": "scalar", "settlement_value": 5, "settlement_ts": ""},
        lambda item: lifecycle.markets({"market": item}, DELIVERY),
    ),
    "fill rows": (test_legacy_rows.FILL, lambda row: [legacy_rows.fill(row, DELIVERY)]),
    "order rows": (test_legacy_rows.ORDER, lambda row: [legacy_rows.order(row, DELIVERY)]),
    "settlement rows": (
        test_legacy_rows.SETTLEMENT,
        lambda row: [legacy_rows.settlement(row, DELIVERY)],
    ),
    "balance rows": (
        {"balance": 5.0, "timestamp": "2025-08-07T10:48:58"},
        lambda row: [legacy_rows.balance(row, DELIVERY)],
    ),
    "position rows": (
        {**test_legacy_rows.POSITION, "raw_json": json.dumps(said.OLD_POSITION)},
        lambda row: [legacy_rows.position(row, DELIVERY)],
    ),
    "open tickets": (
        test_legacy_tickets.OPEN,
        lambda ticket: [legacy_tickets.command(ticket, DELIVERY)],
    ),
    "close tickets": (
        test_legacy_tickets.CLOSE,
        lambda ticket: [legacy_tickets.command(ticket, DELIVERY)],
    ),
}

messages = [*FRAMES, *(frame["msg"] for frame in FRAMES), *(item for item, _ in OTHERS.values())]
names = st.sampled_from(sorted({name for message in messages for name in message}))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text()
    | st.decimals(allow_nan=True).map(str)
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | st.sampled_from(["", "-", "-0", "1e-11", "9" * 21, "yes", "N", "0001-01-01T00:00:00Z"])
    | st.sampled_from([v for m in messages for v in m.values() if isinstance(v, str | int)])
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | names, inner),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, message: dict[str, Any], values: st.SearchStrategy[Any]) -> Any:
    """The message with fields replaced, removed and added, or something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.dictionaries(st.text() | names, values, max_size=5))
    message = dict(message)
    for name in draw(st.lists(st.sampled_from(sorted(message)) | names, max_size=3)):
        if draw(st.booleans()):
            message[name] = draw(values)
        else:
            message.pop(name, None)
    return message


def survive(events: Iterable[Event]) -> None:
    for event in events:
        record = encode(event)
        assert decode(record.value, record.headers) == event
        assert event.event_id()


# A busy machine draws slowly.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(data=st.data())
def test_any_frame_gives_events_and_raises_nothing(data: st.DataObject) -> None:
    envelope = dict(data.draw(st.sampled_from(FRAMES)))
    envelope["msg"] = data.draw(damaged(envelope["msg"], json_values))
    sent = json.dumps(data.draw(damaged(envelope, json_values))).encode()
    survive(frame_events(sent, DELIVERY))


@patient
@given(sent=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_events_and_raise_nothing(sent: bytes) -> None:
    survive(frame_events(sent, DELIVERY))


@pytest.mark.parametrize("name", OTHERS)
@patient
@given(data=st.data())
def test_any_item_or_row_gives_events_or_a_frame_error(name: str, data: st.DataObject) -> None:
    message, convert = OTHERS[name]
    # What a table's driver gives besides.
    stored = json_values | st.decimals() | st.datetimes()
    try:
        survive(convert(data.draw(damaged(message, stored))))
    except FrameError:
        return


@pytest.mark.parametrize("name", OTHERS)
def test_the_messages_that_are_damaged_can_be_read(name: str) -> None:
    message, convert = OTHERS[name]
    events = list(convert(message))
    assert events
    assert not any(isinstance(event, Unparsed) for event in events)


def test_the_frames_that_are_damaged_can_be_read() -> None:
    for message in FRAMES:
        [event] = frame_events(json.dumps(message).encode(), DELIVERY)
        assert not isinstance(event, Unparsed)


@pytest.mark.parametrize("depth", [300, 1015, 2000])
def test_a_frame_may_be_nested_as_deeply_as_json_goes(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for sent in (
        b'{"type":%s}' % deep,
        b'{"type":"fill","msg":{"outcome_side":"yes","trade_id":%s}}' % deep,
        b'{"type":"market_lifecycle_v2","msg":{"event_type":%s}}' % deep,
    ):
        [event] = frame_events(sent, DELIVERY)
        assert isinstance(event, Unparsed)
        assert event.frame == sent


def test_an_item_nested_too_deeply_to_be_written_is_refused() -> None:
    deep = json.loads("[" * 300 + "]" * 300)
    with pytest.raises(FrameError, match="cannot be written as JSON"):
        account_replies.fills({"fills": [deep]}, DELIVERY)
