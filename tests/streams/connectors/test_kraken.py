"""Kraken's frames become trades, quotes of a verified book, and gaps that are asked for."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.base import ConnectorError, Request
from streams.connectors.kraken import KrakenConnector, KrakenParser
from streams.connectors.kraken_book import DEPTH, Book, Level
from streams.connectors.missed import Missed
from streams.events import Event, PriceGap, PriceQuote, PriceTrade, PriceUnparsed

RECEIVED = 1_696_613_755_500_000
TIME = 1_696_613_755_440_295
TRADE = (
    '{"symbol":"BTC/USD","side":"%s","price":105944.20,"qty":0.00027625,"ord_type":"limit",'
    '"trade_id":%d,"timestamp":"2023-10-06T17:35:55.440295Z"}'
)
#: The example of docs.kraken.com/api/docs/guides/spot-ws-book-v2, whose checksum it gives.
ASKS = (
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
)
BIDS = (
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
)
CHECKSUM = 3310070434


@pytest.fixture
def parser() -> KrakenParser:
    parser = KrakenConnector(symbols=("BTC-USD",)).price_parser("c1", RECEIVED, None)
    parser.outgoing()
    return parser


def trades(*numbers: int, kind: str = "update", side: str = "buy") -> bytes:
    items = ",".join(TRADE % (side, number) for number in numbers)
    return f'{{"channel":"trade","type":"{kind}","data":[{items}]}}'.encode()


def book(
    kind: str,
    bids: tuple[tuple[str, str], ...] = BIDS,
    asks: tuple[tuple[str, str], ...] = ASKS,
    checksum: int = CHECKSUM,
) -> bytes:
    sides = [
        ",".join(f'{{"price":{price},"qty":{quantity}}}' for price, quantity in side)
        for side in (bids, asks)
    ]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{sides[0]}],'
        f'"asks":[{sides[1]}],"checksum":{checksum},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}'
    ).encode()


def checksum_of(bids: Mapping[str, str], asks: Mapping[str, str]) -> int:
    """By the venue's rule, from all levels, best first."""
    texts = [text for side in (asks, bids) for level in list(side.items())[:10] for text in level]
    return crc32("".join(str(int(text.replace(".", ""))) for text in texts).encode())


def test_a_trade_keeps_its_digits_and_names_the_taker(parser: KrakenParser) -> None:
    [trade] = parser.parse(trades(10218208), RECEIVED)
    assert trade == PriceTrade(
        venue="kraken",
        symbol="BTC-USD",
        trade_id="10218208",
        price=Decimal("105944.20"),
        size=Decimal("0.00027625"),
        side="buy",
        time=TIME,
        sequence=10218208,
        received=RECEIVED,
    )
    assert isinstance(trade, PriceTrade)
    assert str(trade.price) == "105944.20"


@given(price=st.from_regex(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,10})?", fullmatch=True))
def test_no_number_passes_through_a_float(price: str) -> None:
    parser = KrakenConnector().price_parser("c1", RECEIVED, None)
    frame = trades(5).replace(b"105944.20", price.encode())
    [event] = parser.parse(frame, RECEIVED)
    if Decimal(price) == 0:
        assert isinstance(event, PriceUnparsed)
    else:
        assert isinstance(event, PriceTrade)
        assert format(event.price, "f") == price


def test_the_trades_of_a_frame_are_told_in_order_with_the_gap_between(parser: KrakenParser) -> None:
    events = parser.parse(trades(8, 5, 4, kind="snapshot"), RECEIVED)
    assert [getattr(one, "trade_id", None) for one in events] == ["4", "5", None, "8"]
    gap = events[2]
    assert isinstance(gap, PriceGap)
    assert (gap.expected, gap.got) == (6, 8)


