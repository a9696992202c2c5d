"""Copies of dead letters to their topics: sent from the table afterwards, and only from there.

The table is the truth. A copy may be sent twice (a kill between sending and marking), with the
same `ce_id`, and is for other consumers and for retention; nothing here reads it back.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from psycopg import sql

from projections.database import connect
from projections.deadletter import headers_of
from streams.clients import running
from streams.events.catalogue import MAX_MESSAGE_BYTES, dead_letter_topic
from streams.settings import Endpoints

_BATCH = 200
_WAITING = """
select topic, partition, "offset", topic_id, key, headers, value, error
from public.dead_letters
where projection = %s and not copied
order by topic_id, partition, "offset"
limit %s
for update skip locked
"""
_MARK = sql.SQL("""
update public.dead_letters set copied = true
where (projection, topic_id, partition, "offset") in (
    select %s, * from unnest(%s::uuid[], %s::integer[], %s::bigint[])
)
""")


async def send_copies(projection: str, endpoints: Endpoints) -> int:
    """Send what was not sent yet; returns how many. Raises Kafka's and psycopg's errors."""
    sent = 0
    async with await connect(endpoints.dsn, f"{projection} dead letters", {}) as connection:
        while True:
            async with connection.transaction():
                rows = await (await connection.execute(_WAITING, [projection, _BATCH])).fetchall()
                if not rows:
                    return sent
                await _produce(rows, projection, endpoints)
                await connection.execute(
                    _MARK,
                    [
                        projection,
                        [row[3] for row in rows],
                        [row[1] for row in rows],
                        [row[2] for row in rows],
                    ],
                )
            sent += len(rows)


async def _produce(rows: list[Any], projection: str, endpoints: Endpoints) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=endpoints.brokers,
        enable_idempotence=True,
        max_request_size=MAX_MESSAGE_BYTES,
        **endpoints.kafka,
    )
    async with running(producer):
        sending = []
        for name, partition, offset, _, key, stored, value, error in rows:
            about = _about(projection, name, partition, offset, error)
            headers = [*original_headers(stored), *about]
            # aiokafka takes no record without both.
            sent = b"" if key is None and value is None else value
            copies_of = dead_letter_topic(name)
            sending.append(await producer.send(copies_of, value=sent, key=key, headers=headers))
        for delivery in sending:
            await delivery


def original_headers(stored: list[dict[str, str | None]]) -> list[tuple[str, bytes | None]]:
    """The record's headers from `dead_letters.headers` as aiokafka can send them.

    A name that is not UTF-8 cannot be sent; its bytes that are none are replaced in the copy.
    """
    return [
        (name.encode(errors="surrogateescape").decode(errors="replace"), value)
        for name, value in headers_of(stored)
    ]


def _about(
    projection: str, name: str, partition: int, offset: int, error: str
) -> list[tuple[str, bytes]]:
    return [
        ("dead_letter_projection", projection.encode()),
        ("dead_letter_topic", name.encode()),
        ("dead_letter_partition", str(partition).encode()),
        ("dead_letter_offset", str(offset).encode()),
        ("dead_letter_error", error.encode()),
    ]
