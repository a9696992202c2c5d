"""Records as aiokafka's parser makes them are those that its consumers give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from streams import tolerant
from streams.log import leave_records_as_parsed

PLACE = TopicPartition("price.ticks", 0)
RECORDS: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
    (5, b"key", b"value", [("ce_id", b"1"), ("ce_type", None)]),
    (6, None, None, []),
    (7, b"", b"", [("\udcff", b"x")]),
]


def fetched() -> tuple[list[Any], int]:
    """What the fetcher makes of a reply, and the offset behind it."""
    batches = [bytearray(tolerant.batch_of(*record)._build()) for record in RECORDS]
    for offset, batch in enumerate(batches):
        batch[:8] = offset.to_bytes(8, "big")
    records: Callable[..., Any] = fetcher.PartitionRecords
    made = records(PLACE, tolerant.TolerantRecords(b"".join(batches)), [], 0, None, None, True, 0)
    return [
        (one.offset, one.timestamp, one.key, one.value, [tuple(pair) for pair in one.headers])
        for one in made
    ], made.next_fetch_offset


def test_a_record_as_parsed_has_all_that_a_projection_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = fetched()
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    leave_records_as_parsed()
    assert fetched() == before
    records, behind = before
    assert [(time, key, value, headers) for _, time, key, value, headers in records] == RECORDS
    assert behind == len(RECORDS)
