"""`tape dlq`: dead letters are listed, and frames that can be read by now say what they held."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from projections import PROJECTIONS
from streams.connectors import recorded
from streams.connectors.base import LARGEST_KEPT_FRAME, Frame, Request, parse, unparsed
from streams.connectors.runner import Backoff, Parsed, Teller
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
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
    decode,
    encode,
)
from streams.heartbeat import Pulse
from streams.producer import Producer
from streams.replay import parsed
from streams.reread import reread
from streams.settings import Endpoints
from streams.topics import record_counts
from streams.tracing import traceparent
from tests.strategies import identifiers
from tests.streams.connectors.kalshi.said import FILL, TICKER, frame
from tests.streams.connectors.test_binance import AGGREGATE as BINANCE_TRADE
from tests.streams.tape import Tape, records_of

OWNER = "kalshi/prod/main"
ACCOUNT, MARKET, BOOKS = (f"kalshi-{name}@{OWNER}" for name in ("account", "market", "books"))
#: 2026-09-21, in microseconds.
RECEIVED = 1_790_000_000_123_456
_TOPICS = sorted({topic for projection in PROJECTIONS.values() for topic in projection.topics})


def match(number: int, **changes: Any) -> bytes:
    """A frame of Coinbase with one trade."""
    fields = {
        "type": "match",
        "trade_id": number,
        "side": "sell",
        "size": "1",
        "price": "60000.01",
        "product_id": "BTC-USD",
        "sequence": number,
        "time": "2026-09-21T10:13:20.000001Z",
    }
    return json.dumps({**fields, **changes}).encode()


def kept(
    model: type[Unparsed],
    feed: str | None,
    data: bytes,
    error: str = "an older parser",
    **more: Any,
) -> Unparsed:
    """The event of a frame that an older parser could not read."""
    where: dict[str, Any] = {"connection": "c1", "arrival": 7, **more}
    event = unparsed(
        model, "coinbase", where["connection"], where["arrival"], data, error, RECEIVED
    )
    return event.model_copy(update={"feed": feed})


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


def lifecycle(event_type: str, **fields: Any) -> bytes:
    msg = {"market_ticker": TICKER, "event_type": event_type, **fields}
    return frame("market_lifecycle_v2", msg)


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


_book = {"market_ticker": TICKER, "yes_dollars_fp": [["0.4000", "300.00"]], "no_dollars_fp": []}


@given(st.permutations(["snapshot", "delta", "lifecycle", "garbage"]))
def test_nothing_is_ever_told_of_a_book(order: list[str]) -> None:
    frames = {
        "snapshot": frame("orderbook_snapshot", _book, seq=3),
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


# Through Kafka and PostgreSQL


class System:
    """A stack of the tests' own, with a worker of all projections."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.tape = Tape(TAPE_HOME=str(home.path))
        self.info: StackInfo = embedded.start(home.path)
        self.endpoints = Endpoints(self.info.brokers, {}, self.info.dsn, True, True)
        self.tape.output("topics", "create")
        self.tape.output("db", "migrate")
        self.worker = self.tape.start("worker")

    def stop(self) -> None:
        self.worker.terminate()
        self.worker.communicate(timeout=30)

    def project(self, *events: Event) -> None:
        """Send, and wait until it was projected."""

        async def send() -> None:
            async with Producer(self.endpoints) as producer:
                for event in events:
                    await producer.send(event)
                await producer.flush()

        asyncio.run(send())
        self.wait()

    def wait(self) -> None:
        """Until all that there is was projected."""
        query = "select topic, sum(next_offset)::bigint from checkpoints group by topic"
        deadline = time.monotonic() + 90
        while dict(self.query(query)) != record_counts(self.endpoints, _TOPICS):
            assert time.monotonic() < deadline, "the worker does not get through"
            time.sleep(0.05)

    def query(self, statement: str, *values: object) -> list[Any]:
        with psycopg.connect(self.info.dsn, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def records(self, topic: str) -> int:
        """How many are in the topic."""
        return record_counts(self.endpoints, [topic])[topic]

    def listed(self, error: str, *words: object) -> list[dict[str, Any]]:
        found = json.loads(self.tape.output("dlq", "list", "--error", error, *words, "--json"))
        letters: list[dict[str, Any]] = found["dead_letters"]
        return letters

    def retry(self, error: str) -> tuple[int, dict[str, Any]]:
        """The exit status, and what was printed for programs."""
        status, output, errors = self.tape.run("dlq", "retry", "--error", error, "--json")
        assert "Traceback" not in errors
        told: dict[str, Any] = json.loads(output)
        self.wait()
        return status, told


@pytest.fixture(scope="module")
def system(module_home: Home) -> Iterator[System]:
    made = System(module_home)
    yield made
    made.stop()


@pytest.fixture
def error() -> str:
    """The reason of a test's own dead letters, by which they are told from the others."""
    return f"an older parser {secrets.token_hex(4)}"


def places(letters: Sequence[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    return [(one["topic"], one["what"], one["done"] is not None) for one in letters]


def test_a_frame_that_can_be_read_by_now_is_projected_once(system: System, error: str) -> None:
    system.project(kept(PriceUnparsed, "coinbase", match(101), error))
    assert places(system.listed(error)) == [("price.ticks", "frame", False)]
    before = system.records("price.ticks")

    status, told = system.retry(error)
    assert (status, told["read"], told["events"], told["unread"]) == (0, 1, 1, {})
    assert system.query("select price from price_history where trade_id = '101'") == [
        (Decimal("60000.01"),)
    ]
    assert system.records("price.ticks") == before + 1
    assert asyncio.run(traces(system, "coinbase:BTC-USD", "101")) == [traceparent("c1", 7)]
    assert system.listed(error) == []
    assert places(system.listed(error, "--all")) == [("price.ticks", "frame", True)]

    status, told = system.retry(error)
    assert (status, told["frames"], told["events"]) == (0, 0, 0)
    assert system.records("price.ticks") == before + 1


async def traces(system: System, key: str, trade_id: str) -> list[str]:
    """The traceparent of each record of a trade."""
    found = await records_of(system.info.brokers, "price.ticks", key)
    events = [(decode(one.value, one.headers), dict(one.headers)) for one in found]
    return [
        headers["traceparent"].decode()
        for event, headers in events
        if isinstance(event, PriceTrade) and event.trade_id == trade_id
    ]


def test_what_is_told_twice_is_in_the_tables_once(system: System, error: str) -> None:
    event = frame("fill", {**FILL, "trade_id": error.replace(" ", "-")})
    system.project(kept(AccountUnparsed, ACCOUNT, event, error))
    for _ in range(2):
        assert system.retry(error)[1]["events"] == 1
        assert len(fills(system, error)) == 1
        done = "update dead_letters set done = null where strpos(error, %s) > 0 returning error"
        assert len(system.query(done, error)) == 1
    assert system.query("select count(*) from account_conflicts") == [(0,)]


def fills(system: System, error: str) -> list[Any]:
    query = "select account, trade_id from fills where trade_id = %s order by account"
    return system.query(query, error.replace(" ", "-"))


def test_a_fill_is_of_the_account_whose_feed_it_came_by(system: System, error: str) -> None:
    trade_id = error.replace(" ", "-")
    frames = [
        kept(AccountUnparsed, f"kalshi-account@kalshi/{who}", data, error, connection=who)
        for who, data in (
            ("prod/main", frame("fill", {**FILL, "trade_id": trade_id})),
            ("demo/other", frame("fill", {**FILL, "trade_id": trade_id, "subaccount": 3})),
        )
    ]
    system.project(*frames)
    assert system.retry(error)[1]["events"] == 2
    assert fills(system, error) == [
        ("kalshi/demo/other/3", trade_id),
        ("kalshi/prod/main/0", trade_id),
    ]


def test_a_retry_that_is_killed_before_it_marks_what_it_told_tells_it_again(
    system: System, error: str
) -> None:
    system.project(kept(PriceUnparsed, "coinbase", match(202, product_id="ETH-USD"), error))
    before = system.records("price.ticks")
    with psycopg.connect(system.info.dsn) as holder:
        holder.execute("select from dead_letters where strpos(error, %s) > 0 for update", [error])
        process = system.tape.start("dlq", "retry", "--error", error)
        wait_until_it_waits(system, process)
        assert system.records("price.ticks") == before + 1
        process.kill()
        process.communicate(timeout=30)
        end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
        assert system.query(end, "tickertape dlq retry") == [(True,)]  # else it would go on
    assert places(system.listed(error)) == [("price.ticks", "frame", False)]

    assert system.retry(error)[0] == 0
    assert system.records("price.ticks") == before + 2
    query = "select trade_id from price_history where symbol = 'ETH-USD'"
    assert system.query(query) == [("202",)]
    assert system.listed(error) == []


def wait_until_it_waits(system: System, process: subprocess.Popen[str]) -> None:
    """Until a retry waits for a lock."""
    query = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'tickertape dlq retry' and wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 60
    while system.query(query) != [(1,)]:
        assert process.poll() is None
        assert time.monotonic() < deadline, "it does not come to mark anything"
        time.sleep(0.05)


def test_what_still_cannot_be_read_stays_listed(system: System, error: str) -> None:
    long = match(1).ljust(LARGEST_KEPT_FRAME + 1)
    system.project(
        kept(PriceUnparsed, "coinbase", b"garbage", error, arrival=1),
        kept(PriceUnparsed, "coinbase", match(303), error, arrival=2),
        kept(PriceUnparsed, "coinbase", long, error, arrival=3),
    )
    for frames, read in ((3, 1), (2, 0)):
        status, told = system.retry(error)
        assert (status, told["frames"], told["read"]) == (1, frames, read)
        (cut, one), (garbage, other) = sorted(told["unread"].items(), reverse=True)
        assert (one, other) == (1, 1)
        assert cut == "only the beginning of the frame was kept"
        assert garbage.startswith("not JSON")
    assert len(system.listed(error)) == 2


def test_books_and_replies_are_left_without_a_fault(system: System, error: str) -> None:
    system.project(
        kept(MarketUnparsed, BOOKS, frame("orderbook_snapshot", _book, seq=1), error, arrival=1),
        kept(AccountUnparsed, None, b"{}", error, connection="c1/4", arrival=2),
    )
    books = system.query("select count(*) from market_book")
    status, told = system.retry(error)
    assert (status, told["read"], sorted(told["left"].values())) == (0, 0, [1, 1])
    assert system.query("select count(*) from market_book") == books
    assert len(system.listed(error)) == 2


def insert(system: System, error: str, events: Sequence[Event]) -> None:
    """Dead letters as of a projection that there is not."""
    query = """
        insert into dead_letters
            (projection, topic, topic_id, partition, "offset", headers, value, error, appended)
        values ('other', 'own', %s, 0, %s, %s, %s, %s, now())
    """
    topic_id = f"00000000-0000-0000-0000-{secrets.token_hex(6)}"
    with psycopg.connect(system.info.dsn) as connection:
        for offset, event in enumerate(events):
            record = encode(event)
            headers = [{"name": one, "value": value.decode()} for one, value in record.headers]
            values = [topic_id, offset, json.dumps(headers), record.value, error]
            connection.execute(query, values)


def test_more_frames_than_a_page_are_all_read(system: System, error: str) -> None:
    frames = [
        kept(MarketUnparsed, MARKET, trade_frame(f"page-{number}"), arrival=number)
        if number % 4
        else kept(PriceUnparsed, "coinbase", b"garbage", arrival=number)
        for number in range(250)
    ]
    insert(system, error, frames)
    status, told = system.retry(error)
    assert (status, told["frames"], told["read"]) == (1, 250, 187)
    found = system.query("select count(*) from market_trades where trade_id like 'page-%%'")
    assert found == [(187,)]
    assert len(system.listed(error, "--limit", 1000)) == 63


def test_nothing_is_done_before_the_broker_has_it(system: System, error: str) -> None:
    """The first page is held at its end, so that the broker can be stopped before the second."""
    frames = [
        kept(MarketUnparsed, MARKET, trade_frame(f"held-{number}"), arrival=number)
        for number in range(101)
    ]
    insert(system, error, frames)
    count = "select count(*) from dead_letters where strpos(error, %s) > 0 and done is not null"
    read = (
        "select count(*) from pg_stat_activity where application_name = 'tickertape dlq retry' "
        "and state = 'idle' and query not like '%%count%%'"
    )
    [broker] = [one.pid for one in embedded.status(system.home.path) if one.name == "kafka"]
    assert broker is not None
    with psycopg.connect(system.info.dsn) as holder:
        holder.execute("select from dead_letters where strpos(error, %s) > 0 for update", [error])
        process = system.tape.start("dlq", "retry", "--error", error)
        wait_until_it_waits(system, process)
        os.kill(broker, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        while system.query(count, error) != [(100,)] or system.query(read) != [(1,)]:
            assert time.monotonic() < deadline, "it does not come to the second page"
            time.sleep(0.05)
        time.sleep(1)  # it could go on now
        assert system.query(count, error) == [(100,)]
        process.kill()
        process.communicate(timeout=30)
    finally:
        os.kill(broker, signal.SIGCONT)
    assert system.retry(error)[1]["frames"] == 1
    found = system.query("select count(*) from market_trades where trade_id like 'held-%%'")
    assert found == [(101,)]
    assert system.query(count, error) == [(101,)]


def trade_frame(trade_id: str) -> bytes:
    msg = {
        "trade_id": trade_id,
        "market_ticker": TICKER,
        "yes_price_dollars": "0.4",
        "count_fp": "1.00",
        "taker_side": "yes",
        "ts": 1_754_578_138,
    }
    return frame("trade", msg)


def test_a_trade_and_a_result_go_to_the_topics_of_their_events(system: System, error: str) -> None:
    done = lifecycle("determined", result="yes", determination_ts=1_754_578_900)
    system.project(
        kept(MarketUnparsed, MARKET, trade_frame("t-9"), error, arrival=1),
        kept(MarketUnparsed, MARKET, done, error, arrival=2),
    )
    assert system.retry(error)[1]["events"] == 2
    assert system.query("select ticker from market_trades where trade_id = 't-9'") == [(TICKER,)]
    query = "select result from markets where ticker = %s"
    assert system.query(query, TICKER) == [("yes",)]


def refused(system: System, symbol: str) -> None:
    """Send a trade whose price is a JSON number."""
    trade = PriceTrade(
        venue="coinbase",
        symbol=symbol,
        trade_id="1",
        price=Decimal(5),
        size=Decimal(1),
        side="buy",
        time=RECEIVED,
        sequence=None,
        received=RECEIVED,
    )
    record = encode(trade)
    wrong = replace(record, value=record.value.replace(b'"5"', b"5"))

    async def send() -> None:
        async with Producer(system.endpoints) as producer:
            await producer.send_record(wrong)
            await producer.flush()

    asyncio.run(send())
    system.wait()


def test_the_list_shows_what_waits_where_and_why(system: System) -> None:
    before = json.loads(system.tape.output("dlq", "list", "--json"))
    refused(system, "LIST-USD")
    system.project(kept(PriceUnparsed, "coinbase", b"x" * 500, f"LISTED {'long ' * 60}"))
    shown = system.tape.output("dlq", "list", "--topic", "price.ticks", "--limit", 2)
    assert all(len(line) <= 80 for line in shown.splitlines())
    first, second, *_ = shown.split("\n\n")
    assert "a frame that could not be read, by prices, key coinbase:unparsed" in flat(first)
    assert "a frame that the connector could not read: LISTED long long" in flat(first)
    assert "a record that was refused, by prices, key coinbase:LIST-USD" in flat(second)
    assert "price: Value error, a decimal is a JSON string, not a JSON number" in flat(second)
    shown = system.tape.output("dlq", "list", "--limit", 1)
    assert "the newest 1 of " in shown

    after = json.loads(system.tape.output("dlq", "list", "--limit", 1, "--json"))
    assert len(after["dead_letters"]) == 1
    assert (after["frames"], after["records"]) == (before["frames"] + 1, before["records"] + 1)
    found = [(one["projection"], one["key"], one["what"]) for one in system.listed("a JSON number")]
    assert ("prices", "coinbase:LIST-USD", "record") in found


def flat(text: str) -> str:
    return " ".join(text.split())


def test_filters_choose(system: System, error: str) -> None:
    system.project(
        kept(PriceUnparsed, "coinbase", b"a", error),
        kept(AccountUnparsed, ACCOUNT, b"b", error),
    )
    assert len(system.listed(error)) == 2
    assert places(system.listed(error, "--topic", "kalshi.account")) == [
        ("kalshi.account", "frame", False)
    ]
    assert places(system.listed(error, "--projection", "prices")) == [
        ("price.ticks", "frame", False)
    ]
    assert system.listed(error, "--since", "2999-01-01") == []
    assert len(system.listed(error, "--since", "2026-01-31T14:30")) == 2
    assert system.listed("'; drop table dead_letters; --") == []


def test_a_retry_tells_people_what_it_did(system: System, error: str) -> None:
    system.project(
        kept(PriceUnparsed, "coinbase", match(404), error, arrival=1),
        kept(PriceUnparsed, "coinbase", b"garbage", error, arrival=2),
        kept(MarketUnparsed, BOOKS, b"garbage", error, arrival=3),
    )
    status, output, errors = system.tape.run("dlq", "retry", "--error", error)
    assert (status, errors) == (1, "")
    assert all(len(line) <= 80 for line in output.splitlines())
    assert output.startswith("3 frames tried: 1 read, into 1 event\n1 left:\n  1: a message of an")
    assert "1 still cannot be read:\n  1: not JSON: " in output


def test_refused_records_are_left_alone(system: System) -> None:
    refused(system, "LEFT-USD")
    status, output, _ = system.tape.run("dlq", "retry", "--error", "a JSON number")
    assert status == 0
    assert output.startswith("no frame waits that could not be read\n")
    assert "left: retry is for frames" in output
    assert any(one["key"] == "coinbase:LEFT-USD" for one in system.listed("a JSON number"))


def test_a_user_s_mistakes_are_told(system: System, tmp_path: Path) -> None:
    assert "'yesterday' is no time" in system.tape.complaint("dlq", "list", "--since", "yesterday")
    for words in ("list", "retry"):
        assert "are: account, " in system.tape.complaint("dlq", words, "--projection", "price")
        assert "'price.tick'" in system.tape.complaint("dlq", words, "--topic", "price.tick")
        assert "is not UTF-8" in system.tape.complaint("dlq", words, "--error", "\udcff")
    away = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN="postgresql://localhost:1/x", TAPE_BROKERS="x:1")
    for words in ("list", "retry"):
        assert "`tape doctor` tries the connection" in away.complaint("dlq", words)
    dsn = system.info.dsn
    without_broker = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN=dsn, TAPE_BROKERS="127.0.0.1:1")
    assert "broker" in without_broker.complaint("dlq", "retry")


def test_tables_of_before_are_to_be_migrated(system: System, dsn: str, tmp_path: Path) -> None:
    tape = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN=dsn, TAPE_BROKERS=system.info.brokers)
    for words in ("list", "retry"):
        assert "run `tape db migrate`" in tape.complaint("dlq", words)
