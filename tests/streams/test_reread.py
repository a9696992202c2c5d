"""A frame that could not be read is read again by itself, and says what a live one would."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.backoff import Backoff
from streams.connectors import recorded
from streams.connectors.base import LARGEST_KEPT_FRAME, Frame, Request, parse
from streams.connectors.runner import Parsed, Teller
from streams.events import (
    AccountUnparsed,
    BookDelta,
    BookSnapshot,
    Event,
    LifecycleUnparsed,
    MarketDescribed,
    MarketDetermined,
    MarketGap,
    MarketUnparsed,
    PriceGap,
    PriceTrade,
    PriceUnparsed,
    Unparsed,
    encode,
)
from streams.heartbeat import Pulse
from streams.replay import parsed
from streams.reread import reread
from tests.strategies import identifiers
from tests.streams.connectors.kalshi.said import FILL, TICKER, frame
from tests.streams.connectors.test_binance import AGGREGATE as BINANCE_TRADE
from tests.streams.unread import ACCOUNT, BOOK, BOOKS, MARKET, RECEIVED, kept, lifecycle, match

# Whose frame it was


def test_a_frame_that_a_replay_cannot_read_names_its_feed() -> None:
    frames = [Frame(RECEIVED, feed, "c1", b"garbage") for feed in ("coinbase", ACCOUNT)]
    events = [event for one in parsed(frames) for event in one.events]
    assert [event.feed for event in events if isinstance(event, Unparsed)] == ["coinbase", ACCOUNT]


async def test_a_frame_that_a_live_feed_cannot_read_names_its_feed() -> None:
    told: list[Event] = []

    async def handle(one: Parsed) -> None:
        told.extend(one.events)

    parser = recorded(MARKET).parser("c1", RECEIVED)
    pulse, logger = Pulse("producer/test", RECEIVED), structlog.get_logger()
    teller = Teller(MARKET, parser, handle, pulse, Backoff(), logger, as_records=True)
    await teller.frame(b"garbage")
    assert [event.feed for event in told if isinstance(event, Unparsed)] == [MARKET]


def test_a_reply_that_cannot_be_read_names_none() -> None:
    parser = recorded(ACCOUNT).parser("c1", RECEIVED)
    request = Request.of("/portfolio/fills?limit=200")
    [event] = parse(parser, Frame(RECEIVED, ACCOUNT, "c1", b"garbage", request))
    assert isinstance(event, AccountUnparsed)
    assert event.feed is None


def test_an_event_of_before_has_no_feed() -> None:
    event = kept(PriceUnparsed, None, b"x")
    before = event.model_dump_json(exclude={"feed"}).encode()
    assert PriceUnparsed.model_validate_json(before) == event


# Reading again

_numbers = st.lists(st.integers(1, 10**9), min_size=1, max_size=8, unique=True)
_counts = st.integers(1, 10**7).map(lambda hundredths: str(Decimal(hundredths).scaleb(-2)))
_prices = st.integers(1, 9999).map(lambda digits: str(Decimal(digits).scaleb(-4)))
_sides = st.sampled_from(["yes", "no"])


@st.composite
def spot_frames(draw: st.DrawFn) -> tuple[str, type[Unparsed], list[bytes]]:
    side, price = draw(st.sampled_from(["buy", "sell"])), draw(_prices)
    numbers = draw(_numbers)
    if draw(st.booleans()):
        return "coinbase", PriceUnparsed, [match(n, side=side, price=price) for n in numbers]
    trades = [json.dumps({**BINANCE_TRADE, "a": n, "p": price}).encode() for n in numbers]
    return "binance", PriceUnparsed, trades


@st.composite
def market_frames(draw: st.DrawFn) -> tuple[str, type[Unparsed], list[bytes]]:
    frames = [
        frame(
            "trade",
            {
                "trade_id": trade_id,
                "market_ticker": TICKER,
                "yes_price_dollars": draw(_prices),
                "count_fp": draw(_counts),
                "taker_side": draw(_sides),
                "ts": 1_754_578_138,
            },
        )
        for trade_id in draw(st.lists(identifiers, min_size=1, max_size=8, unique=True))
    ]
    return MARKET, MarketUnparsed, frames


@st.composite
def account_frames(draw: st.DrawFn) -> tuple[str, type[Unparsed], list[bytes]]:
    fills = [
        {**FILL, "trade_id": one, "count_fp": draw(_counts), "subaccount": draw(st.integers(0, 9))}
        for one in draw(st.lists(identifiers, min_size=1, max_size=8, unique=True))
    ]
    return ACCOUNT, AccountUnparsed, [frame("fill", fill) for fill in fills]


@given(spot_frames() | market_frames() | account_frames())
def test_a_frame_says_again_what_its_feed_s_parser_reads(
    said: tuple[str, type[Unparsed], list[bytes]],
) -> None:
    feed, model, frames = said
    parser = recorded(feed).parser("c1", RECEIVED)
    for arrival, data in enumerate(frames):
        live = parse(parser, Frame(RECEIVED, feed, "c1", data))
        facts = [event for event in live if not isinstance(event, PriceGap)]
        again = reread(kept(model, feed, data, arrival=arrival))
        assert (again.outcome, again.events) == ("read", facts)
        assert facts
        assert list(map(encode, again.events)) == list(map(encode, facts))


def test_what_became_of_a_market_is_told_though_nothing_says_that_it_was_followed() -> None:
    [created] = reread(kept(LifecycleUnparsed, MARKET, lifecycle("created"))).events
    assert isinstance(created, MarketDescribed)
    done = lifecycle("determined", result="yes", determination_ts=1_754_578_900)
    [determined] = reread(kept(MarketUnparsed, MARKET, done)).events
    assert isinstance(determined, MarketDetermined)


def test_gaps_that_only_a_fresh_parser_sees_are_not_told() -> None:
    kraken = {
        "channel": "trade",
        "type": "snapshot",
        "data": [
            {
                "symbol": "BTC/USD",
                "side": "buy",
                "price": 60000.1,
                "qty": 0.5,
                "trade_id": number,
                "timestamp": "2026-09-21T10:13:20.000001Z",
            }
            for number in (4, 9)
        ],
    }
    data = json.dumps(kraken).encode()
    assert any(
        isinstance(event, PriceGap)
        for event in recorded("kraken").parser("c1", RECEIVED).parse(data, RECEIVED)
    )
    again = reread(kept(PriceUnparsed, "kraken", data))
    assert [type(event) for event in again.events] == [PriceTrade, PriceTrade]


@given(st.permutations(["snapshot", "delta", "lifecycle", "garbage"]))
def test_nothing_is_ever_told_of_a_book(order: list[str]) -> None:
    frames = {
        "snapshot": frame("orderbook_snapshot", BOOK, seq=3),
        "delta": frame("orderbook_delta", {"market_ticker": TICKER, "side": "yes"}, seq=4),
        "lifecycle": lifecycle("created"),
        "garbage": b"\xff",
    }
    kraken = reread(kept(PriceUnparsed, "kraken", b'{"channel":"book","type":"update"}'))
    assert (kraken.outcome, kraken.events) == ("left", [])
    for feed in (BOOKS, MARKET, ACCOUNT):
        for name in order:
            again = reread(kept(MarketUnparsed, feed, frames[name]))
            assert not any(
                isinstance(event, BookDelta | BookSnapshot | MarketGap) for event in again.events
            )
            if feed == BOOKS:
                assert (again.outcome, again.events) == ("left", [])
                assert "out of its place" in again.reason


@pytest.mark.parametrize(
    ("event", "outcome", "reason"),
    [
        (kept(PriceUnparsed, "coinbase", b"garbage"), "unread", "not JSON"),
        (kept(PriceUnparsed, None, match(1)), "left", "no feed is named"),
        (kept(PriceUnparsed, "bitmex", match(1)), "unread", "this program has no feed 'bitmex'"),
        (kept(AccountUnparsed, "kalshi-account@me", match(1)), "unread", "has no feed"),
        (
            kept(PriceUnparsed, "coinbase", match(1) + b" " * LARGEST_KEPT_FRAME),
            "unread",
            "only the beginning",
        ),
        (
            kept(PriceUnparsed, "coinbase", b'{"type":"error","message":"no"}'),
            "unread",
            "the venue refused something",
        ),
        (kept(PriceUnparsed, "coinbase", b'{"type":"subscriptions"}'), "read", ""),
    ],
)
def test_what_says_no_fact_says_why(event: Unparsed, outcome: str, reason: str) -> None:
    again = reread(event)
    assert (again.outcome, again.events) == (outcome, [])
    assert reason in again.reason
    assert bool(again.reason) == bool(reason)


def test_an_error_that_only_looks_like_that_of_a_cut_frame_is_none() -> None:
    event = kept(PriceUnparsed, "coinbase", match(1), "the first 1 of 2 bytes are kept)")
    assert len(reread(event).events) == 1


def test_a_frame_of_the_greatest_length_that_is_kept_whole_is_read() -> None:
    data = match(1).ljust(LARGEST_KEPT_FRAME)
    assert len(reread(kept(PriceUnparsed, "coinbase", data)).events) == 1


_names = st.sampled_from(
    ["type", "channel", "method", "sid", "seq", "msg", "data", "result", "events", "e", "id", "s"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["ok", "trade", "book", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_frames = st.binary(max_size=200) | st.dictionaries(_names, _json, min_size=1, max_size=5).map(
    lambda frame: json.dumps(frame).encode()
)
_FEEDS = [*("coinbase", "coinbase-advanced", "kraken", "binance"), MARKET, ACCOUNT, BOOKS]


@given(_frames, st.sampled_from(_FEEDS))
@example(b'{"type":"ok","sid":[]}', MARKET)
@example(b'{"method":{}}', "kraken")
@settings(max_examples=500)
def test_any_frame_is_read_or_says_why_not(data: bytes, feed: str) -> None:
    again = reread(kept(PriceUnparsed, feed, data))
    assert again.outcome == "read" or again.reason
    assert "the parser failed" not in again.reason
