"""Whatever a venue sends, a parser answers with events that survive the codec."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors import FEEDS
from streams.connectors.base import ConnectorError, Request
from streams.connectors.prices import PriceConnector
from streams.events import decode, encode
from streams.events.types import EARLIEST_TIME

REAL: list[dict[str, Any]] = [
    {"type": "match", "trade_id": 280232, "side": "sell", "size": "985", "price": "0.00001305"}
    | {"product_id": "SKL-BTC", "sequence": 177100030, "time": "2021-04-17T16:43:37.089723Z"},
    {"type": "ticker", "sequence": 333938798, "product_id": "BAND-GBP", "best_bid": "14.7550"}
    | {"best_ask": "14.8060", "best_bid_size": "1", "time": "2021-04-17T16:43:30.244075Z"},
    {"type": "heartbeat", "product_id": "SKL-BTC", "last_trade_id": 280300, "sequence": 1},
    {"type": "error", "message": "Failed to subscribe", "reason": "no such product"},
    {"e": "trade", "s": "BTCUSDT", "t": 3735683259, "p": "61837.63", "q": "0.02", "m": True}
    | {"T": 1723161255342},
    {"e": "aggTrade", "s": "BNBBTC", "a": 12345, "p": "0.001", "q": "100", "m": False}
    | {"T": 1672515782136},
    {"u": 50093239212, "s": "BTCUSDT", "b": "61837.63", "B": "3.7", "a": "61837.64", "A": "1.5"},
    {"stream": "btcusdt@trade", "data": {"e": "trade"}},
    {"error": {"code": 2, "msg": "Invalid request"}, "id": 1},
    {"channel": "trade", "type": "update", "data": [{"symbol": "BTC/USD", "side": "buy"}]},
    {"symbol": "BTC/USD", "side": "buy", "price": 105944.2, "qty": 0.5, "trade_id": 7}
    | {"timestamp": "2023-10-06T17:35:55.440295Z"},
    {"channel": "book", "type": "snapshot", "data": [{"symbol": "BTC/USD", "bids": []}]},
    {"symbol": "BTC/USD", "bids": [{"price": 1.5, "qty": 2}], "asks": [], "checksum": 5},
    {"method": "subscribe", "success": False, "error": "Currency pair not supported"},
    {"channel": "market_trades", "sequence_num": 5, "events": [{"trades": []}]},
    {"channel": "ticker", "sequence_num": 6, "timestamp": "2026-04-07T14:30:02.789012Z"}
    | {"events": [{"tickers": [{"product_id": "BTC-USD", "best_bid": "1", "best_ask": "2"}]}]},
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63 - 3, 2**63 + 1)
    | st.floats()
    | st.text()
    | st.decimals().map(str)
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | st.sampled_from([kind for frame in REAL for kind in frame.values() if kind.__hash__])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(sorted(set().union(*REAL))), inner)
    ),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real frame with fields replaced, removed or added, perhaps wrapped, perhaps damaged."""
    frame = dict(draw(st.sampled_from(REAL)))
    for name in draw(st.lists(st.sampled_from(sorted(frame)), max_size=2, unique=True)):
        if draw(st.booleans()):
            frame[name] = draw(json_values)
        else:
            del frame[name]
    match draw(st.sampled_from(["bare", "binance", "kraken", "advanced"])):
        case "binance":
            frame = {"stream": "s", "data": frame}
        case "kraken":
            frame = {"channel": draw(st.sampled_from(["book", "trade"])), "type": "snapshot"} | {
                "data": [frame]
            }
        case "advanced":
            frame = {"channel": "market_trades", "sequence_num": 0} | {
                "events": [{"trades": [frame]}]
            }
    data = json.dumps(frame).encode()
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=3)) + data[place + draw(st.integers(0, 3)) :]
    return data


PRICE_FEEDS = sorted(name for name, kind in FEEDS.items() if issubclass(kind, PriceConnector))
frames = st.binary() | json_values.map(lambda value: json.dumps(value).encode()) | mutated()


#: A gap of each feed, by two trades, and what it then asks for.
GAPS = {
    "binance": [{**REAL[5], "e": "aggTrade", "a": number} for number in (5, 9)],
    "coinbase": [{**REAL[0], "trade_id": number} for number in (5, 9)],
    "coinbase-advanced": [
        {"channel": "market_trades", "sequence_num": number}
        | {"events": [{"trades": [{**REAL[0], "trade_id": str(number)}]}]}
        for number in (5, 9)
    ],
    "kraken": [
        {"channel": "trade", "data": [{**REAL[10], "trade_id": number}]} for number in (5, 9)
    ],
}


@pytest.mark.parametrize("venue", PRICE_FEEDS)
@given(sent=st.lists(frames, min_size=1, max_size=4))
def test_any_frames_give_events_that_encode_and_decode_to_themselves(
    venue: str, sent: list[bytes]
) -> None:
    parser = FEEDS[venue].recorded("").parser("c1", EARLIEST_TIME)
    for data in sent:
        try:
            events = parser.parse(data, EARLIEST_TIME)
        except ConnectorError:
            continue
        for event in events:
            record = encode(event)
            assert decode(record.value, record.headers) == event
    assert parser.arrivals == len(sent)


@pytest.mark.parametrize("venue", sorted(GAPS))
@given(
    reply=frames | st.lists(mutated(), max_size=3).map(lambda some: b"[" + b",".join(some) + b"]")
)
def test_any_reply_gives_events_that_encode_and_decode_to_themselves(
    venue: str, reply: bytes
) -> None:
    connector = FEEDS[venue].recorded("")
    for number, gap in enumerate(GAPS[venue]):
        parser = connector.parser(f"c{number}", EARLIEST_TIME)
        parser.parse(json.dumps(gap).encode(), EARLIEST_TIME)
    [request] = [what for what in parser.outgoing() if isinstance(what, Request)]
    for event in parser.parse(reply, EARLIEST_TIME, request):
        record = encode(event)
        assert decode(record.value, record.headers) == event
