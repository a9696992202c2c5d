"""What a worker believes about its partitions: which fetches count, and where each one stands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from projections.base import Batch, Partition, count_records
from projections.unit import Projector


class GapError(Exception):
    """Records do not follow the last projected one: some were lost on the way here."""


#: Records that may wait for the agent: it bounds the worker's memory, whatever the backlog.
WAITING_RECORDS = 12_000


@dataclass(frozen=True, slots=True)
class Fetch:
    """Records as fetched, at most one batch a partition, tagged with the seek that they follow."""

    seek: int
    batches: Sequence[Batch]

    @property
    def size(self) -> int:
        """The number of its records."""
        return count_records(self.batches)


class Ledger:
    """Admits fetches to units of work, and fences what a rebalance made stale."""

    def __init__(self, projector: Projector) -> None:
        self.projector = projector
        #: Held while a unit of work is under way.
        self.busy = asyncio.Lock()
        #: Counts the times that all was forgotten: what was admitted before is stale.
        self.rebalances = 0
        self._seek: int | None = None
        self._next: dict[Partition, int] = {}
        self._waiting = 0

    @property
    def has_room(self) -> bool:
        """Whether another fetch may be put before the agent."""
        return self._waiting < WAITING_RECORDS

    def put(self, fetch: Fetch) -> None:
        """Count a fetch that waits for the agent."""
        self._waiting += fetch.size

    def taken(self, fetch: Fetch) -> None:
        """The agent has it. It is seldom a stale one: a rebalance empties Faust's queues."""
        self._waiting = max(0, self._waiting - fetch.size)

    def forget(self) -> None:
        """Accept nothing until the next claim."""
        self.rebalances += 1
        self._seek = None
        self._next = {}
        self._waiting = 0
        self.projector.forget()

    def accept_after(self, seek: int) -> None:
        """Fetches that follow this seek count from now on."""
        self._seek = seek
        self._next = {source: claim.next_offset for source, claim in self.projector.claims.items()}

    @property
    def partitions(self) -> int:
        """How many are held."""
        return len(self.projector.claims) if self._seek is not None else 0

    @property
    def holds_partitions(self) -> bool:
        return self.partitions > 0

    def admit(self, fetches: Iterable[Fetch]) -> list[Batch]:
        """The batches that are to be projected: stale and already admitted records left out.

        Raises GapError when they do not follow what was admitted before. This check found records
        that the consumer had lost, more than once.
        """
        return [
            admitted
            for fetch in fetches
            if fetch.seek == self._seek
            for batch in fetch.batches
            if (admitted := self._admit(batch)) is not None
        ]

    def _admit(self, batch: Batch) -> Batch | None:
        want = self._next.get(batch.source)
        if want is None or batch.records[-1].offset < want:
            return None
        records = batch.records
        if records[0].offset < want:
            records = [record for record in records if record.offset >= want]
        first, last = records[0].offset, records[-1].offset
        if first != want or last - first + 1 != len(records):
            raise GapError(
                f"{batch.source}: wanted offset {want}, got {first} to {last}"
                f" in {len(records)} records"
            )
        self._next[batch.source] = last + 1
        return Batch(batch.source, records)
