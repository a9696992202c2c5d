"""A unit of work that outlasts the server's transaction_timeout is retried at half its size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from projections import unit
from projections.base import Batch, Connection, Partition
from projections.checkpoint import LogStart
from tests.survival.scene import Scene
from tests.survival.tally import Row, Tally

_SOURCE = Partition("slow", 0)
_ID = "00000000-0000-0000-0000-000000000001"
_RECORDS = 100
_BAD = 57


@dataclass(frozen=True)
class Entry:
    """A record that only has an offset."""

    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Slow(Tally):
    """Takes ten milliseconds a record, and then cannot use one of them.

    The server ends the transaction in the midst of it. What psycopg then raises, after the
    rollback to the savepoint that failed, bears no SQLSTATE any more.
    """

    async def write(self, connection: Connection, facts: list[Row]) -> None:
        await super().write(connection, facts)
        time.sleep(0.01 * len(facts))  # noqa: ASYNC251 - as decoding does
        if any(offset == _BAD for _, offset, _ in facts):
            raise ValueError("this one is bad")


def test_timeout_while_an_offender_is_looked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "TRANSACTION_TIMEOUT_MS", 500)
    asyncio.run(asyncio.wait_for(commit_slowly(scene.dsn), 30))
    landed = [offset for (offset,) in scene.query('select "offset" from tally order by 1')]
    assert landed == [offset for offset in range(_RECORDS) if offset != _BAD]
    assert scene.query('select "offset" from dead_letters') == [(_BAD,)]


async def commit_slowly(dsn: str) -> None:
    projector = unit.Projector(Slow(), dsn)
    await projector.claim({_SOURCE: LogStart(_ID, 0)})
    await projector.commit([Batch(_SOURCE, [Entry(offset) for offset in range(_RECORDS)])])
    await projector.close()
