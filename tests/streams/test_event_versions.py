"""A second version of two events: what the first one said is read as the second would say it.

The first version of a trade gave the maker's side. So both versions have one shape and opposite
meanings: whatever passes an upcaster by shows in the rows.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Assigned
from confluent_kafka.admin import AdminClient, NewTopic

from projections.base import Batch, Record
from projections.decisions import Operator
from projections.prices import Prices, columns
from projections.unit import Projector
from streams.admin import Broker
from streams.dead_letters import original_headers
from streams.embedded.stack import StackInfo
from streams.events import (
    DecodeError,
    EncodedEvent,
    Event,
    PriceTrade,
    PriceUnparsed,
    catalogue,
    decode,
    encode,
)
from streams.reports.dead_letters import Chosen, read_dead_letters
from streams.reports.reading import reading
from streams.retry import Retried, retry
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.projections.logs import TICKS, LogRecord, claim, log_of, trade
from tests.projections.prices.projected import project, reset, tables
from tests.streams.tape import make_tables, records_of
from tests.streams.unread import kept, match

#: More of each version than it takes to read them as columns.
EACH = 2 * columns.WORTH_COLUMNS


def other_side(trade: dict[str, Any]) -> dict[str, Any]:
    """The upcaster from the first version of a trade."""
    return {**trade, "side": {"buy": "sell", "sell": "buy"}[trade["side"]]}


def named_frame(unparsed: dict[str, Any]) -> dict[str, Any]:
    """The upcaster from the first version of an unparsed frame, which called it `data`."""
    return {**unparsed, "frame": unparsed["data"]}


@pytest.fixture(autouse=True)
def second_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue once both events have a second version, which is what the models are now."""
    changed = (PriceTrade, PriceUnparsed)
    by_type = {name: kind for name, kind in catalogue.BY_TYPE.items() if kind not in changed}
    for kind in changed:
        monkeypatch.setattr(kind, "version", 2)
    monkeypatch.setattr(catalogue, "BY_TYPE", by_type | {kind.ce_type(): kind for kind in changed})
    monkeypatch.setattr(columns, "_TRADE", ("ce_type", PriceTrade.ce_type().encode()))
    upcasters = {"price.trade.v1": other_side, "price.unparsed.v1": named_frame}
    monkeypatch.setattr(catalogue, "UPCASTERS", upcasters)


def first_version(event: Event) -> EncodedEvent:
    """What the first version of the program wrote where this one writes the event."""
    new = encode(event)
    fields = json.loads(new.value)
    old = other_side(fields) if isinstance(event, PriceTrade) else _data(fields)
    kind = event.ce_type().replace(".v2", ".v1").encode()
    headers = [(name, kind if name == "ce_type" else value) for name, value in new.headers]
    value = json.dumps(old, separators=(",", ":")).encode()
    return EncodedEvent(new.topic, new.key, value, headers)


def _data(fields: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in fields.items() if k != "frame"}, "data": fields["frame"]}


def as_second_version(record: Record) -> LogRecord:
    """The record that had been written in its place by this version of the program."""
    new = encode(decode(record.value, record.headers))
    return LogRecord(record.offset, record.timestamp, new.key, new.value, new.headers)


@dataclass(frozen=True)
class OwnTopic:
    """A topic of one partition that no other test has."""

    endpoints: Endpoints
    name: str

    async def append(self, records: Sequence[EncodedEvent]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.endpoints.brokers) as producer:
            for one in records:
                await producer.send(self.name, one.value, key=one.key, headers=one.headers)

    async def read(self, count: int) -> list[Record]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.endpoints.brokers, auto_offset_reset="earliest"
        )
        async with consumer:
            consumer.assign([Assigned(self.name, 0)])
            return [await consumer.getone() for _ in range(count)]


@pytest.fixture
async def endpoints(stack: StackInfo, dsn: str) -> Endpoints:
    await make_tables(dsn)
    return Endpoints(stack.brokers, {}, dsn, True, True)


@pytest.fixture
def topic(endpoints: Endpoints) -> OwnTopic:
    found = OwnTopic(endpoints, f"versions-{secrets.token_hex(6)}")
    client = AdminClient({"bootstrap.servers": endpoints.brokers, "log_level": 0})
    config = {"message.timestamp.type": "LogAppendTime"}
    client.create_topics([NewTopic(found.name, 1, config=config)])[found.name].result()
    Broker(endpoints).wait_for([found.name])
    return found


