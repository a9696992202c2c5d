"""Copies of dead letters: sent from the table, whole, and marked."""

import secrets
from dataclasses import dataclass

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from projections import deadletter
from projections.base import Partition, Refused
from projections.database import connect
from projections.migrations import migrate
from streams.dead_letters import original_headers, send_copies
from streams.embedded.stack import StackInfo
from streams.events.catalogue import dead_letter_topic
from streams.settings import Endpoints
from tests.projections.registered import registered

Headers = list[tuple[str, bytes | None]]


@dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 1_794_744_000_000


@pytest.fixture
def topic(brokers: str) -> str:
    name = f"copies-{secrets.token_hex(6)}"
    client = AdminClient({"bootstrap.servers": brokers})
    made = client.create_topics([NewTopic(dead_letter_topic(name), 1)])
    made[dead_letter_topic(name)].result()
    return name


@pytest.fixture
async def endpoints(stack: StackInfo, dsn: str) -> Endpoints:
    await migrate(dsn, registered())
    return Endpoints(stack.brokers, {}, dsn, True, True)


async def refuse(endpoints: Endpoints, topic: str, records: list[Record]) -> None:
    refused = [Refused(Partition(topic, 0), record, "not JSON") for record in records]
    async with await connect(endpoints.dsn, "test", {}) as connection:
        topic_ids = {topic: "00000000-0000-0000-0000-000000000001"}
        await deadletter.insert(connection, "prices", topic_ids, refused)


async def copies(brokers: str, topic: str, count: int) -> list[tuple[bytes, bytes, Headers]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(dead_letter_topic(topic), 0)])
        found = [await consumer.getone() for _ in range(count)]
        return [(record.key, record.value, list(record.headers)) for record in found]
    finally:
        await consumer.stop()


async def test_a_copy_is_whole_and_says_where_it_comes_from(
    endpoints: Endpoints, topic: str
) -> None:
    headers: Headers = [("ce_id", b"1"), ("odd", b"\xff\x00"), ("none", None)]
    records = [Record(7, b"key", b"\x00{", headers), Record(9, None, None, [])]
    await refuse(endpoints, topic, records)

    assert await send_copies("prices", endpoints) == 2
    about = [
        ("dead_letter_projection", b"prices"),
        ("dead_letter_topic", topic.encode()),
        ("dead_letter_partition", b"0"),
    ]
    error = ("dead_letter_error", b"not JSON")
    assert await copies(endpoints.brokers, topic, 2) == [
        (b"key", b"\x00{", [*headers, *about, ("dead_letter_offset", b"7"), error]),
        (None, b"", [*about, ("dead_letter_offset", b"9"), error]),
    ]


async def test_what_was_sent_is_marked_and_not_sent_again(endpoints: Endpoints, topic: str) -> None:
    await refuse(endpoints, topic, [Record(offset, b"k", b"v", []) for offset in range(450)])
    assert await send_copies("prices", endpoints) == 450
    assert await send_copies("prices", endpoints) == 0
    with psycopg.connect(endpoints.dsn) as connection:
        marked = connection.execute("select count(*) from dead_letters where copied").fetchone()
    assert marked == (450,)


async def test_another_projections_dead_letters_are_left_alone(
    endpoints: Endpoints, topic: str
) -> None:
    await refuse(endpoints, topic, [Record(0, b"k", b"v", [])])
    assert await send_copies("market", endpoints) == 0


@pytest.mark.parametrize(
    "headers",
    [
        [("a", b"b"), ("a", b"c")],
        [("a\0b", b"\0"), ("é", "ü".encode())],
        [("none", None), ("empty", b"")],
    ],
)
def test_headers_come_back_from_the_table_as_they_were(headers: Headers) -> None:
    assert original_headers(deadletter.header_json(headers)) == headers


def test_a_header_name_that_is_not_utf8_is_replaced_in_the_copy() -> None:
    stored = deadletter.header_json([("\udcff\udcfe", b"x")])
    assert stored == [{"name_base64": "//4=", "value": "x"}]
    assert original_headers(stored) == [("\ufffd\ufffd", b"x")]
