"""Records that an older program refused, and the redrive of them by this one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from projections.base import Batch, Decoded, Projection, Refused
from projections.checkpoint import LogStart
from projections.decisions import Operator
from projections.redrive import Outcome, Place, Redriver
from projections.unit import Projector
from tests.projections.logs import TOPIC_ID, rows, unreadable

ANN = Operator("ann", "mended")


def older(
    projection: type[Projection[Any]], refused: Container[int], topic: str = "price.ticks"
) -> Projection[Any]:
    """The projection of an older program: it cannot read the topic's records at these offsets."""

    class Older(projection):  # type: ignore[valid-type,misc]
        def decode(self, batches: Sequence[Batch]) -> Decoded[Any]:
            broken = [
                Batch(batch.source, [_broken(one, refused) for one in batch.records])
                if batch.source.topic == topic
                else batch
                for batch in batches
            ]
            decoded: Decoded[Any] = super().decode(broken)
            records = {(b.source, one.offset): one for b in batches for one in b.records}
            decoded.refused = [
                Refused(item.source, records[item.source, item.record.offset], "an older program")
                for item in decoded.refused
            ]
            return decoded

    return Older()


def _broken(record: Any, refused: Container[int]) -> Any:
    return unreadable(record) if record.offset in refused else record


async def project(dsn: str, projection: Projection[Any], *units: Sequence[Batch]) -> None:
    """Project these units by a fresh process."""
    sources = {batch.source for unit in units for batch in unit}
    projector = Projector(projection, dsn)
    await projector.claim({source: LogStart(TOPIC_ID, 0) for source in sources})
    for unit in units:
        await projector.commit(unit)
    await projector.close()


def waiting(dsn: str) -> list[Place]:
    """The dead letters that wait, in the order of a redrive."""
    found = rows(dsn, "dead_letters", 'projection, topic_id, partition, "offset"')
    return [
        Place(one["projection"], str(one["topic_id"]), one["partition"], one["offset"])
        for one in found
        if one["done"] is None
    ]


async def redrive(
    dsn: str, projection: Projection[Any], places: Iterable[Place] | None = None
) -> list[Outcome]:
    """What becomes of all that waits, or of these."""
    redriver = Redriver(projection, dsn, ANN)
    try:
        return [await redriver.redrive(place) for place in places or waiting(dsn)]
    finally:
        await redriver.close()
