"""Coinbase's frames become trades, quotes and gaps."""

import json
from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.base import ConnectorError
from streams.connectors.coinbase import CoinbaseConnector, CoinbaseParser
from streams.connectors.prices import PriceParser
from streams.events import PriceGap, PriceQuote, PriceTrade, PriceUnparsed

RECEIVED = 1_618_677_817_129_516
MATCH: dict[str, Any] = {
    "type": "match",
    "trade_id": 280232,
    "maker_order_id": "2a0da34e-61f7-4c36-88e5-c9dd15927b16",
    "taker_order_id": "3c82abaa-c01e-4608-be59-6a1e69742891",
    "side": "sell",
    "size": "985",
    "price": "0.00001305",
    "product_id": "SKL-BTC",
    "sequence": 177100030,
    "time": "2021-04-17T16:43:37.089723Z",
}
TICKER: dict[str, Any] = {
    "type": "ticker",
    "sequence": 333938798,
    "product_id": "BAND-GBP",
    "price": "14.7775",
    "best_bid": "14.7550",
    "best_ask": "14.8060",
    "side": "buy",
    "time": "2021-04-17T16:43:30.244075Z",
    "trade_id": 881613,
    "last_size": "0.04",
}


@pytest.fixture
def parser() -> PriceParser:
    return CoinbaseConnector().parser("c1", RECEIVED)


def frame(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**base, **changes}).encode()


def heartbeat(last_trade_id: int) -> bytes:
    return frame({"type": "heartbeat", "product_id": "SKL-BTC", "last_trade_id": last_trade_id})


def test_a_match_is_a_trade_with_the_takers_side(parser: CoinbaseParser) -> None:
    assert parser.parse(frame(MATCH), RECEIVED) == [
        PriceTrade(
            venue="coinbase",
            symbol="SKL-BTC",
            trade_id="280232",
            price=Decimal("0.00001305"),
            size=Decimal(985),
            side="buy",
            time=1_618_677_817_089_723,
            sequence=177100030,
            received=RECEIVED,
        )
    ]


def test_the_last_match_of_a_new_subscription_is_a_trade(parser: CoinbaseParser) -> None:
    [trade] = parser.parse(frame(MATCH, type="last_match", side="buy"), RECEIVED)
    assert isinstance(trade, PriceTrade)
    assert trade.side == "sell"


def test_a_ticker_is_a_quote_and_no_second_trade(parser: CoinbaseParser) -> None:
    assert parser.parse(frame(TICKER, best_bid_size="1.50"), RECEIVED) == [
        PriceQuote(
            venue="coinbase",
            symbol="BAND-GBP",
            bid=Decimal("14.7550"),
            bid_size=Decimal("1.50"),
            ask=Decimal("14.8060"),
            ask_size=None,
            time=1_618_677_810_244_075,
            sequence=333938798,
            received=RECEIVED,
        )
    ]


def test_a_ticker_without_a_time_takes_the_receive_time(parser: CoinbaseParser) -> None:
    [quote] = parser.parse(frame(TICKER, time=None), RECEIVED)
    assert isinstance(quote, PriceQuote)
    assert quote.time == RECEIVED


def test_skipped_trade_ids_are_one_gap_before_the_trade(parser: CoinbaseParser) -> None:
    parser.parse(frame(MATCH, trade_id=10), RECEIVED)
    gap, trade = parser.parse(frame(MATCH, trade_id=13), RECEIVED)
    assert gap == PriceGap(
        venue="coinbase",
        symbol="SKL-BTC",
        connection="c1",
        expected=11,
        got=13,
        received=RECEIVED,
    )
    assert isinstance(trade, PriceTrade)


def test_repeats_and_late_trades_are_no_gap(parser: CoinbaseParser) -> None:
    for trade_id in (10, 11, 11, 9, 12):
        [event] = parser.parse(frame(MATCH, trade_id=trade_id), RECEIVED)
        assert isinstance(event, PriceTrade)


def test_products_are_numbered_apart(parser: CoinbaseParser) -> None:
    parser.parse(frame(MATCH, trade_id=10), RECEIVED)
    assert len(parser.parse(frame(MATCH, trade_id=500, product_id="BTC-USD"), RECEIVED)) == 1


def test_a_heartbeat_tells_of_missing_trades_once(parser: CoinbaseParser) -> None:
    parser.parse(frame(MATCH, trade_id=10), RECEIVED)
    assert parser.parse(heartbeat(10), RECEIVED) == []
    [gap] = parser.parse(heartbeat(12), RECEIVED)
    assert isinstance(gap, PriceGap)
    assert (gap.expected, gap.got) == (11, 13)
    assert parser.parse(heartbeat(12), RECEIVED) == []
    assert len(parser.parse(frame(MATCH, trade_id=13), RECEIVED)) == 1


def test_trades_missed_between_two_connections_are_a_gap() -> None:
    connector = CoinbaseConnector()
    connector.parser("c1", RECEIVED).parse(frame(MATCH, trade_id=10), RECEIVED)
    again = connector.parser("c2", RECEIVED).parse(frame(MATCH, trade_id=15), RECEIVED)
    assert [type(event) for event in again] == [PriceGap, PriceTrade]


def test_an_error_frame_ends_the_connection(parser: CoinbaseParser) -> None:
    with pytest.raises(ConnectorError, match="FOO-USD is not a valid product"):
        parser.parse(
            b'{"type":"error","message":"Failed","reason":"FOO-USD is not a valid product"}',
            RECEIVED,
        )


@pytest.mark.parametrize("kind", ["subscriptions", "l2update", "snapshot", "status"])
def test_frames_of_other_channels_say_nothing(parser: CoinbaseParser, kind: str) -> None:
    assert parser.parse(frame({"type": kind}), RECEIVED) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        frame({"type": "news"}),
        frame(MATCH, price=0.5),
        frame(MATCH, price="NaN"),
        frame(MATCH, price="0"),
        frame(MATCH, size="-1"),
        frame(MATCH, side="up"),
        frame(MATCH, trade_id="5"),
        frame(MATCH, time="1969-01-01T00:00:00Z"),
        frame(MATCH, product_id="a\u0000b"),
        frame(TICKER, best_bid=None),
    ],
)
def test_a_frame_that_cannot_be_read_is_kept_as_it_came(parser: CoinbaseParser, bad: bytes) -> None:
    parser.parse(frame(MATCH), RECEIVED)
    [event] = parser.parse(bad, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert event.frame == bad
    assert (event.connection, event.arrival) == ("c1", 1)
    assert event.error


def test_of_a_huge_frame_the_start_is_kept(parser: CoinbaseParser) -> None:
    [event] = parser.parse(b"x" * 5_000_000, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert event.frame == b"x" * 700_000
    assert "5000000 bytes" in event.error


def test_the_subscription_names_products_and_channels() -> None:
    [request] = CoinbaseConnector(symbols=("BTC-USD",)).parser("c1", RECEIVED).outgoing()
    assert isinstance(request, str)
    assert json.loads(request) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD"],
        "channels": ["ticker", "matches", "heartbeat"],
    }
