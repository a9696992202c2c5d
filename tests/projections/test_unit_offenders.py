"""Faults in the data: each offender alone becomes a dead letter, and its neighbours land."""

from __future__ import annotations

import pytest

from projections.base import Batch
from tests.projections.logs import (
    TICKS,
    TOPIC_ID,
    LogRecord,
    claim,
    cut,
    log_of,
    rows,
    trade,
)
from tests.projections.tallied import (
    FORBIDDEN,
    HUGE,
    Watched,
    dead,
    ids,
    numbers,
    opened,
    position,
    records_of,
)

pytestmark = pytest.mark.usefixtures("both_ways")


async def test_each_offender_alone_is_a_dead_letter_with_its_reason(migrated_dsn: str) -> None:
    offenders = {
        3: trade(3, price=HUGE),
        4: trade(4, size=FORBIDDEN),
        11: trade(11, trade_id="raises"),
    }
    records = records_of((offenders.get(n, trade(n)) for n in range(20)), bad={15})
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit(cut(records, [7, 7]))
    assert numbers(migrated_dsn) == [n for n in range(20) if n not in {3, 4, 11, 15}]
    letters = {row["offset"]: row for row in rows(migrated_dsn, "dead_letters")}
    assert letters.keys() == {3, 4, 11, 15}
    assert letters[3]["error"].startswith("NumericValueOutOfRange (22003): ")
    assert letters[4]["error"].startswith("CheckViolation (23514): ")
    assert letters[11]["error"].startswith("KeyError: ")
    for offset, record in ((3, records[3]), (15, records[15])):
        letter = letters[offset]
        assert (letter["projection"], letter["topic"], letter["partition"]) == ("tally", *TICKS)
        assert str(letter["topic_id"]) == TOPIC_ID
        assert (letter["key"], letter["value"]) == (record.key, record.value)
        assert letter["appended"].timestamp() * 1000 == record.timestamp
        assert letter["copied"] is False
    assert position(migrated_dsn)[0] == 20


@pytest.mark.parametrize("offenders", [[0], [499], [999], [100, 101], [3, 500, 996]])
async def test_offenders_are_found_in_a_few_dozen_statements(
    migrated_dsn: str, offenders: list[int]
) -> None:
    projection = Watched()
    batch = log_of(trade(n, size=FORBIDDEN) if n in offenders else trade(n) for n in range(1000))
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)
        await projector.commit([batch])
    assert dead(migrated_dsn) == offenders
    assert len(ids(migrated_dsn)) == 1000 - len(offenders)
    # Halving: twice the depth for each offender and one more try of it, and the first try.
    assert len(projection.writes) <= 1 + (2 * 10 + 1) * len(offenders)


async def test_headers_and_bytes_are_kept_exactly(migrated_dsn: str) -> None:
    headers = [
        ("plain", b"text"),
        ("nul", b"a\x00b"),
        ("bytes", b"\xff"),
        ("none", None),
        ("n\0", b""),
    ]
    record = LogRecord(0, 1_700_000_000_123, b"\x00\xff", b"\xfe\x00", headers)
    empty_one = LogRecord(1, 1_700_000_000_123, None, None, [])
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([Batch(TICKS, [record, empty_one])])
    first, second = rows(migrated_dsn, "dead_letters", '"offset"')
    assert (first["key"], first["value"]) == (record.key, record.value)
    assert first["headers"] == [
        {"name": "plain", "value": "text"},
        {"name": "nul", "value_base64": "YQBi"},
        {"name": "bytes", "value_base64": "/w=="},
        {"name": "none", "value": None},
        {"name_base64": "bgA=", "value": ""},
    ]
    assert (second["key"], second["value"], second["headers"]) == (None, None, [])
