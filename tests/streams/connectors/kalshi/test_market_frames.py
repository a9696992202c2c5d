"""Ticker frames of all formats become quotes."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.kalshi.frames import frame_events
from streams.events import MarketTicker, MarketUnparsed

from .said import DELIVERY, RECEIVED, TICK, TICKER, frame, read

PARTIAL = {"market_ticker": TICKER, "yes_bid": 9, "yes_ask": 11, "ts": 1_754_096_001}
TRADED = {
    **PARTIAL,
    "price": 23,
    "volume_delta": 100,
    "open_interest_delta": -74,
    "dollar_volume_delta": 50,
    "dollar_open_interest_delta": -37,
}


def ticker(msg: dict[str, Any], kind: str = "ticker") -> MarketTicker:
    event = read(kind, msg)
    assert isinstance(event, MarketTicker)
    return event


def test_a_ticker_gives_totals() -> None:
    assert ticker(TICK) == MarketTicker(
        venue="kalshi",
        ticker=TICKER,
        yes_bid=Decimal("0.4500"),
        yes_ask=Decimal("0.5300"),
        yes_bid_size=Decimal("300.00"),
        yes_ask_size=Decimal("150.25"),
        last_price=Decimal("0.4800"),
        last_size=Decimal("25.00"),
        volume=Decimal("33896.00"),
        open_interest=Decimal("20422.00"),
        dollar_volume=Decimal(16948),
        dollar_open_interest=Decimal(-10211),
        volume_delta=None,
        open_interest_delta=None,
        dollar_volume_delta=None,
        dollar_open_interest_delta=None,
        connection=None,
        sid=None,
        arrival=None,
        time=1_754_578_138_250_000,
        received=RECEIVED,
        raw=frame("ticker", TICK).decode(),
    )


@pytest.mark.parametrize("price", ["0.0000", ""])
def test_a_market_that_never_traded_has_no_price(price: str) -> None:
    assert ticker({**TICK, "price": 0, "price_dollars": price}).last_price is None


def test_a_partial_ticker_says_nothing_of_the_rest() -> None:
    said = ticker(PARTIAL, "ticker_v2").model_dump(exclude_none=True, exclude={"raw"})
    assert said == {
        "venue": "kalshi",
        "ticker": TICKER,
        "yes_bid": "0.09",
        "yes_ask": "0.11",
        "connection": "c1",
        "sid": 5,
        "arrival": 7,
        "time": 1_754_096_001_000_000,
        "received": RECEIVED,
    }


def test_changes_are_contracts_and_whole_dollars() -> None:
    traded = ticker(TRADED, "ticker_v2")
    assert (traded.last_price, traded.volume_delta) == (Decimal("0.23"), Decimal(100))
    assert traded.open_interest_delta == -74
    assert (traded.dollar_volume_delta, traded.dollar_open_interest_delta) == (
        Decimal(50),
        Decimal(-37),
    )
    assert (traded.volume, traded.open_interest) == (None, None)


def test_two_identical_frames_with_changes_are_two_facts() -> None:
    data = frame("ticker_v2", TRADED)
    [first] = frame_events(data, DELIVERY)
    [second] = frame_events(data, replace(DELIVERY, arrival=DELIVERY.arrival + 1))
    assert first.event_id() != second.event_id()


def test_two_identical_frames_with_totals_are_one_fact() -> None:
    data = frame("ticker", TICK)
    [first] = frame_events(data, DELIVERY)
    [again] = frame_events(data, replace(DELIVERY, connection="c2", arrival=99))
    assert first.event_id() == again.event_id()


def test_the_demo_exchange_is_a_venue_of_its_own() -> None:
    [event] = frame_events(frame("ticker", TICK), replace(DELIVERY, account="kalshi/demo/main"))
    assert isinstance(event, MarketTicker)
    assert event.venue == "kalshi_demo"


def test_a_ticker_without_a_time_has_the_receive_time() -> None:
    assert ticker({**TICK, "ts": None, "ts_ms": None}).time == RECEIVED


@pytest.mark.parametrize(
    "msg", [{**TICK, "yes_bid_dollars": 0.45}, {**TICK, "yes_ask_dollars": "1.0100"}, {}]
)
def test_a_ticker_that_cannot_be_read_is_kept_as_it_came(msg: dict[str, Any]) -> None:
    event = read("ticker", msg)
    assert isinstance(event, MarketUnparsed)
    assert event.frame == frame("ticker", msg)


@pytest.mark.parametrize("kind", ["subscribed", "ok", "error", "trade", "orderbook_delta"])
def test_other_types_hold_no_fact(kind: str) -> None:
    assert frame_events(frame(kind, {}), DELIVERY) == []
