"""The short way from a frame to its record makes what models and codec make, or leaves it all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.base import ConnectorError, FrameParser
from streams.connectors.coinbase import CoinbaseConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.events import encode

RECEIVED = 1_795_384_800_000_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWNER = "kalshi/prod/main"
MARKET = "KXBTCD-26NOV2217-T91999.99"

DECIMALS = [
    *("0.4800", "0", "0.0000", "1", "1.0000", "1.01", "33896.00", "14.7550", "-54.00", "54"),
    *("007", "1e-2", ".5", "+1", "-0", "-0.00", "", "0.12345678901", "1" * 21, "0.48 ", "٣"),
]
TIMES = [
    *("2026-11-22T21:20:00Z", "2026-11-22T21:20:00.123456Z", "2026-11-22T21:20:00.1234567Z"),
    *("2026-11-22T21:20:00.999Z", "2026-11-22T21:20:00+00:00", "2026-11-22T25:20:00Z"),
    *("2001-01-01T00:00:00Z", "2026-11-22 21:20:00Z", "2026-11-22T21:20:00.Z", "", "yesterday"),
]
odd = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*DECIMALS, *TIMES, [], {}, "yes", "no", "buy", "é", 'a"b', "\x7f"])
    | st.text(max_size=5)
)

MATCH = {
    "type": "match",
    "trade_id": 280232,
    "maker_order_id": "2a0d",
    "side": "sell",
    "size": "985",
    "price": "0.00001305",
    "product_id": "SKL-BTC",
    "sequence": 177100030,
    "time": "2021-04-17T16:43:37.089723Z",
}
COINBASE_TICKER = {
    "type": "ticker",
    "sequence": 333938798,
    "product_id": "BAND-GBP",
    "best_bid": "14.7550",
    "best_bid_size": "1",
    "best_ask": "14.8060",
    "best_ask_size": "0.5",
    "time": "2021-04-17T16:43:30.244075Z",
}
KALSHI_TICKER = {
    "market_id": "9b0f6b43",
    "market_ticker": MARKET,
    "price_dollars": "0.4800",
    "yes_bid_dollars": "0.4500",
    "yes_ask_dollars": "0.5300",
    "volume_fp": "33896.00",
    "open_interest_fp": "20422.00",
    "dollar_volume": 16948,
    "dollar_open_interest": -10211,
    "yes_bid_size_fp": "300.00",
    "yes_ask_size_fp": "150.00",
    "last_trade_size_fp": "25.00",
    "ts": 1795382400,
    "ts_ms": 1795382400123,
    "time": "2026-11-22T21:20:00.123456Z",
}
DELTA = {
    "market_ticker": MARKET,
    "market_id": "9b0f6b43",
    "clock": 4182061,
    "price_dollars": "0.4800",
    "delta_fp": "-54.00",
    "side": "yes",
    "ts": "2026-11-22T21:20:00Z",
    "ts_ms": 1795382400123,
}


@st.composite
def changed(draw: st.DrawFn, *good: dict[str, Any]) -> dict[str, Any]:
    """A good message, perhaps with some fields replaced, removed or added."""
    message = dict(draw(st.sampled_from(good)))
    for name in draw(st.lists(st.sampled_from(sorted(message)), max_size=2, unique=True)):
        if draw(st.booleans()):
            like = DECIMALS if isinstance(message[name], str) else [0, 1, -1, 2**62, 1795382400]
            message[name] = draw(st.sampled_from(like) | st.sampled_from(TIMES) | odd)
        else:
            del message[name]
    if draw(st.integers(0, 9)) == 0:
        message[draw(st.sampled_from(["volume_delta", "news", "yes_bid"]))] = draw(odd)
    return message


def as_parsed(parser: FrameParser, frame: bytes) -> list[object]:
    """What models and codec make of a frame; a refusal as its text."""
    try:
        events = parser.parse(frame, RECEIVED)
    except ConnectorError as error:
        return [str(error)]
    return [encode(event, TRACE) for event in events]


def compare(short: FrameParser, long: FrameParser, frames: list[bytes]) -> None:
    """Feed both, the one by the short way wherever it takes it."""
    for frame in frames:
        records = short.records(frame, RECEIVED, TRACE)
        expected = as_parsed(long, frame)
        if records is None:
            assert as_parsed(short, frame) == expected
        else:
            assert records == expected
        assert short.arrivals == long.arrivals


@given(st.lists(changed(MATCH, COINBASE_TICKER), min_size=1, max_size=4))
def test_matches_and_tickers_of_coinbase(messages: list[dict[str, Any]]) -> None:
    frames = [json.dumps({**MATCH, "trade_id": 280231}).encode()]
    frames += [json.dumps(message).encode() for message in messages]
    short, long = (CoinbaseConnector().parser("c1", RECEIVED) for _ in range(2))
    compare(short, long, frames)


@given(st.lists(changed(KALSHI_TICKER), min_size=1, max_size=4), st.booleans())
def test_tickers_of_kalshi(messages: list[dict[str, Any]], with_newline: bool) -> None:
    end = b"\n" if with_newline else b""
    frames = [
        json.dumps({"type": "ticker", "sid": 4, "msg": one}).encode() + end for one in messages
    ]
    connectors = [KalshiMarketConnector(OWNER, None, ("KXBTCD",)) for _ in range(2)]
    compare(connectors[0].parser("c1", RECEIVED), connectors[1].parser("c1", RECEIVED), frames)


@pytest.mark.parametrize("name", [one for one in KALSHI_TICKER if one.endswith(("dollars", "fp"))])
def test_each_decimal_of_a_ticker_of_kalshi_is_checked(name: str) -> None:
    """One by one: chance seldom hits on a bad number in the one field that takes it."""
    frames = [
        json.dumps({"type": "ticker", "sid": 4, "msg": {**KALSHI_TICKER, name: value}}).encode()
        for value in (*DECIMALS, "0.48,0.53", 0, 1.5, None, ["0.48"])
    ]
    connectors = [KalshiMarketConnector(OWNER, None, ("KXBTCD",)) for _ in range(2)]
    compare(connectors[0].parser("c1", RECEIVED), connectors[1].parser("c1", RECEIVED), frames)


@given(
    st.lists(
        st.tuples(changed(DELTA), st.sampled_from([1, 1, 1, 1, 2, 0]) | odd), min_size=1, max_size=5
    )
)
def test_changes_of_books(steps: list[tuple[dict[str, Any], Any]]) -> None:
    snapshot = {"market_ticker": MARKET, "yes_dollars_fp": [["0.4800", "100.00"]]}
    frames = [
        json.dumps({"type": "orderbook_snapshot", "sid": 2, "seq": 1, "msg": snapshot}).encode()
    ]
    seq = 1
    for message, step in steps:
        seq = seq + step if type(step) is int and abs(step) < 5 else step
        frame = {"type": "orderbook_delta", "sid": 2, "seq": seq, "msg": message}
        frames.append(json.dumps(frame).encode())
        seq = seq if type(seq) is int and seq > 0 else 2
    parsers = []
    for _ in range(2):
        parser = KalshiBooksConnector(OWNER, None, ("KXBTCD",)).parser("c1", RECEIVED)
        parser.following.tickers[MARKET] = None
        parsers.append(parser)
    compare(parsers[0], parsers[1], frames)
    assert parsers[0].books.keys() == parsers[1].books.keys()
    for ticker, book in parsers[0].books.items():
        other = parsers[1].books[ticker]
        assert (book.levels, book.seq) == (other.levels, other.seq)


def test_good_frames_take_the_short_way() -> None:
    coinbase = CoinbaseConnector().parser("c1", RECEIVED)
    coinbase.parse(json.dumps({**MATCH, "trade_id": 280231}).encode(), RECEIVED)
    for message in (MATCH, COINBASE_TICKER):
        assert coinbase.records(json.dumps(message).encode(), RECEIVED, TRACE)
    market = KalshiMarketConnector(OWNER, None, ("KXBTCD",)).parser("c1", RECEIVED)
    frame = {"type": "ticker", "sid": 4, "msg": KALSHI_TICKER}
    assert market.records(json.dumps(frame).encode(), RECEIVED, TRACE)
