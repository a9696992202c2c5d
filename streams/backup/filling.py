"""Appending to a partition so that each record gets the offset that it had."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from projections.base import Partition, Record
from streams import tolerant
from streams.errors import UserError

__all__ = ["Appender", "is_filler"]

#: So many batches of a partition are on their way at once.
_ON_THEIR_WAY = 3
#: What stands for a record that is to be removed at once, so that the next one gets its offset.
_FILLER = b""

_Header = tuple[str, bytes | None]


def is_filler(record: Record) -> bool:
    """Whether it stands for a record that the archive does not have."""
    return record.key is None and record.value == _FILLER and not record.headers


class Appender:
    """Appends to one partition from offset `at` on; nobody else may write to it meanwhile.

    Methods raise UserError: a record got another offset, or the broker does not take it.
    """

    def __init__(self, client: AIOKafkaProducer, source: Partition, at: int) -> None:
        self._client = client
        self._source = source
        self._next = at
        self._batch = client.create_batch()
        self._on_their_way: deque[tuple[int, Future[Any]]] = deque()

    async def append(self, records: Iterable[Record]) -> None:
        """Append these, with their timestamps."""
        for record in records:
            what = record.timestamp, record.key, record.value, list(record.headers)
            try:
                if not self._take(*what):
                    await self._send()
                    self._take(*what)
            except UnicodeEncodeError:
                await self._send()
                self._batch = tolerant.batch_of(*what)
                await self._send()

    async def fill(self, count: int, timestamp: int) -> None:
        """Append so many fillers."""
        for _ in range(count):
            if not self._take(timestamp, None, _FILLER, []):
                await self._send()
                self._take(timestamp, None, _FILLER, [])

    async def finish(self) -> None:
        """Returns once the log has all of them."""
        await self._send()
        while self._on_their_way:
            await self._settle()

    def _take(
        self, timestamp: int, key: bytes | None, value: bytes | None, headers: list[_Header]
    ) -> bool:
        """Whether there was room for it in the batch."""
        taken = self._batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
        return taken is not None

    async def _send(self) -> None:
        batch, self._batch = self._batch, self._client.create_batch()
        if not batch.record_count():
            return
        topic, partition = self._source
        try:
            sent = await self._client.send_batch(batch, topic, partition=partition)
        except KafkaError as error:
            raise self._refused(error) from error
        self._on_their_way.append((self._next, sent))
        self._next += batch.record_count()
        if len(self._on_their_way) > _ON_THEIR_WAY:
            await self._settle()

    async def _settle(self) -> None:
        wanted, sent = self._on_their_way.popleft()
        try:
            found = (await sent).offset
        except KafkaError as error:
            raise self._refused(error) from error
        # Below zero: the broker recognised a repeat, and does not say where it stands.
        if found not in (wanted, -1):
            raise UserError(
                f"{self._source}: a record that had offset {wanted} got {found}: someone else "
                "writes to the topic. Stop all producers, delete the topic, and run it again"
            )

    def _refused(self, error: KafkaError) -> UserError:
        return UserError(
            f"{self._source}: the broker does not take the records from offset {self._next} on: "
            f"{error!r}; run it again, and it goes on where it ended"
        )
