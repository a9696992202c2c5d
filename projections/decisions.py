"""What an operator decided: kept in the transaction that does it, sent to its topic from here.

So a decision is in the log if, and only if, what it says came about; see streams.decisions.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypedDict

from projections.base import Connection
from streams.events import Decision
from streams.events.types import moment

_INSERT = """
insert into public.decisions (id, ce_type, ce_source, subject, body, decided)
values (%s, %s, %s, %s, %s, %s)
"""


class About(TypedDict):
    """The fields that every decision has, but for what it is about."""

    decision_id: str
    operator: str
    time: int
    why: str | None


class Letters(TypedDict):
    """The fields of a decision about dead letters of one partition."""

    projection: str
    of_topic: str
    of_topic_id: str
    partition: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operator:
    """Who decides, and why: the same for all that one command does."""

    name: str
    why: str | None = None

    def decides(self) -> About:
        """A decision of now, with an id of its own."""
        return {
            "decision_id": str(uuid.uuid4()),
            "operator": self.name,
            "time": time.time_ns() // 1000,
            "why": self.why,
        }


def by_partition(rows: Iterable[tuple[str, str, str, int, int]]) -> Iterator[Letters]:
    """Rows of projection, topic, topic id, partition and offset, as decisions name them."""
    for key, found in groupby(sorted(rows), key=lambda row: row[:4]):
        projection, topic, topic_id, partition = key
        yield {
            "projection": projection,
            "of_topic": topic,
            "of_topic_id": topic_id,
            "partition": partition,
            "offsets": tuple(row[4] for row in found),
        }


async def record(connection: Connection, decision: Decision) -> None:
    """Keep a decision, in the transaction of the caller, which does what it says."""
    await connection.execute(
        _INSERT,
        [
            decision.event_id(),
            decision.ce_type(),
            decision.source(),
            decision.key(),
            decision.to_json().decode(),
            moment(decision.time),
        ],
    )
