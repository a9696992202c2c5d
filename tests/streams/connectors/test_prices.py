"""Missed trades are named once, asked for once, and told by whatever replies come."""

from collections.abc import Iterator
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams.connectors import FEEDS
from streams.connectors.base import ConnectorError, Request
from streams.connectors.binance import BinanceConnector
from streams.connectors.coinbase import CoinbaseConnector, SimulatedConnector
from streams.connectors.coinbase_advanced import AdvancedConnector
from streams.connectors.kraken import KrakenConnector
from streams.connectors.missed import Missed, Told, TradeNumbers
from streams.connectors.prices import PriceConnector, PriceParser
from streams.events import Event, PriceGap, PriceTrade, PriceUnparsed
from streams.settings import Settings

RECEIVED = 1_618_677_817_129_516


def match(number: int, kind: str = "match") -> bytes:
    return orjson.dumps(
        {
            "type": kind,
            "trade_id": number,
            "side": "sell",
            "size": "1.5",
            "price": f"{number}.25",
            "product_id": "BTC-USD",
            "sequence": number * 10,
            "time": "2021-04-17T16:43:37.089723Z",
        }
    )


def reply(numbers: Iterator[int] | range) -> bytes:
    """The trades of these numbers by REST, newest first."""
    items = [orjson.loads(match(number)) for number in sorted(numbers, reverse=True)]
    return orjson.dumps(items)


def answer(request: Request, known: set[int]) -> bytes:
    query = dict(request.query)
    after = int(query["after"])
    older = sorted(number for number in known if number < after)
    return reply(iter(older[-int(query["limit"]) :]))


def requests(parser: PriceParser) -> list[Request]:
    return [what for what in parser.outgoing() if isinstance(what, Request)]


def numbers(events: list[Event]) -> list[int]:
    return [int(event.trade_id) for event in events if isinstance(event, PriceTrade)]


def missed(events: list[Event]) -> list[int]:
    gaps = [event for event in events if isinstance(event, PriceGap)]
    return [number for gap in gaps for number in range(gap.expected, gap.got)]


