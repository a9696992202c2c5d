"""What a market is and becomes, by the lifecycle channel and by REST."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from streams.connectors.kalshi import lifecycle
from streams.connectors.kalshi.frames import frame_events
from streams.connectors.values import FrameError
from streams.events import LifecycleUnparsed, MarketDescribed, MarketDetermined, MarketSettled

from .said import DELIVERY, MARKET, RECEIVED, TICKER, frame, read

SENT = 1_754_578_139_250


def described(event_type: str, **fields: Any) -> MarketDescribed:
    msg = {"market_ticker": TICKER, "event_type": event_type, **fields}
    event = read("market_lifecycle_v2", msg, seq=3, sending_ts_ms=SENT)
    assert isinstance(event, MarketDescribed)
    return event


def determined(**fields: Any) -> MarketDetermined:
    msg = {"market_ticker": TICKER, "event_type": "determined", **fields}
    event = read("market_lifecycle_v2", msg, seq=3)
    assert isinstance(event, MarketDetermined)
    return event


def test_a_created_market_is_described_by_its_metadata() -> None:
    metadata = {
        "name": "Bitcoin",
        "title": "Bitcoin price at 11am?",
        "yes_sub_title": "$116,750 or above",
        "event_ticker": "KXBTCD-25AUG0711",
        "strike_type": "greater",
        "floor_strike": 116749.99,
        "cap_strike": None,
    }
    created = described(
        "created", open_ts=1_754_575_200, close_ts=1_754_578_800, additional_metadata=metadata
    )
    assert created == MarketDescribed(
        venue="kalshi",
        ticker=TICKER,
        series="KXBTCD",
        event_ticker="KXBTCD-25AUG0711",
        title="Bitcoin price at 11am?",
        subtitle="$116,750 or above",
        strike_type="greater",
        floor_strike=Decimal("116749.99"),
        cap_strike=None,
        opens=1_754_575_200_000_000,
        closes=1_754_578_800_000_000,
        status="initialized",
        time=SENT * 1000,
        received=RECEIVED,
        raw=created.raw,
    )


@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        ("activated", "active"),
        ("deactivated", "inactive"),
        ("close_date_updated", None),
        ("metadata_updated", None),
        ("price_level_structure_updated", None),
    ],
)
def test_only_some_messages_change_the_status(event_type: str, status: str | None) -> None:
    assert described(event_type).status == status


def test_an_update_says_nothing_of_the_rest() -> None:
    update = described("metadata_updated", strike_type="between", floor_strike=95000)
    said = update.model_dump(exclude_none=True, exclude={"raw"})
    assert said == {
        "venue": "kalshi",
        "ticker": TICKER,
        "series": "KXBTCD",
        "strike_type": "between",
        "floor_strike": "95000",
        "time": SENT * 1000,
        "received": RECEIVED,
    }


def test_a_determined_market_has_its_result_and_time() -> None:
    event = determined(result="yes", determination_ts=1_754_579_000)
    assert (event.result, event.value, event.time) == ("yes", Decimal(1), 1_754_579_000_000_000)
    assert determined(result="no").value == 0
    assert determined(result="no").time == RECEIVED


def test_a_scalar_result_pays_its_settlement_value() -> None:
    assert determined(result="scalar", settlement_value="0.3750").value == Decimal("0.375")
    assert determined(result="scalar").value is None


def test_the_channel_of_2025_is_read_alike() -> None:
    msg = {"market_ticker": TICKER, "event_type": "determined", "result": "no"}
    event = read("market_lifecycle", {**msg, "determination_ts": 1_754_579_000})
    assert isinstance(event, MarketDetermined)


def test_a_settled_market_has_its_time() -> None:
    msg = {"market_ticker": TICKER, "event_type": "settled", "settled_ts": 1_754_579_059}
    event = read("market_lifecycle_v2", msg)
    assert isinstance(event, MarketSettled)
    assert event.time == 1_754_579_059_000_000


@pytest.mark.parametrize("kind", ["event_lifecycle", "event_fee_update"])
def test_messages_about_events_hold_no_fact_about_a_market(kind: str) -> None:
    assert frame_events(frame(kind, {"event_ticker": "KXBTCD-25AUG0711"}), DELIVERY) == []


@pytest.mark.parametrize(
    "fields",
    [{"event_type": "renamed"}, {"event_type": "determined", "result": "void"}, {}],
)
def test_a_message_that_cannot_be_read_is_kept_as_it_came(fields: dict[str, Any]) -> None:
    event = read("market_lifecycle_v2", {"market_ticker": TICKER, **fields})
    assert isinstance(event, LifecycleUnparsed)


def test_a_market_record_describes_the_market_as_of_now() -> None:
    [event] = lifecycle.markets({"market": MARKET}, DELIVERY)
    assert event == MarketDescribed(
        venue="kalshi",
        ticker=TICKER,
        series="KXBTCD",
        event_ticker="KXBTCD-25AUG0711",
        title=None,
        subtitle="$116,750 or above",
        strike_type="greater",
        floor_strike=Decimal("116749.99"),
        cap_strike=None,
        opens=1_754_575_200_000_000,
        closes=1_754_578_800_000_000,
        status="active",
        time=RECEIVED,
        received=RECEIVED,
        raw=orjson.dumps(MARKET).decode(),
    )


def test_a_market_record_with_a_result_is_determined_and_perhaps_settled() -> None:
    over = {**MARKET, "status": "determined", "result": "scalar", "settlement_value": 37}
    _, result = lifecycle.markets({"markets": [over]}, DELIVERY)
    assert isinstance(result, MarketDetermined)
    assert (result.value, result.time) == (Decimal("0.37"), RECEIVED)
    paid = {**over, "status": "finalized", "settlement_ts": "2025-08-07T15:04:19Z"}
    _, result, settled = lifecycle.markets({"markets": [paid]}, DELIVERY)
    assert isinstance(result, MarketDetermined)
    assert isinstance(settled, MarketSettled)
    assert result.time == settled.time == 1_754_579_059_000_000


def test_one_market_that_cannot_be_read_costs_no_other() -> None:
    reply = {"markets": [{**MARKET, "close_time": "soon"}, MARKET]}
    unread, market = lifecycle.markets(reply, DELIVERY)
    assert isinstance(unread, LifecycleUnparsed)
    assert isinstance(market, MarketDescribed)


def test_a_reply_without_markets_is_refused() -> None:
    with pytest.raises(FrameError, match="markets: not a list"):
        lifecycle.markets({"error": "not found"}, DELIVERY)