def mixed() -> list[EncodedEvent]:
    """Trades of both versions in turn, every third one a buy."""
    events = [trade(n, side="buy" if n % 3 else "sell") for n in range(2 * EACH)]
    return [first_version(one) if n % 2 else encode(one) for n, one in enumerate(events)]


@pytest.mark.parametrize("way", ["columns", "model"])
async def test_a_log_of_both_versions_gives_the_rows_of_one_of_the_second(
    topic: OwnTopic, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "model":
        monkeypatch.setattr(columns, "WORTH_COLUMNS", 10**9)
    dsn = topic.endpoints.dsn
    await topic.append(mixed())
    log = await topic.read(2 * EACH)
    kinds = [dict(record.headers)["ce_type"] for record in log]
    assert kinds == [b"price.trade.v2", b"price.trade.v1"] * EACH

    await project(dsn, [Batch(TICKS, log)], units=[EACH])
    of_both = tables(dsn)
    reset(dsn)
    await project(dsn, [Batch(TICKS, [as_second_version(record) for record in log])])
    assert tables(dsn) == of_both
    found = {row["trade_id"]: row["side"] for row in of_both["price_history"]}
    assert found == {str(n): "buy" if n % 3 else "sell" for n in range(2 * EACH)}


async def test_the_second_versions_of_what_was_projected_by_the_first_are_repeats(
    topic: OwnTopic,
) -> None:
    dsn = topic.endpoints.dsn
    events = [trade(number) for number in range(EACH)]
    await topic.append([first_version(one) for one in events] + [encode(one) for one in events])
    log = await topic.read(2 * EACH)
    await project(dsn, [Batch(TICKS, log)], units=[EACH])
    found = tables(dsn)
    assert len(found["price_history"]) == EACH
    assert found["price_conflicts"] == []


def letters(dsn: str) -> list[LogRecord]:
    """The dead letters, as records again."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            'select "offset", appended, key, value, headers from dead_letters order by "offset"'
        ).fetchall()
    return [
        LogRecord(offset, int(appended.timestamp() * 1000), key, value, original_headers(headers))
        for offset, appended, key, value, headers in rows
    ]


async def test_a_dead_letter_of_the_first_version_is_read_once_there_is_its_upcaster(
    topic: OwnTopic,
) -> None:
    dsn = topic.endpoints.dsn
    await topic.append([first_version(trade(0, side="sell")), encode(trade(1))])
    log = await topic.read(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "UPCASTERS", {})
        await project(dsn, [Batch(TICKS, log)])
    (letter,) = letters(dsn)
    assert letter.value == log[0].value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "UPCASTERS", {})
        with pytest.raises(DecodeError, match=r"unknown event type 'price\.trade\.v1'"):
            decode(letter.value, letter.headers)

    reset(dsn)
    await project(dsn, [Batch(TICKS, [letter, log[1]])])
    of_letter = tables(dsn)
    assert letters(dsn) == []
    reset(dsn)
    await project(dsn, [Batch(TICKS, [as_second_version(record) for record in log])])
    assert tables(dsn) == of_letter


async def test_a_frame_that_was_kept_in_the_first_version_is_listed_and_retried(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it says goes to a topic of all tests, which must be able to read it.
    monkeypatch.setattr(PriceTrade, "version", 1)
    ensure_topics(endpoints)
    number = secrets.randbelow(10**12)
    event = kept(PriceUnparsed, "coinbase", match(number, product_id=f"T{number}-USD"))
    old = first_version(event)
    (record,) = log_of([event]).records
    projector = Projector(Prices(), endpoints.dsn)
    await claim(projector)
    as_kept = LogRecord(0, record.timestamp, old.key, old.value, old.headers)
    await projector.commit([Batch(TICKS, [as_kept])])
    await projector.close()

    with reading(endpoints.dsn) as connection:
        found = read_dead_letters(connection, Chosen(), 10, with_done=True)
    assert (found.frames, found.records) == (1, 0)
    retried = Retried()
    await retry(Chosen(), endpoints, Operator("tester"), 10, retried, lambda _: None)
    assert (retried.frames, retried.read, retried.events) == (1, 1, 1)
    assert len(await records_of(endpoints.brokers, "price.ticks", f"coinbase:T{number}-USD")) == 1
