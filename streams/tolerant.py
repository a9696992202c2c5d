"""Reading record batches with header names that are not UTF-8.

aiokafka's parser decodes header names and raises for those that are not UTF-8, each time again,
so that one such record would stop its partition for good. Here such a batch is read by aiokafka's
own Python parser, with the undecodable bytes kept as surrogates; the projection dead-letters the
record. Every other batch goes through the C parser as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
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


def install() -> None:
    """Let every aiokafka consumer of this process read such batches."""
    fetcher.MemoryRecords = TolerantRecords
