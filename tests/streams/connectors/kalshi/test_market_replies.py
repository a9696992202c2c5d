"""Public trades and candlesticks by REST, of both tiers and of older formats."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.kalshi import market_replies
from streams.connectors.values import FrameError
from streams.events import Event, MarketCandle, MarketTrade, MarketUnparsed

from .said import DELIVERY, RECEIVED, TICKER

RECORDED = "kalshi-starter-code-python-Apache2"
TRADE: dict[str, Any] = {
    "trade_id": "t-1",
    "ticker": TICKER,
    "count_fp": "136.00",
    "yes_price_dollars": "0.3600",
    "no_price_dollars": "0.6400",
    "taker_outcome_side": "no",
    "taker_book_side": "ask",
    "created_time": "2026-10-01T12:00:00.123456Z",
    "is_block_trade": False,
}
QUOTES = {"open": "0.4000", "low": "0.3000", "high": "0.5000", "close": "0.4500"}
MADE = {**QUOTES, "mean": "0.4200", "previous": "0.4100"}
CANDLE: dict[str, Any] = {
    "end_period_ts": 1_790_000_040,
    "yes_bid": QUOTES,
    "yes_ask": QUOTES,
    "price": MADE,
    "volume": "12.50",
    "open_interest": "100.00",
}


def live(candle: dict[str, Any]) -> dict[str, Any]:
    """A historical candle as the live tier writes it."""
    found = {"end_period_ts": candle["end_period_ts"]}
    for name in ("yes_bid", "yes_ask", "price"):
        found[name] = {f"{key}_dollars": value for key, value in candle[name].items()}
    return found | {
        "volume_fp": candle["volume"],
        "open_interest_fp": candle["open_interest"],
    }


def candles(*items: object) -> list[Event]:
    return market_replies.candles({"ticker": TICKER, "candlesticks": list(items)}, 1, DELIVERY)


def test_a_trade_is_one_execution_by_its_taker() -> None:
    [trade] = market_replies.trades({"trades": [TRADE]}, DELIVERY)
    assert isinstance(trade, MarketTrade)
    assert trade.venue == "kalshi"
    assert (trade.ticker, trade.trade_id, trade.taker_side) == (TICKER, "t-1", "no")
    assert (trade.yes_price, trade.count) == (Decimal("0.3600"), Decimal("136.00"))
    assert (trade.time, trade.received) == (1_790_856_000_123_456, RECEIVED)
    assert trade.is_block is False


def test_a_trade_of_before_may_2026_names_the_taker_by_his_outcome() -> None:
    old = {key: value for key, value in TRADE.items() if not key.startswith(("taker", "is_"))}
    [trade] = market_replies.trades({"trades": [{**old, "taker_side": "yes"}]}, DELIVERY)
    assert isinstance(trade, MarketTrade)
    assert (trade.taker_side, trade.is_block) == ("yes", None)


def test_both_tiers_give_the_same_candle() -> None:
    [one], [other] = candles(CANDLE), candles(live(CANDLE))
    assert isinstance(one, MarketCandle)
    assert one.model_copy(update={"raw": None}) == other.model_copy(update={"raw": None})
    assert one.event_id() == other.event_id()
    assert (one.end, one.minutes) == (1_790_000_040_000_000, 1)
    assert (one.yes_bid_low, one.yes_ask_high) == (Decimal("0.3000"), Decimal("0.5000"))
    assert (one.open, one.close, one.previous) == (
        Decimal("0.4000"),
        Decimal("0.4500"),
        Decimal("0.4100"),
    )
    assert (one.volume, one.open_interest) == (Decimal("12.50"), Decimal("100.00"))


def test_a_period_without_trades_has_no_prices_of_any() -> None:
    nothing = dict.fromkeys(MADE)
    for item in ({**CANDLE, "price": nothing}, {**live(CANDLE), "price": {}}):
        [one] = candles(item)
        assert isinstance(one, MarketCandle)
        assert (one.open, one.close, one.mean, one.previous) == (None,) * 4


@pytest.mark.parametrize("item", [5, {}, {**CANDLE, "price": "0.5"}, {**CANDLE, "yes_bid": []}])
def test_a_candle_that_cannot_be_read_is_kept(item: object) -> None:
    [event, good] = candles(item, CANDLE)
    assert isinstance(event, MarketUnparsed)
    assert isinstance(good, MarketCandle)


@pytest.mark.parametrize("reply", [{}, {"error": "no"}, {"trades": {}}])
def test_a_reply_without_the_list_is_refused(reply: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        market_replies.trades(reply, DELIVERY)
    with pytest.raises(FrameError):
        market_replies.candles(reply, 1, DELIVERY)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*TRADE, *CANDLE]), junk))
def test_whatever_an_item_is_it_becomes_one_event(item: dict[str, Any]) -> None:
    assert len(market_replies.trades({"trades": [{**TRADE, **item}]}, DELIVERY)) == 1
    assert len(candles({**CANDLE, **item})) == 1


def test_what_was_recorded_in_january_2026_is_read(samples: Path) -> None:
    folder = samples / RECORDED
    trades = json.loads((folder / "trades_list_response.json").read_text())["response"]
    found = market_replies.trades(trades, DELIVERY)
    assert len(found) == len(trades["trades"]) > 0
    assert {type(event) for event in found} == {MarketTrade}
    batch = json.loads((folder / "candlesticks_batch_response.json").read_text())["response"]
    for market in batch["markets"]:
        read = candles(*market["candlesticks"])
        assert len(read) == len(market["candlesticks"]) > 0
        assert {type(event) for event in read} == {MarketCandle}
