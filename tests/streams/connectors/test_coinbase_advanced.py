"""Coinbase Advanced Trade's frames become trades, quotes and gaps."""

import json
from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.base import ConnectorError
from streams.connectors.coinbase_advanced import AdvancedConnector, AdvancedParser
from streams.connectors.prices import PriceParser
from streams.events import PriceGap, PriceQuote, PriceTrade, PriceUnparsed

RECEIVED = 1_775_572_202_900_000
TIME = 1_775_572_202_789_012
TRADE: dict[str, Any] = {
    "trade_id": "995098700",
    "product_id": "BTC-USD",
    "price": "68900.50",
    "size": "0.00150000",
    "side": "BUY",
    "time": "2026-04-07T14:30:02.789012Z",
}
TICKER: dict[str, Any] = {
    "type": "ticker",
    "product_id": "BTC-USD",
    "price": "68900.50",
    "best_bid": "68900.49",
    "best_bid_quantity": "0.10",
    "best_ask": "68900.50",
    "best_ask_quantity": "0.20",
}


@pytest.fixture
def parser() -> PriceParser:
    return AdvancedConnector().parser("c1", RECEIVED)


def frame(number: int, channel: str, *events: dict[str, Any]) -> bytes:
    body = {
        "channel": channel,
        "timestamp": "2026-04-07T14:30:02.789012Z",
        "sequence_num": number,
        "events": events,
    }
    return json.dumps(body).encode()


def trades(number: int, *trade_ids: int, **changes: Any) -> bytes:
    items = [{**TRADE, "trade_id": str(trade_id), **changes} for trade_id in trade_ids]
    return frame(number, "market_trades", {"type": "update", "trades": items})


def tickers(number: int, **changes: Any) -> bytes:
    return frame(number, "ticker", {"type": "update", "tickers": [{**TICKER, **changes}]})


def test_a_trade_names_the_taker(parser: AdvancedParser) -> None:
    assert parser.parse(trades(0, 995098700), RECEIVED) == [
        PriceTrade(
            venue="coinbase_advanced",
            symbol="BTC-USD",
            trade_id="995098700",
            price=Decimal("68900.50"),
            size=Decimal("0.00150000"),
            side="sell",
            time=TIME,
            sequence=None,
            received=RECEIVED,
        )
    ]


def test_a_ticker_is_a_quote_at_the_time_of_its_frame(parser: AdvancedParser) -> None:
    assert parser.parse(tickers(0), RECEIVED) == [
        PriceQuote(
            venue="coinbase_advanced",
            symbol="BTC-USD",
            bid=Decimal("68900.49"),
            bid_size=Decimal("0.10"),
            ask=Decimal("68900.50"),
            ask_size=Decimal("0.20"),
            time=TIME,
            sequence=None,
            received=RECEIVED,
        )
    ]


def test_the_trades_of_a_frame_come_newest_first_and_are_told_in_order(
    parser: AdvancedParser,
) -> None:
    events = parser.parse(trades(0, 8, 5, 4), RECEIVED)
    assert [getattr(one, "trade_id", None) for one in events] == ["4", "5", None, "8"]
    assert isinstance(events[2], PriceGap)


def test_a_number_skipped_over_all_channels_ends_the_connection(parser: AdvancedParser) -> None:
    parser.parse(frame(0, "subscriptions"), RECEIVED)
    parser.parse(trades(1, 4), RECEIVED)
    parser.parse(frame(2, "heartbeats", {"heartbeat_counter": 1}), RECEIVED)
    with pytest.raises(ConnectorError, match="skipped 2 frames from number 3 on"):
        parser.parse(tickers(5), RECEIVED)


def test_a_frame_that_came_already_says_nothing(parser: AdvancedParser) -> None:
    parser.parse(trades(0, 4), RECEIVED)
    parser.parse(tickers(1), RECEIVED)
    assert parser.parse(trades(0, 4), RECEIVED) == []
    assert parser.parse(tickers(1), RECEIVED) == []


def test_each_connection_is_numbered_apart_and_the_trades_go_on() -> None:
    connector = AdvancedConnector()
    connector.parser("c1", RECEIVED).parse(trades(7, 4), RECEIVED)
    again = connector.parser("c2", RECEIVED).parse(trades(0, 6), RECEIVED)
    assert [type(event) for event in again] == [PriceGap, PriceTrade]


def test_missed_trades_are_asked_of_the_exchange(parser: AdvancedParser) -> None:
    parser.outgoing()
    parser.parse(trades(0, 4), RECEIVED)
    parser.parse(trades(1, 7), RECEIVED)
    [request] = parser.outgoing()
    assert str(request) == "/products/BTC-USD/trades?limit=2&after=7"


def test_one_subscription_for_each_channel() -> None:
    parser = AdvancedConnector(symbols=("BTC-USD",)).parser("c1", RECEIVED)
    said = [json.loads(str(message)) for message in parser.outgoing()]
    assert [message["channel"] for message in said] == ["market_trades", "ticker", "heartbeats"]
    assert all(message["product_ids"] == ["BTC-USD"] for message in said)


def test_an_error_ends_the_connection(parser: AdvancedParser) -> None:
    with pytest.raises(ConnectorError, match="ProductIds are invalid"):
        parser.parse(b'{"type":"error","message":"ProductIds are invalid"}', RECEIVED)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{}",
        frame(0, "news"),
        frame(0, "market_trades", {"type": "update"}),
        trades(0, 1, trade_id=5),
        trades(0, 1, trade_id="5x"),
        trades(0, 1, side="UP"),
        trades(0, 1, price=1.5),
        tickers(0, best_bid=None),
    ],
)
def test_a_frame_that_cannot_be_read_is_kept_as_it_came(parser: AdvancedParser, bad: bytes) -> None:
    [event] = parser.parse(bad, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert event.frame == bad
