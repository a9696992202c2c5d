"""Binance's frames become trades, quotes and gaps."""

import json
from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.base import ConnectorError, Request
from streams.connectors.binance import BinanceConnector, BinanceParser, canonical_symbol
from streams.connectors.prices import PriceParser
from streams.events import PriceGap, PriceQuote, PriceTrade, PriceUnparsed

RECEIVED = 1_723_161_254_087_896
TRADE: dict[str, Any] = {
    "e": "trade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "t": 3735683259,
    "p": "61837.63000000",
    "q": "0.02000000",
    "T": 1723161255342,
    "m": True,
    "M": True,
}
AGGREGATE: dict[str, Any] = {
    "e": "aggTrade",
    "E": 1672515782136,
    "s": "BNBBTC",
    "a": 12345,
    "p": "0.001",
    "q": "100",
    "f": 100,
    "l": 105,
    "T": 1672515782136,
    "m": False,
    "M": True,
}
BOOK_TICKER: dict[str, Any] = {
    "u": 50093239212,
    "s": "BTCUSDT",
    "b": "61837.63000000",
    "B": "3.78826000",
    "a": "61837.64000000",
    "A": "1.54698000",
}


@pytest.fixture
def parser() -> PriceParser:
    return BinanceConnector().parser("c1", RECEIVED)


def frame(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**base, **changes}).encode()


def test_a_trade_keeps_its_id_and_names_the_taker(parser: BinanceParser) -> None:
    assert parser.parse(frame(TRADE), RECEIVED) == [
        PriceTrade(
            venue="binance",
            symbol="BTC-USDT",
            trade_id="3735683259",
            price=Decimal("61837.63000000"),
            size=Decimal("0.02000000"),
            side="sell",
            time=1_723_161_255_342_000,
            sequence=3735683259,
            received=RECEIVED,
        )
    ]


def test_an_aggregate_trade_has_an_id_of_its_own_numbering(parser: BinanceParser) -> None:
    [trade] = parser.parse(frame(AGGREGATE), RECEIVED)
    assert isinstance(trade, PriceTrade)
    assert (trade.trade_id, trade.sequence, trade.side) == ("a12345", 12345, "buy")
    assert trade.symbol == "BNB-BTC"


def test_times_may_be_in_microseconds(parser: BinanceParser) -> None:
    [trade] = parser.parse(frame(TRADE, T=1723161255342517), RECEIVED)
    assert isinstance(trade, PriceTrade)
    assert trade.time == 1_723_161_255_342_517


@pytest.mark.parametrize(
    "sent", [{"stream": "btcusdt@bookTicker", "data": BOOK_TICKER}, BOOK_TICKER]
)
def test_a_book_ticker_is_a_quote_at_its_receive_time(
    parser: BinanceParser, sent: dict[str, Any]
) -> None:
    assert parser.parse(frame(sent), RECEIVED) == [
        PriceQuote(
            venue="binance",
            symbol="BTC-USDT",
            bid=Decimal("61837.63000000"),
            bid_size=Decimal("3.78826000"),
            ask=Decimal("61837.64000000"),
            ask_size=Decimal("1.54698000"),
            time=RECEIVED,
            sequence=50093239212,
            received=RECEIVED,
        )
    ]


def test_a_book_ticker_older_than_the_last_says_nothing(parser: BinanceParser) -> None:
    updates = [(10, "BTCUSDT"), (12, "BTCUSDT"), (11, "BTCUSDT"), (12, "BTCUSDT"), (5, "ETHUSDT")]
    told = [len(parser.parse(frame(BOOK_TICKER, u=u, s=s), RECEIVED)) for u, s in updates]
    assert told == [1, 1, 0, 0, 1]


def test_the_numbers_of_books_may_start_anew_with_a_connection() -> None:
    connector = BinanceConnector()
    connector.parser("c1", RECEIVED).parse(frame(BOOK_TICKER), RECEIVED)
    assert len(connector.parser("c2", RECEIVED).parse(frame(BOOK_TICKER, u=1), RECEIVED)) == 1