def test_a_frame_with_one_bad_trade_counts_none_of_them_as_arrived(parser: KrakenParser) -> None:
    parser.parse(trades(4), RECEIVED)
    bad = trades(5, 9).replace(b'"trade_id":9', b'"trade_id":"9"')
    [event] = parser.parse(bad, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert len(parser.parse(trades(5), RECEIVED)) == 1


def test_the_checksum_is_that_of_the_venues_example() -> None:
    example = Book()
    example.update([Level(*one) for one in BIDS], [Level(*one) for one in ASKS])
    assert example.checksum() == CHECKSUM


def test_a_snapshot_gives_the_quote_of_its_best_levels(parser: KrakenParser) -> None:
    assert parser.parse(book("snapshot"), RECEIVED) == [
        PriceQuote(
            venue="kraken",
            symbol="BTC-USD",
            bid=Decimal("45283.5"),
            bid_size=Decimal("0.10000000"),
            ask=Decimal("45285.2"),
            ask_size=Decimal("0.00100000"),
            time=TIME,
            sequence=None,
            received=RECEIVED,
        )
    ]


def test_a_change_behind_the_best_levels_is_no_quote(parser: KrakenParser) -> None:
    parser.parse(book("snapshot"), RECEIVED)
    bids, asks = dict(BIDS), dict(ASKS) | {"45299.5": "2.00000000"}
    update = book("update", (), (("45299.5", "2.00000000"),), checksum_of(bids, asks))
    assert parser.parse(update, RECEIVED) == []
    better = dict([("45284.0", "1.00000000"), *BIDS])
    update = book("update", (("45284.0", "1.00000000"),), (), checksum_of(better, asks))
    [quote] = parser.parse(update, RECEIVED)
    assert isinstance(quote, PriceQuote)
    assert (quote.bid, quote.ask) == (Decimal("45284.0"), Decimal("45285.2"))


def test_a_wrong_checksum_gives_no_quote_until_a_new_snapshot(parser: KrakenParser) -> None:
    parser.parse(book("snapshot"), RECEIVED)
    update = book("update", (("45284.0", "1.0"),), (), 1)
    assert parser.parse(update, RECEIVED) == []
    said = [json.loads(str(message)) for message in parser.outgoing()]
    assert [message["method"] for message in said] == ["unsubscribe", "subscribe"]
    assert all(message["params"]["symbol"] == ["BTC/USD"] for message in said)
    assert parser.parse(update, RECEIVED) == []
    assert parser.outgoing() == []
    # The best levels are those of the last quote: that is no news.
    assert parser.parse(book("snapshot"), RECEIVED) == []


def test_a_snapshot_with_a_wrong_checksum_ends_the_connection(parser: KrakenParser) -> None:
    with pytest.raises(ConnectorError, match="wrong checksum"):
        parser.parse(book("snapshot", checksum=1), RECEIVED)


def test_a_snapshot_that_does_not_come_ends_the_connection(parser: KrakenParser) -> None:
    connected = RECEIVED + 30_000_000
    parser.tick(connected)
    parser.tick(connected + 9_000_000)
    with pytest.raises(ConnectorError, match="no snapshot of the book of BTC-USD"):
        parser.tick(connected + 11_000_000)
    parser.parse(book("snapshot"), RECEIVED)
    parser.tick(RECEIVED + 60_000_000)


prices = st.integers(1, 30).map(lambda cents: f"{cents / 100:.2f}")
changes = st.dictionaries(prices, st.sampled_from(["0.00", "1.00", "2.50"]), max_size=8)


@given(history=st.lists(st.tuples(changes, changes), min_size=1, max_size=8))
def test_the_book_is_the_best_levels_of_all_changes(
    history: list[tuple[dict[str, str], dict[str, str]]],
) -> None:
    """The venue tells of what enters the depth again, so that ten levels are enough to keep."""
    kept = Book()
    told: tuple[dict[str, str], dict[str, str]] = ({}, {})
    whole: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for step in history:
        for side, change in zip(whole, step, strict=True):
            side.update(change)
        now = tuple(best(side, highest=n == 0) for n, side in enumerate(whole))
        updates = [
            [Level(price, "0") for price in before if price not in after]
            + [Level(*level) for level in after.items()]
            for before, after in zip(told, now, strict=True)
        ]
        kept.update(*updates)
        told = (now[0], now[1])
        assert kept.checksum() == checksum_of(*told)
    both = kept.best()
    if all(told):
        assert both == tuple(Level(*next(iter(side.items()))) for side in told)
    else:
        assert both is None


def best(side: dict[str, str], *, highest: bool) -> dict[str, str]:
    """The ten best levels that have a quantity, best first."""
    live = sorted((price for price in side if Decimal(side[price])), key=Decimal, reverse=highest)
    return {price: side[price] for price in live[:DEPTH]}


def test_the_subscriptions_name_channels_and_symbols() -> None:
    parser = KrakenConnector(symbols=("BTC-USD", "ETH-USD")).parser("c1", RECEIVED)
    said = [json.loads(str(message)) for message in parser.outgoing()]
    names = ["BTC/USD", "ETH/USD"]
    assert [message["params"] for message in said] == [
        {"channel": "trade", "symbol": names, "snapshot": True},
        {"channel": "book", "symbol": names, "depth": 10, "snapshot": True},
    ]
    assert len({message["req_id"] for message in said}) == 2


def asked(parser: KrakenParser) -> Request:
    [request] = parser.outgoing()
    assert isinstance(request, Request)
    return request


def rest_reply(*items: str, last: str = "1") -> bytes:
    return f'{{"error":[],"result":{{"XXBTZUSD":[{",".join(items)}],"last":"{last}"}}}}'.encode()


def rest_item(number: int, seconds: str = "1696613755.4402959") -> str:
    return f'["105944.20000","0.00027625",{seconds},"b","l","",{number}]'


@pytest.fixture
def recovering() -> KrakenParser:
    parser = KrakenConnector(symbols=("BTC-USD",)).parser("c1", RECEIVED)
    assert isinstance(parser, KrakenParser)
    parser.outgoing()
    return parser


def test_missed_trades_are_asked_for_by_the_time_of_the_last_one(recovering: KrakenParser) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.parse(trades(7), RECEIVED)
    request = asked(recovering)
    assert str(request) == (f"/0/public/Trades?pair=XBTUSD&since={TIME * 1000 - 1}&count=1000")
    reply = rest_reply(*(rest_item(number) for number in (4, 5, 6, 7)))
    events = recovering.parse(reply, RECEIVED + 9, request)
    [live] = recovering.parse(trades(5), RECEIVED + 9)
    assert [event.event_id() for event in events] == ["kraken:BTC-USD:5", "kraken:BTC-USD:6"]
    assert canonical(events[0]) == canonical(live)
    assert recovering.outgoing() == []


def canonical(event: Event) -> tuple[object, ...]:
    """What the table compares: decimals by value."""
    return (
        tuple(event.model_dump().items())
        if not isinstance(event, PriceTrade)
        else (
            event.price.normalize(),
            event.size.normalize(),
            event.side,
            event.time,
            event.sequence,
        )
    )


def test_a_reply_that_ends_too_early_is_followed_by_the_next_page(
    recovering: KrakenParser,
) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.parse(trades(9), RECEIVED)
    first = asked(recovering)
    recovering.parse(rest_reply(rest_item(5), rest_item(6, "1696613756.5")), RECEIVED, first)
    second = asked(recovering)
    assert dict(second.query)["since"] == str(1_696_613_756_500_000_000 - 1)
    events = recovering.parse(rest_reply(rest_item(7), rest_item(8)), RECEIVED, second)
    assert len(events) == 2
    assert recovering.outgoing() == []


def test_a_reply_that_ends_before_the_missed_trades_is_followed_by_the_next_page(
    recovering: KrakenParser,
) -> None:
    recovering.ask([Missed("BTC-USD", 5, 7, 1_696_613_750_000_000)])
    first = asked(recovering)
    early = rest_reply(rest_item(1, "1696613751.5"), rest_item(3, "1696613752.5"))
    assert recovering.parse(early, RECEIVED, first) == []
    second = asked(recovering)
    assert dict(second.query)["since"] == str(1_696_613_752_500_000_000 - 1)
    page = rest_reply(rest_item(3, "1696613752.5"), rest_item(5), rest_item(6), rest_item(7))
    assert len(recovering.parse(page, RECEIVED, second)) == 2
    assert recovering.outgoing() == []


def test_a_reply_that_never_reaches_the_missed_trades_ends_the_asking(
    recovering: KrakenParser,
) -> None:
    recovering.ask([Missed("BTC-USD", 5, 7, 1_696_613_752_500_000)])
    page = rest_reply(rest_item(3, "1696613752.5"))
    assert recovering.parse(page, RECEIVED, asked(recovering)) == []
    assert recovering.outgoing() == []


def test_what_the_log_says_and_what_is_seen_to_be_missing_is_asked_for_once(
    recovering: KrakenParser,
) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.ask([Missed("BTC-USD", 5, 6, TIME)])
    recovering.parse(trades(7), RECEIVED)
    events = recovering.parse(rest_reply(rest_item(5), rest_item(6)), RECEIVED, asked(recovering))
    assert [event.event_id() for event in events] == ["kraken:BTC-USD:5", "kraken:BTC-USD:6"]
    assert recovering.outgoing() == []


@pytest.mark.parametrize("error", ["EAPI:Rate limit exceeded", "EGeneral:Too many requests"])
def test_a_limit_that_passes_is_asked_again(recovering: KrakenParser, error: str) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.parse(trades(6), RECEIVED)
    request = asked(recovering)
    reply = json.dumps({"error": [error]}).encode()
    assert recovering.parse(reply, RECEIVED, request) == []
    assert asked(recovering) == request


def test_a_refusal_leaves_the_gap(recovering: KrakenParser) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.parse(trades(6), RECEIVED)
    request = asked(recovering)
    reply = b'{"error":["EQuery:Unknown asset pair"]}'
    assert recovering.parse(reply, RECEIVED, request) == []
    assert recovering.outgoing() == []


@pytest.mark.parametrize(
    "bad",
    [b"", b"[]", b"{}", b'{"result":{"a":[],"b":[]}}', rest_reply("[1]"), rest_reply("{}")],
)
def test_a_reply_that_cannot_be_read_is_kept(recovering: KrakenParser, bad: bytes) -> None:
    recovering.parse(trades(4), RECEIVED)
    recovering.parse(trades(6), RECEIVED)
    [event] = recovering.parse(bad, RECEIVED, asked(recovering))
    assert isinstance(event, PriceUnparsed)
    assert recovering.outgoing() == []


@pytest.mark.parametrize(
    "other",
    [
        {"channel": "heartbeat"},
        {"channel": "status", "type": "update", "data": [{"system": "online"}]},
        {"method": "subscribe", "success": True, "result": {"channel": "trade"}, "req_id": 1},
        {"method": "pong", "req_id": 2},
    ],
)
def test_frames_without_prices_say_nothing(parser: KrakenParser, other: dict[str, Any]) -> None:
    assert parser.parse(json.dumps(other).encode(), RECEIVED) == []


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (
            {"method": "subscribe", "success": False, "error": "Currency pair not supported X/Y"},
            "Currency pair not supported X/Y",
        ),
        ({"error": "Exceeded msg rate", "success": False}, "Exceeded msg rate"),
        ([320, [["5541.20000", "0.15850568"]], "trade", "XBT/USD"], "WebSocket v1"),
        ({"event": "systemStatus", "status": "online", "version": "1.8.3"}, "WebSocket v1"),
        ({"feed": "trade", "product_id": "PF_XBTUSD", "price": 65368.0}, "Kraken's futures"),
    ],
)
def test_refusals_and_former_formats_end_the_connection(
    parser: KrakenParser, refusal: object, reason: str
) -> None:
    with pytest.raises(ConnectorError, match=reason):
        parser.parse(json.dumps(refusal).encode(), RECEIVED)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff",
        b"{}",
        b"1" * 5_000,
        b"[" * 100_000,
        b'{"channel":"news"}',
        b'{"channel":"trade","type":"update","data":[{"price":NaN}]}',
        trades(1).replace(b"105944.20", b"-1"),
        trades(1).replace(b"105944.20", b"true"),
        trades(1, side="up"),
        trades(1).replace(b"2023-", b"1969-"),
        book("update").replace(b'"checksum":3310070434', b'"checksum":"x"'),
        b'{"channel":"book","type":"update","data":[]}',
    ],
)
def test_a_frame_that_cannot_be_read_is_kept_as_it_came(parser: KrakenParser, bad: bytes) -> None:
    [event] = parser.parse(bad, RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert event.frame == bad