@given(arrivals=st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_in_any_order_of_frames_and_replies_every_number_is_told_and_gaps_name_each_once(
    arrivals: list[int],
) -> None:
    connector = CoinbaseConnector()
    parser = connector.parser("c0", RECEIVED)
    waiting: list[Request] = []
    events: list[Event] = []
    for count, number in enumerate(arrivals):
        if count % 7 == 6:  # connections end at any time, and with them what was asked
            parser, waiting = connector.parser(f"c{count}", RECEIVED), []
        events += parser.parse(match(number), RECEIVED)
        waiting += requests(parser)
        if waiting and number % 3:
            request = waiting.pop(number % len(waiting))
            events += parser.parse(answer(request, set(range(1, 61))), RECEIVED, request)
            waiting += requests(parser)
    while waiting:
        request = waiting.pop()
        events += parser.parse(answer(request, set(range(1, 61))), RECEIVED, request)
        waiting += requests(parser)
    first, last = arrivals[0], max(arrivals)
    assert set(range(first, last + 1)) <= set(numbers(events))
    named = missed(events)
    assert len(named) == len(set(named))
    assert not [event for event in events if isinstance(event, PriceUnparsed)]


@given(st.lists(st.integers(0, 30), min_size=1), st.integers(0, 30))
def test_numbers_are_missed_exactly_between_the_highest_and_the_next(
    arrived: list[int], beat: int
) -> None:
    trades = TradeNumbers()
    named: list[int] = []
    for number in arrived:
        skipped = trades.arrived("s", number)
        named += range(*skipped) if skipped else ()
    skipped = trades.exist("s", beat)
    named += range(*skipped) if skipped else ()
    first, highest = arrived[0], max(*arrived, beat)
    seen_in_turn = {n for i, n in enumerate(arrived) if n >= max(arrived[: i + 1])}
    assert sorted(named) == sorted(set(range(first, highest + 1)) - seen_in_turn)


def test_a_reply_tells_only_what_was_missed_and_without_its_sequence() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    parser.parse(match(4), RECEIVED)
    parser.parse(match(7), RECEIVED)
    [request] = requests(parser)
    assert str(request) == "/products/BTC-USD/trades?limit=2&after=7"
    events = parser.parse(reply(range(1, 10)), RECEIVED + 5, request)
    assert numbers(events) == [5, 6]
    [live] = CoinbaseConnector().parser("c2", RECEIVED).parse(match(5), RECEIVED + 5)
    assert isinstance(live, PriceTrade)
    assert events[0] == live.model_copy(update={"sequence": None})


def test_pages_follow_from_the_oldest_until_all_is_told() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    parser.parse(match(2_503), RECEIVED)
    found: list[int] = []
    asked = requests(parser)
    count = 0
    while asked:
        [request] = asked
        found += numbers(parser.parse(answer(request, set(range(1, 2_600))), RECEIVED, request))
        asked = requests(parser)
        count += 1
    assert (found, count) == (list(range(2, 2_503)), 3)


def test_ten_thousand_are_asked_for_and_no_more() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    assert missed(parser.parse(match(10_002), RECEIVED)) == list(range(2, 10_002))
    assert len(requests(parser)) == 1
    with capture_logs() as logs:
        assert missed(parser.parse(match(20_004), RECEIVED)) == list(range(10_003, 20_004))
    assert requests(parser) == []
    assert [entry["event"] for entry in logs] == ["trades not recovered"]


def test_what_a_connection_asked_and_was_not_told_the_next_asks_again() -> None:
    connector = CoinbaseConnector()
    parser = connector.parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    parser.parse(match(3), RECEIVED)
    [request] = requests(parser)
    later = connector.parser("c2", RECEIVED)
    assert requests(later) == [request]
    assert numbers(later.parse(reply(range(2, 3)), RECEIVED, request)) == [2]
    assert requests(connector.parser("c3", RECEIVED)) == []


def test_a_refusal_is_logged_and_leaves_the_gap() -> None:
    connector = CoinbaseConnector()
    parser = connector.parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    parser.parse(match(3), RECEIVED)
    [request] = requests(parser)
    with capture_logs() as logs:
        parser.refused(request, ConnectorError("status 403"))
    assert [(entry["first"], entry["count"], entry["reason"]) for entry in logs] == [
        (2, 1, "status 403")
    ]
    assert requests(connector.parser("c2", RECEIVED)) == []


def test_a_reply_that_lacks_some_says_how_many() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    parser.parse(match(6), RECEIVED)
    [request] = requests(parser)
    with capture_logs() as logs:
        assert numbers(parser.parse(reply(iter([2, 4])), RECEIVED, request)) == [2, 4]
        [following] = requests(parser)
        assert parser.parse(b"[]", RECEIVED, following) == []
    assert ["did not give 1 of them" in entry["reason"] for entry in logs] == [True, True]
    assert requests(parser) == []


def test_a_reply_to_what_was_not_asked_is_kept() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    [event] = parser.parse(b"[]", RECEIVED, Request("/products/BTC-USD/trades"))
    assert isinstance(event, PriceUnparsed)
    assert "what was not asked" in event.error


def test_a_symbol_that_is_none_never_gets_into_a_request() -> None:
    parser = CoinbaseConnector().parser("c1", RECEIVED)
    beat = {"type": "heartbeat", "product_id": "../orders", "last_trade_id": 5}
    parser.parse(orjson.dumps(beat), RECEIVED)
    [event] = parser.parse(orjson.dumps({**beat, "last_trade_id": 9}), RECEIVED)
    assert isinstance(event, PriceUnparsed)
    assert requests(parser) == []


def test_a_venue_without_a_rest_api_is_asked_nothing() -> None:
    parser = SimulatedConnector().parser("c1", RECEIVED)
    parser.parse(match(1), RECEIVED)
    assert missed(parser.parse(match(3), RECEIVED)) == [2]
    assert requests(parser) == []


@pytest.mark.parametrize(
    ("feed", "kind"),
    [
        ("binance", BinanceConnector),
        ("binance-us", BinanceConnector),
        ("coinbase", CoinbaseConnector),
        ("coinbase-advanced", AdvancedConnector),
        ("kraken", KrakenConnector),
    ],
)
def test_addresses_and_symbols_are_set_by_feed(feed: str, kind: type[PriceConnector]) -> None:
    own = FEEDS[feed].live(Settings())
    assert isinstance(own, kind)
    assert own.url.startswith("wss://")
    assert str(own.rest_url).startswith("https://")
    settings = Settings(
        websocket_urls={feed: "ws://there:1", "other": "ws://no"},
        rest_urls={feed: "http://there:2"},
        symbols=("SOL-USD",),
    )
    set_by_them = FEEDS[feed].live(settings)
    assert isinstance(set_by_them, kind)
    assert (set_by_them.url, set_by_them.rest_url) == ("ws://there:1", "http://there:2")
    assert set_by_them.symbols == ("SOL-USD",)
    assert set_by_them.lease() != own.lease()


def test_venues_are_kept_apart() -> None:
    feeds = ("binance", "binance-us", "coinbase", "coinbase-advanced", "kraken")
    assert len({FEEDS[feed].recorded("").venue for feed in feeds}) == len(feeds)


@given(
    st.dictionaries(st.integers(0, 60), st.integers(0, 1000)),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 1000))),
)
def test_the_log_says_missing_what_a_gap_named_and_no_trade_is_of(
    trades: dict[int, int], gaps: list[tuple[int, int, int]]
) -> None:
    told = Told()
    for number, time in trades.items():
        told.trade("BTC-USD", number, time)
    for first, count, since in gaps:
        told.gap(Missed("BTC-USD", first, first + count, since))
    missing = told.missing()
    named = {number for first, count, _ in gaps for number in range(first, first + count)}
    numbers = [number for one in missing for number in range(one.first, one.end)]
    assert numbers == sorted(named - trades.keys())
    for one, after in pairwise(missing):
        assert one.end < after.first
    for one in missing:
        before = max((number for number in trades if number < one.first), default=None)
        if before is not None:
            assert one.since == trades[before]
        else:
            assert one.since in {since for _, _, since in gaps}
            for first, count, since in gaps:
                if first < one.end and one.first < first + count:
                    assert one.since <= since
    assert told.newest() == ({"BTC-USD": max(trades.values())} if trades else {})
