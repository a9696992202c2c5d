"""Records as the broker would hand them over, made without a broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from projections.base import Batch, Partition, Record
from projections.checkpoint import LogStart
from projections.unit import Projector
from streams.events import Event, PriceTrade, encode

TICKS = Partition("price.ticks", 0)
TOPIC_ID = str(uuid.UUID(int=1))
#: 2026-11-15 12:00 UTC, in seconds.
NOON = 1_794_744_000
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class LogRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def record_of(event: Event, offset: int, appended_ms: int = NOON * 1000) -> LogRecord:
    encoded = encode(event)
    return LogRecord(offset, appended_ms, encoded.key, encoded.value, encoded.headers)


def log_of(events: Iterable[Event], first: int = 0, appended_ms: int = NOON * 1000) -> Batch:
    """A batch of one partition, from offset `first`."""
    return Batch(
        TICKS, [record_of(event, first + at, appended_ms) for at, event in enumerate(events)]
    )


def trade(number: int = 0, **fields: Any) -> PriceTrade:
    """A trade of its own id, `number` milliseconds after noon."""
    time = NOON * 1_000_000 + number * 1_000
    values: dict[str, Any] = {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "trade_id": str(number),
        "price": Decimal("65000.10"),
        "size": Decimal("0.50"),
        "side": "buy",
        "time": time,
        "sequence": number,
        "received": time,
    }
    return PriceTrade(**{**values, **fields})


def unreadable(record: LogRecord) -> LogRecord:
    """The same record with a value that is no JSON."""
    return replace(record, value=b"\xff\x00 not JSON")


def cut(records: Sequence[Record], lengths: Iterable[int]) -> list[Batch]:
    """Consecutive batches of the given lengths; what remains is the last one."""
    batches, rest = [], list(records)
    for length in lengths:
        if rest[:length]:
            batches.append(Batch(TICKS, rest[:length]))
        rest = rest[length:]
    return [*batches, Batch(TICKS, rest)] if rest else batches


async def claim(
    projector: Projector, first_offset: int = 0, topic_id: str = TOPIC_ID, source: Partition = TICKS
) -> int:
    """Take over one partition; returns the offset to go on with."""
    claims = await projector.claim({source: LogStart(topic_id, first_offset)})
    return claims[source].next_offset


def rows(dsn: str, table: str, order: str = "", columns: str = "*") -> list[Mapping[str, Any]]:
    """All rows of a stable name, decimals as text so that trailing zeros count."""
    with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
        cursor = connection.execute(
            sql.SQL("select {} from {} {}").format(
                sql.SQL(columns),
                sql.Identifier(table),
                sql.SQL(f"order by {order}" if order else ""),
            )
        )
        names = [column.name for column in cursor.description or ()]
        return [
            {
                name: format(value, "f") if isinstance(value, Decimal) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in cursor.fetchall()
        ]


def empty(dsn: str, *tables: str) -> None:
    """Empty these tables, checkpoints and dead letters: the next example starts from nothing."""
    with psycopg.connect(dsn) as connection:
        names = [sql.SQL(name) for name in (*tables, "public.checkpoints", "public.dead_letters")]
        connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(names)))
