"""`tape dlq`: dead letters are listed, and frames that can be read by now say what they held."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from projections import PROJECTIONS
from projections.database import connect
from projections.decisions import Operator, record
from streams.connectors.base import LARGEST_KEPT_FRAME
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
from streams.events import (
    AccountUnparsed,
    DeadLettersDiscarded,
    Event,
    MarketUnparsed,
    PriceTrade,
    PriceUnparsed,
    decode,
    encode,
)
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import record_counts
from streams.tracing import traceparent
from tests.streams.connectors.kalshi.said import FILL, TICKER, frame
from tests.streams.tape import Tape, records_of
from tests.streams.unread import ACCOUNT, BOOK, BOOKS, MARKET, RECEIVED, kept, lifecycle, match

pytestmark = pytest.mark.long

_TOPICS = sorted({topic for projection in PROJECTIONS.values() for topic in projection.topics})


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
        again = "update dead_letters set done = null, outcome = null where strpos(error, %s) > 0"
        assert len(system.query(f"{again} returning error", error)) == 1
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
        kept(MarketUnparsed, BOOKS, frame("orderbook_snapshot", BOOK, seq=1), error, arrival=1),
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


def test_a_record_that_is_refused_again_stays_listed(system: System) -> None:
    refused(system, "LEFT-USD")
    status, output, errors = system.tape.run("dlq", "retry", "--error", "a JSON number")
    assert (status, errors) == (1, "")
    assert "0 projected" in output
    assert "refused again:" in output
    [letter] = [one for one in system.listed("a JSON number") if "LEFT-USD" in one["key"]]
    assert letter["last_error"] == letter["error"]
    assert letter["tries"] > 0


def test_a_worker_tells_what_was_decided_by_a_command_that_was_killed(system: System) -> None:
    decision = DeadLettersDiscarded(
        **Operator("bob", "no use").decides(),
        projection="prices",
        of_topic="price.ticks",
        of_topic_id=str(uuid.uuid4()),
        partition=0,
        offsets=(7,),
    )

    async def decide() -> None:
        async with await connect(system.info.dsn, "test", {}) as connection:
            await record(connection, decision)

    asyncio.run(decide())
    deadline = time.monotonic() + 90
    while system.query("select from decisions where not copied"):
        assert time.monotonic() < deadline, "the worker does not send it"
        time.sleep(0.1)
    found = records_of(system.info.brokers, decision.topic, decision.key(), partitions=1)
    ids = [dict(one.headers)["ce_id"].decode() for one in asyncio.run(found)]
    assert ids.count(decision.decision_id) == 1


def test_a_user_s_mistakes_are_told(system: System, error: str, tmp_path: Path) -> None:
    assert "'yesterday' is no time" in system.tape.complaint("dlq", "list", "--since", "yesterday")
    system.project(kept(PriceUnparsed, "coinbase", b"garbage", error))
    assert "are: account, " in system.tape.complaint("dlq", "list", "--projection", "price")
    assert "'price.tick'" in system.tape.complaint("dlq", "retry", "--topic", "price.tick")
    assert "is not UTF-8" in system.tape.complaint("dlq", "list", "--error", "\udcff")
    away = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN="postgresql://localhost:1/x", TAPE_BROKERS="x:1")
    for words in ("list", "retry"):
        assert "`tape doctor` tries the connection" in away.complaint("dlq", words)
    dsn = system.info.dsn
    without_broker = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN=dsn, TAPE_BROKERS="127.0.0.1:1")
    assert "broker" in without_broker.complaint("dlq", "retry", "--error", error)


def test_tables_of_before_are_to_be_migrated(system: System, dsn: str, tmp_path: Path) -> None:
    tape = Tape(TAPE_HOME=str(tmp_path), TAPE_DSN=dsn, TAPE_BROKERS=system.info.brokers)
    for words in ("list", "retry"):
        assert "run `tape db migrate`" in tape.complaint("dlq", words)
