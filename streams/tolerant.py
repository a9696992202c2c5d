"""Reading and writing record batches with header names that are not UTF-8.

aiokafka's parser decodes header names and raises for those that are not UTF-8, each time again,
so that one such record would stop its partition for good. Here such a batch is read by aiokafka's
own Python parser, with the undecodable bytes kept as surrogates; the projection dead-letters the
record. Every other batch goes through the C parser as ever. Such a record is written, where a log
is restored, by aiokafka's own Python builder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords


class _Bytes(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, "surrogateescape")


class _Buffer(bytearray):
    """What the Python parser cuts header names from."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Bytes(found) if isinstance(index, slice) else found


class _Batch:
    """A record batch that falls back to the Python parser; all else is the C batch's."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(_read_tolerantly(bytes(self._data)))


def _read_tolerantly(data: bytes) -> list[Any]:
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    batch._buffer = _Buffer(batch._buffer)
    return [batch._read_msg() for _ in range(batch._num_records)]


#: A batch begins with its base offset (8 bytes) and its length behind this (4 bytes).
_LENGTH_AT = 8
_LENGTH_END = 12


class TolerantRecords:
    """Stands for aiokafka's MemoryRecords: the batches of one fetched partition."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._rest = memoryview(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> _Batch | None:
        batch = self._records.next_batch()
        if batch is None:
            return None
        length = int.from_bytes(self._rest[_LENGTH_AT:_LENGTH_END], "big", signed=True)
        data, self._rest = (
            self._rest[: _LENGTH_END + length],
            self._rest[_LENGTH_END + length :],
        )
        return _Batch(batch, data)


class _Name(str):
    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode(encoding, "surrogateescape")


def batch_of(
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> Any:
    """A batch of one record, for aiokafka's producer, with header names as they were read.

    `timestamp` in milliseconds since 1970 UTC.
    """
    batch = BatchBuilder(0, 0)
    builder = _DefaultRecordBatchBuilderPy(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=0
    )
    batch._builder, batch._set_producer_state = builder, builder.set_producer_state
    names = [(_Name(name), content) for name, content in headers]
    batch.append(timestamp=timestamp, key=key, value=value, headers=names)
    batch.close()
    return batch


def install() -> None:
    """Let every aiokafka consumer of this process read such batches."""
    fetcher.MemoryRecords = TolerantRecords
