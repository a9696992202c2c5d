"""A test's own projection: one row for each record, in a table without a unique key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from projections.base import Batch, Connection, Decoded, Projection

Row = tuple[int, int, str]


class Tally(Projection[list[Row]]):
    """Counts every record, whatever it holds; nothing hides a record that is projected twice."""

    name = "tally"
    version = 1
    topics = ("price.ticks",)
    tables = ("tally",)

    @classmethod
    def sql_path(cls) -> Path:
        return Path(__file__).with_name("tally.sql")

    def decode(self, batches: Sequence[Batch]) -> Decoded[list[Row]]:
        return Decoded(
            [
                (batch.source.partition, record.offset, digest(record.value))
                for batch in batches
                for record in batch.records
            ]
        )

    async def write(self, connection: Connection, facts: list[Row]) -> None:
        await connection.execute(
            'insert into tally (partition, "offset", digest)'
            " select * from unnest(%s::integer[], %s::bigint[], %s::text[])",
            [list(column) for column in zip(*facts, strict=True)] if facts else [[], [], []],
        )


def digest(value: bytes | None) -> str:
    """What stands for a record's value in the tally."""
    return "null" if value is None else hashlib.sha256(value).hexdigest()