def test_missed_aggregates_are_asked_for_and_told_as_by_the_stream(parser: BinanceParser) -> None:
    for number in (10, 14):
        parser.parse(frame(AGGREGATE, a=number), RECEIVED)
    [request] = parser.outgoing()
    assert str(request) == "/api/v3/aggTrades?symbol=BNBBTC&fromId=11&limit=3"
    assert isinstance(request, Request)
    items = [
        {name: value for name, value in AGGREGATE.items() if name not in "eEs"} | {"a": number}
        for number in (11, 12, 13, 14)
    ]
    events = parser.parse(json.dumps(items).encode(), RECEIVED, request)
    live = [parser.parse(frame(AGGREGATE, a=number), RECEIVED) for number in (11, 12, 13)]
    assert [[event] for event in events] == live


def test_missed_single_trades_cannot_be_asked_for(parser: BinanceParser) -> None:
    for number in (10, 14):
        parser.parse(frame(TRADE, t=number), RECEIVED)
    assert parser.outgoing() == []


def test_skipped_ids_are_a_gap_in_their_own_numbering_and_symbol(parser: BinanceParser) -> None:
    for first in (frame(TRADE, t=10), frame(AGGREGATE, a=10, s="BTCUSDT")):
        assert len(parser.parse(first, RECEIVED)) == 1
    assert len(parser.parse(frame(TRADE, t=900, s="ETHUSDT"), RECEIVED)) == 1
    assert len(parser.parse(frame(AGGREGATE, a=11, s="BTCUSDT"), RECEIVED)) == 1
    gap, _ = parser.parse(frame(TRADE, t=12), RECEIVED)
    assert isinstance(gap, PriceGap)
    assert (gap.symbol, gap.expected, gap.got) == ("BTC-USDT", 11, 12)


@pytest.mark.parametrize(
    "other",
    [
        {"stream": "x", "data": {"e": "depthUpdate", "u": 1, "s": "X", "b": [], "a": []}},
        {"e": "kline"},
        {"result": None, "id": 1},
        {"lastUpdateId": 5, "bids": [], "asks": []},
    ],
)
def test_frames_of_other_streams_say_nothing(parser: BinanceParser, other: dict[str, Any]) -> None:
    assert parser.parse(frame(other), RECEIVED) == []


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"code": 2, "msg": "Invalid request"}, "id": 1},
        {"code": 0, "msg": "Unknown property"},
        {"stream": "!", "data": {"e": "serverShutdown", "E": 1770123456789}},
    ],
)
def test_a_refusal_ends_the_connection(parser: BinanceParser, refusal: dict[str, Any]) -> None:
    with pytest.raises(ConnectorError):
        parser.parse(frame(refusal), RECEIVED)


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense",
        frame({"stream": "x", "data": []}),
        frame({"e": 5}),
        frame({"e": "unheardOf"}),
        frame({}),
        frame(TRADE, m=1),
        frame(TRADE, p=1.5),
        frame(TRADE, T="now"),
        frame(TRADE, s="BTC USDT"),
        frame(BOOK_TICKER, b="0.00000000"),
    ],
)
def test_a_frame_that_cannot_be_read_is_kept_as_it_came(parser: BinanceParser, bad: bytes) -> None:
    [event] = parser.parse(bad, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert event.frame == bad


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("btctusd", "BTC-TUSD"),
        ("RUNEEUR", "RUNE-EUR"),
        ("BLZETH", "BLZ-ETH"),
        ("ETHBTC", "ETH-BTC"),
        ("USDT", "USDT"),
        ("FOOBAR", "FOOBAR"),
    ],
)
def test_symbols_are_split_at_a_known_quote_asset(name: str, canonical: str) -> None:
    assert canonical_symbol(name) == canonical


def test_the_address_names_one_of_the_two_trade_streams() -> None:
    url = BinanceConnector(symbols=("BTC-USDT", "ETH-BTC")).connect().url
    assert url.partition("?streams=")[2] == (
        "btcusdt@aggTrade/btcusdt@bookTicker/ethbtc@aggTrade/ethbtc@bookTicker"
    )
