"""`tape trace`: what became of a frame, beside the clock and the tables themselves."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from projections import PROJECTIONS
from streams import cli
from streams.connectors import runner
from streams.connectors.coinbase import CoinbaseConnector
from streams.embedded import postgres
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import Event, Fill, PriceQuote, PriceUnparsed
from streams.events.catalogue import EVENTS
from streams.heartbeat import Pulse
from streams.producer import Producer
from streams.reports import trace_log
from streams.reports.trace import Delay, Hop, delays, make_trace
from streams.reports.trace_log import LoggedRecord
from streams.settings import Endpoints
from streams.topics import record_counts
from streams.tracing import EventId, Place, TraceId, read_target, traceparent
from tests.projections.logs import record_of, trade
from tests.streams.events.examples import GOOD
from tests.streams.tape import Tape

_TOPICS = sorted({topic for projection in PROJECTIONS.values() for topic in projection.topics})
_NAMES = st.sampled_from(_TOPICS) | st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)
Json = dict[str, Any]


def now() -> int:
    return time.time_ns() // 1000


def micros(text: str) -> int:
    """Of a time in ISO 8601."""
    found = datetime.fromisoformat(text)
    return int(found.timestamp()) * 1_000_000 + found.microsecond


def examples() -> list[Event]:
    """One of each kind that is in the examples, at the time that they have."""
    return [model.model_validate(GOOD[model.name]) for model in EVENTS if model.name in GOOD]


def quote(**fields: Any) -> PriceQuote:
    values: Json = {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "bid": Decimal(65000),
        "bid_size": None,
        "ask": Decimal(65001),
        "ask_size": None,
        "time": now(),
        "sequence": None,
        "received": now(),
    }
    return PriceQuote(**{**values, **fields})


# What is traced


@given(_NAMES, st.integers(0, 999), st.integers(0, 2**48))
def test_a_place_is_read_as_it_is_written(topic: str, partition: int, offset: int) -> None:
    place = Place(topic, partition, offset)
    assert read_target(f" {place}\n") == place
    if "." in topic:
        assert read_target(f"{topic}:{partition}:{offset}") == place


@given(st.text(st.characters(codec="utf-8"), max_size=64), st.integers(0))
def test_a_traceparent_and_its_trace_id_are_the_same_frame(connection: str, arrival: int) -> None:
    parent = traceparent(connection, arrival)
    _, trace_id, _, _ = parent.split("-")
    assert read_target(parent) == read_target(trace_id) == TraceId(trace_id)
    assert read_target(parent.upper()) == TraceId(trace_id)


@pytest.mark.parametrize("event", [*examples(), trade(), quote()], ids=lambda one: one.name)
def test_the_id_of_an_event_is_read_as_such(event: Event) -> None:
    assert read_target(event.event_id()) == EventId(event.event_id())


def test_numbers_behind_a_venue_are_no_place() -> None:
    assert read_target("kalshi:123456789012:7") == EventId("kalshi:123456789012:7")


# Hops


def logged(event: Event, appended: int, *, by_broker: bool = True) -> LoggedRecord:
    record = record_of(event, 3, appended)
    place = Place("price.ticks", 0, 3)
    return LoggedRecord(place, appended, by_broker, record.key, record.value, record.headers)


def told(hop: Hop, delay: Delay | None) -> tuple[str, int, bool] | str:
    return (hop.name, delay.micros, delay.is_below_precision) if delay else hop.name


def test_delays_are_shown_as_they_are_and_marked_where_times_are_too_coarse() -> None:
    event = trade(time=1_794_744_000_123_000, received=1_794_744_000_123_400)
    found = make_trace(logged(event, 1_794_744_000_120), [])
    assert [told(*one) for one in delays(found)] == [
        "event",
        ("received", 400, True),
        ("appended", -3_400, False),
    ]
    assert found.total is None


def test_a_time_that_is_the_receive_time_is_none_of_the_venue_s() -> None:
    at = 1_794_744_000_123_456
    found = make_trace(logged(trade(time=at, received=at), 1_794_744_000_124), [])
    assert [hop.name for hop in found.hops] == ["received", "appended"]
    assert found.remarks == ["the event has no time of the venue's own"]


def test_the_time_of_sending_is_a_hop_of_its_own() -> None:
    (event,) = (one for one in examples() if one.name == "market.trade")
    fields = {"time": 1_754_518_200_000_000, "received": 1_754_518_200_250_001}
    for sent, names in ((1_754_518_200_100, ["event", "sent by the venue"]), (None, ["event"])):
        raw = json.dumps({"type": "trade", "sending_ts_ms": sent})
        traced = make_trace(logged(event.model_copy(update={**fields, "raw": raw}), 1), [])
        assert [hop.name for hop in traced.hops] == [*names, "received", "appended"]
        assert [hop.precision for hop in traced.hops[:-2]] == [1_000_000, 1_000][: len(names)]


def test_a_time_that_a_producer_gave_is_not_the_log_s() -> None:
    found = make_trace(logged(trade(), 1_794_744_000_000, by_broker=False), [])
    assert found.hops[-1].name == "created by the producer"


def test_a_record_that_is_no_event_begins_in_the_log() -> None:
    record = LoggedRecord(Place("price.ticks", 0, 3), 5, True, None, b"{", [("a", b"b")])
    found = make_trace(record, [])
    assert [hop.name for hop in found.hops] == ["appended"]
    assert found.remarks == ["it is no event of the catalogue: header ce_specversion is not 1.0"]


# Through Kafka and PostgreSQL


class System:
    """A stack of the tests' own, with tables and topics; workers run only where one is asked."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.environment = {"TAPE_HOME": str(home.path), "COLUMNS": "80"}
        self.tape = Tape(**self.environment)
        self.process: subprocess.Popen[str] | None = None
        self.info: StackInfo = embedded.start(home.path)
        self.endpoints = Endpoints(self.info.brokers, {}, self.info.dsn, True, True)
        self.tape.output("topics", "create")
        self.tape.output("db", "migrate")

    def work(self) -> None:
        """Let a worker of all projections run from now on."""
        if self.process is None:
            self.process = self.tape.start("worker")
            self.wait()

    def rest(self) -> None:
        """Let none run."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=30)
            self.process = None

    def wait(self) -> None:
        """Until all that there is was projected."""
        wanted = record_counts(self.endpoints, _TOPICS)
        query = "select topic, sum(next_offset)::bigint from checkpoints group by topic"
        deadline = time.monotonic() + 90
        with psycopg.connect(self.info.dsn, autocommit=True) as connection:
            while True:
                found: dict[str, int] = dict(connection.execute(query).fetchall())
                # The worker's own heartbeats go on.
                if all(found.get(topic, 0) >= count for topic, count in wanted.items()):
                    return
                assert time.monotonic() < deadline, "the worker does not get through"
                time.sleep(0.05)

    def send(self, *events: Event, trace: str | None = None) -> None:
        async def run() -> None:
            async with Producer(self.endpoints) as producer:
                for event in events:
                    await producer.send(event, trace)
                await producer.flush()

        asyncio.run(run())

    def project(self, *events: Event, trace: str | None = None) -> None:
        """Send, and wait for the worker; each call is at least one unit of work."""
        self.send(*events, trace=trace)
        self.wait()

    def shown(self, *words: object) -> str:
        """What `tape trace` prints."""
        done = CliRunner().invoke(cli.app, ["trace", *map(str, words)], env=self.environment)
        if done.exception is not None:
            raise done.exception
        return done.stdout

    def trace(self, *words: object) -> list[Json]:
        found: list[Json] = json.loads(self.shown(*words, "--json"))
        return found

    def one(self, *words: object) -> Json:
        (found,) = self.trace(*words)
        return found

    def rows(self, topic: str, partition: int, offset: int) -> set[str]:
        """The tables with a row that names this record, read from their first row to the last."""
        found = set()
        with psycopg.connect(self.info.dsn) as connection:
            tables = connection.execute(
                "select table_schema, table_name, bool_or(column_name = 'topic') "
                "from information_schema.columns "
                "where table_schema like '%\\_1' group by 1, 2 "
                "having count(*) filter (where column_name in ('partition', 'offset')) = 2"
            ).fetchall()
            for schema, name, has_topic in tables:
                if "_20" in name or (not has_topic and topic != "kalshi.market"):
                    continue
                count = sql.SQL(
                    'select count(*) from {} where partition = %s and "offset" = %s {}'
                ).format(
                    sql.Identifier(schema, name),
                    sql.SQL("and topic = %s") if has_topic else sql.SQL("and %s <> ''"),
                )
                if connection.execute(count, [partition, offset, topic]).fetchone() != (0,):
                    found.add(name)
        return found


@pytest.fixture(scope="module")
def both(module_home: Home) -> Iterator[System]:
    made = System(module_home)
    yield made
    made.rest()


@pytest.fixture
def system(both: System) -> System:
    """With a worker."""
    both.work()
    return both


@pytest.fixture
def idle(both: System) -> System:
    """Without a worker; what was sent before was projected."""
    both.work()
    both.rest()
    return both


def hops_of(found: Json) -> dict[str, Json]:
    return {hop["hop"]: hop for hop in found["hops"]}


def of_venue(moment: int, number: int) -> str:
    """A match of Coinbase at this time."""
    text = datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return json.dumps(
        {
            "type": "match",
            "trade_id": number,
            "side": "sell",
            "size": "0.5",
            "price": "65000.10",
            "product_id": "BTC-USD",
            "sequence": number,
            "time": f"{text}.{moment % 1_000_000:06}Z",
        }
    )


async def feed(endpoints: Endpoints, frames: Sequence[str]) -> None:
    """Send frames through the runner into Kafka; each is one event."""

    async def serving(socket: ServerConnection) -> None:
        await socket.recv()
        for frame in frames:
            await socket.send(frame)
        await socket.wait_closed()

    async with serve(serving, "127.0.0.1", 0) as server, Producer(endpoints) as producer:
        port = next(iter(server.sockets)).getsockname()[1]
        connector = CoinbaseConnector(url=f"ws://127.0.0.1:{port}", rest_url=None)
        task = asyncio.create_task(runner.run(connector, producer, Pulse("producer/test", 0)))
        async with asyncio.timeout(20):
            while producer.statistics.acknowledged < len(frames):
                await asyncio.sleep(0.005)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_each_hop_of_a_live_frame_is_between_the_times_measured_around_it(system: System) -> None:
    before = now()
    asyncio.run(feed(system.endpoints, [of_venue(before, 7_001)]))
    system.wait()
    after = now()
    found = system.one("coinbase:BTC-USD:7001")
    hops = hops_of(found)
    assert list(hops) == ["event", "received", "appended", "committed, prices"]
    times = [micros(hop["time"]) for hop in hops.values()]
    event, received, appended, committed = times
    assert event == before
    assert before <= received <= after
    assert received - 1_000 < appended <= committed + 1_000  # cut to milliseconds
    assert committed <= after
    assert [hop["delay_us"] for hop in found["hops"][1:]] == [
        later - earlier for earlier, later in pairwise(times)
    ]
    assert found["total_us"] == committed - event
    assert hops["appended"]["precision_us"] == 1_000
    (prices,) = found["projections"]
    assert (prices["state"], prices["tables"], prices["exact"]) == ("row", ["price_history"], True)
    assert prices["remarks"] == []


def test_all_records_of_a_frame_are_shown_by_its_trace_id_and_its_traceparent(
    system: System,
) -> None:
    parent = traceparent("test-frame", 1)
    events = [trade(8_000 + n, symbol=f"S{n}-USD", time=now(), received=now()) for n in range(5)]
    system.project(*events, trace=parent)
    by_parent = system.trace(parent)
    assert {one["ce_id"] for one in by_parent} == {event.event_id() for event in events}
    assert {one["traceparent"] for one in by_parent} == {parent}
    assert system.trace(parent.split("-")[1], "--topic", "price.ticks") == by_parent
    for one in by_parent:
        place = one["topic"], one["partition"], one["offset"]
        assert system.trace("{}[{}]@{}".format(*place)) == [one]
        assert system.trace("{}:{}:{}".format(*place)) == [one]
        assert system.trace(one["ce_id"]) == [one]


def test_the_row_of_every_kind_of_event_is_found_by_its_key(system: System) -> None:
    parent = traceparent("examples", 1)
    events = [*examples(), trade(8_100), trade(8_101, venue="binance", time=1_794_744_000_123_456)]
    system.project(*events, trace=parent)
    found = system.trace(parent)
    assert sorted(one["ce_id"] for one in found) == sorted(event.event_id() for event in events)
    for one in found:
        rows = system.rows(one["topic"], one["partition"], one["offset"])
        told = {name for projected in one["projections"] for name in projected["tables"]}
        assert told == rows, one["ce_type"]
        for projected in one["projections"]:
            assert projected["state"] == ("row" if rows else "no row")
            assert projected["committed"] is not None
    without = {one["topic"] for one in found if not one["projections"]}
    assert without == {"system.decisions"}


def test_a_record_without_a_row_of_its_own_has_the_time_of_its_unit_at_the_latest(
    system: System,
) -> None:
    before = now()
    system.project(quote(symbol="Q1-USD"), trace=traceparent("no row", 1))
    after = now()
    (found,) = system.trace(traceparent("no row", 1))
    (prices,) = found["projections"]
    assert (prices["state"], prices["exact"]) == ("no row", False)
    assert before <= micros(prices["committed"]) <= after
    shown = system.shown(traceparent("no row", 1))
    assert "projected, no row of its own" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_row_that_was_written_again_does_not_pass_for_the_commit(system: System) -> None:
    (fill,) = (one for one in examples() if isinstance(one, Fill))
    fast = fill.model_copy(update={"trade_id": "again", "order_id": None, "ticker": "KXAGAIN"})
    exact = fast.model_copy(update={"order_id": "O77", "time": fast.time + 123_456})
    between = fast.model_copy(update={"trade_id": "between"})
    parent = traceparent("again", 1)
    system.project(fast, trace=parent)
    first = now()
    (found,) = system.trace(parent)
    assert found["projections"][0]["exact"]
    committed = found["projections"][0]["committed"]
    assert micros(committed) < first
    system.project(between)
    second = now()
    system.project(exact)
    (found,) = system.trace(parent)
    (account,) = found["projections"]
    assert (account["tables"], account["exact"]) == (["fills"], False)
    assert micros(account["committed"]) < second
    assert account["told_by"].startswith("kalshi.account[")
    shown = system.shown(parent)
    assert "it was written again later" in " ".join(shown.split())
    assert re.search(r"^committed, account +2.* ≤[0-9,.]+ *$", shown, re.MULTILINE)
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_row_that_the_very_next_record_may_have_written_again_is_not_taken_for_exact(
    system: System,
) -> None:
    (fill,) = (one for one in examples() if isinstance(one, Fill))
    fast = fill.model_copy(update={"trade_id": "next", "order_id": None, "ticker": "KXNEXT"})
    system.project(fast, trace=traceparent("next", 1))
    system.project(fast.model_copy(update={"order_id": "O78"}))
    (found,) = system.trace(traceparent("next", 1))
    (account,) = found["projections"]
    assert (account["told_by"], account["exact"]) == ("fills", False)
    shown = " ".join(system.shown(traceparent("next", 1)).split())
    assert "a later record of its key may have written it again" in shown


def test_a_dead_letter_is_told_with_its_reason(system: System) -> None:
    parent = traceparent("dead", 1)
    event = PriceUnparsed(
        venue="coinbase",
        connection="dead",
        arrival=1,
        frame=b"eA==",
        error="not JSON",
        received=now(),
    )
    system.project(event, trace=parent)
    (found,) = system.trace(parent)
    (prices,) = found["projections"]
    assert (prices["state"], prices["tables"], prices["exact"]) == ("dead letter", [], False)
    assert prices["error"] == "a frame that the connector could not read: not JSON"
    assert prices["committed"] is not None
    assert [hop["hop"] for hop in found["hops"]] == ["received", "appended", "committed, prices"]
    assert prices["remarks"] == []
    with psycopg.connect(system.info.dsn) as connection:
        connection.execute(
            "update dead_letters set done = '2026-11-30 10:00+00', outcome = 'discarded'"
        )
    (found,) = system.trace(parent)
    (remark,) = found["projections"][0]["remarks"]
    assert remark == "the dead letter was discarded at 2026-11-30 10:00:00 UTC"


def test_what_was_not_projected_yet_says_how_many_records_are_before_it(idle: System) -> None:
    events = [trade(8_200 + n, symbol="LAG-USD", time=now(), received=now()) for n in range(2)]
    idle.send(*events)
    for event, lag in zip(events, (1, 2), strict=True):
        found = idle.one(event.event_id())
        (prices,) = found["projections"]
        assert (prices["state"], prices["lag"], prices["committed"]) == ("waiting", lag, None)
        assert [hop["hop"] for hop in found["hops"]][-1] == "appended"
        assert found["total_us"] is None
    shown = idle.shown(events[1].event_id())
    assert "prices, generation 1: not yet projected, 2 records to read until it is" in shown
    idle.work()
    assert idle.one(events[1].event_id())["projections"][0]["state"] == "row"


def test_commit_times_that_were_not_kept_are_said_to_be_missing(idle: System) -> None:
    def switch(setting: str) -> None:
        with psycopg.connect(idle.info.dsn, autocommit=True) as connection:
            connection.execute(f"alter system {setting}".encode())
        postgres.stop(idle.home)
        embedded.start(idle.home.path)

    event = trade(8_300, time=now(), received=now())
    idle.send(event)
    switch("set track_commit_timestamp = off")
    try:
        idle.work()
        (prices,) = idle.one(event.event_id())["projections"]
        assert (prices["state"], prices["committed"]) == ("row", None)
        assert "the database keeps no commit times" in prices["remarks"][0]
    finally:
        idle.rest()
        switch("reset track_commit_timestamp")
    (prices,) = idle.one(event.event_id())["projections"]
    assert (prices["state"], prices["committed"]) == ("row", None)
    assert "the commit time of its row is not kept any more" in prices["remarks"][0]


def test_an_unknown_id_is_told_with_what_was_searched(system: System) -> None:
    missing = traceparent("never", 1)
    complaint = system.tape.complaint("trace", missing, "--topic", "trade.events", "--since", "5m")
    assert f"no record of trace id {missing.split('-')[1]} among the " in complaint
    assert "records of trade.events that were appended since 2" in complaint
    assert "--since looks further back" in complaint


def test_the_search_goes_back_slice_by_slice_and_reads_each_record_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_log, "_FIRST_SLICE_S", 0.001)
    events = [trade(8_400 + n, time=now(), received=now()) for n in range(2)]
    for event in events:
        system.send(event)
    (count,) = record_counts(system.endpoints, ["price.ticks"]).values()
    assert [one["ce_id"] for one in system.trace(events[0].event_id())] == [events[0].event_id()]
    with pytest.raises(UserError, match=f" among the {count:,} records of price.ticks "):
        system.shown("nobody:1", "--topic", "price.ticks", "--since", "24h")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["price.ticks[0]@99999999"], "price.ticks[0]@99999999 is not in the log"),
        (["price.ticks[9]@0"], "price.ticks[9]@0: the topic has the partitions 0 to 3"),
        (["no.topic[0]@0"], "no topic no.topic on"),
        (["x", "--topic", "no.topic"], "no topic no.topic on"),
        (["x", "--since", "yesterday"], "'yesterday' is no duration"),
    ],
)
def test_a_user_s_mistake_is_told(system: System, words: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=re.escape(complaint)):
        system.shown(*words)


# The database keeps commit times


def test_the_embedded_database_keeps_commit_times(stack: StackInfo) -> None:
    with psycopg.connect(stack.dsn) as connection:
        assert connection.execute("show track_commit_timestamp").fetchone() == ("on",)


def test_that_of_the_compose_file_does_too() -> None:
    file = Path(__file__).parents[2] / "docker-compose.yml"
    assert 'command: ["postgres", "-c", "track_commit_timestamp=on"]' in file.read_text()
