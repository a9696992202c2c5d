"""Records as columns of Parquet, and back: every byte as it came.

The layout is for any tool that reads Parquet. Names of headers are bytes there: those that are not
UTF-8 are kept too (see `streams.tolerant`).
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, Literal, NamedTuple, Protocol

import pyarrow as pa
from pyarrow import compute

from projections.base import Record

__all__ = ["SCHEMA", "ArchivedRecord", "LoggedRecord", "digest", "to_columns", "to_records"]

_HEADER = pa.struct([pa.field("name", pa.binary(), False), pa.field("value", pa.binary())])
_HEADERS = pa.list_(pa.field("element", _HEADER, False))

#: `timestamp_type` is Kafka's: 1 where the broker gave the time at appending, 0 where a producer.
SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), False),
        pa.field("timestamp", pa.timestamp("ms", "UTC"), False),
        pa.field("timestamp_type", pa.int8(), False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", _HEADERS, False),
    ]
)

#: With fewer different values among so many first ones, equal values are one object.
_PROBE = 256
_FEW = 32

_Header = tuple[str, bytes | None]


class ArchivedRecord(NamedTuple):
    """A record as the archive gives it back; `timestamp` is the append time in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[_Header]


class LoggedRecord(Record, Protocol):
    """A record as a consumer reads it."""

    @property
    def timestamp_type(self) -> int: ...


def digest(record: Record) -> str:
    """SHA-256 of key, value and headers: the same wherever and whenever it was appended."""
    parts: list[bytes | None] = [record.key, record.value]
    for name, value in record.headers:
        parts += (name.encode(errors="surrogateescape"), value)
    found = hashlib.sha256()
    for part in parts:
        found.update(b"-" if part is None else b"%d:" % len(part) + part)
    return found.hexdigest()


def to_columns(records: Sequence[LoggedRecord]) -> Any:
    """A RecordBatch of `SCHEMA`."""
    headers = list(chain.from_iterable(record.headers for record in records))
    ends = accumulate((len(record.headers) for record in records), initial=0)
    names = [name.encode(errors="surrogateescape") for name, _ in headers]
    pairs = pa.StructArray.from_arrays(
        [pa.array(names, pa.binary()), pa.array([value for _, value in headers], pa.binary())],
        fields=list(_HEADER),
    )
    arrays = [
        pa.array([getattr(record, field.name) for record in records], field.type)
        for field in list(SCHEMA)[:-1]
    ]
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pairs, type=_HEADERS)
    return pa.record_batch([*arrays, lists], schema=SCHEMA)


def to_records(columns: Any) -> list[ArchivedRecord]:
    """The reverse of `to_columns`; without the type of the timestamps."""
    make = partial(tuple.__new__, ArchivedRecord)  # _make is a Python function, twice as slow
    with _collector_paused():
        fields = zip(
            _integers(columns.column("offset"), "q"),
            _integers(columns.column("timestamp"), "q"),
            _values(columns.column("key")),
            _bytes(columns.column("value")),
            _headers(columns.column("headers")),
            strict=True,
        )
        return list(map(make, fields))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without looking for cycles among objects that are none: half of the time goes there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _headers(lists: Any) -> Iterable[Sequence[_Header]]:
    """The headers of each record.

    Mostly all records have headers of the same names in the same order. Then it goes column by
    column, and equal headers are one object.
    """
    pairs, offsets = lists.values, _integers(lists.offsets, "i")
    encoded = pairs.field("name").dictionary_encode()
    names = [name.decode(errors="surrogateescape") for name in encoded.dictionary.to_pylist()]
    kinds, values = _integers(encoded.indices, "i"), pairs.field("value")
    records, width = len(lists), len(pairs) // len(lists)
    if offsets == list(range(0, records * width + 1, width or 1)) and width:
        layout = kinds[:width]
        if kinds == layout * records:
            firsts = pa.array(offsets[:-1], pa.int32())
            columns = (
                _column(names[kind], values.take(compute.add(firsts, at)))
                for at, kind in enumerate(layout)
            )
            return zip(*columns, strict=True)
    flat = tuple(zip((names[kind] for kind in kinds), _bytes(values), strict=True))
    return (flat[start:end] for start, end in pairwise(offsets))


def _column(name: str, values: Any) -> Iterable[_Header]:
    """One header of every record."""
    if not _are_few(values):
        return zip(repeat(name), _bytes(values))
    encoded = values.dictionary_encode()
    pairs = [(name, value) for value in encoded.dictionary.to_pylist()]
    pairs.append((name, None))
    return [pairs[index] for index in _indices(encoded)]


def _values(array: Any) -> list[bytes | None]:
    if not _are_few(array):
        return _bytes(array)
    encoded = array.dictionary_encode()
    values: list[bytes | None] = [*encoded.dictionary.to_pylist(), None]
    return [values[index] for index in _indices(encoded)]


def _are_few(array: Any) -> bool:
    return len(array.slice(0, _PROBE).unique()) < _FEW


def _indices(encoded: Any) -> list[int]:
    """Indices into the dictionary; -1 for null."""
    return _integers(encoded.indices.fill_null(-1), "i")


def _bytes(array: Any) -> list[bytes | None]:
    """The same as `to_pylist`, three times as fast where nothing is null."""
    _, offsets, data = array.buffers()
    if array.null_count or data is None:
        found: list[bytes | None] = array.to_pylist()
        return found
    places = memoryview(offsets).cast("i")[array.offset : array.offset + len(array) + 1].tolist()
    raw = data.to_pybytes()
    return [raw[start:end] for start, end in pairwise(places)]


def _integers(array: Any, kind: Literal["i", "q"]) -> list[int]:
    """Of an array without nulls, of 32 (`i`) or 64 bits (`q`)."""
    _, data = array.buffers()
    if len(array) == 0:
        return []
    numbers = memoryview(data).cast(kind)
    return numbers[array.offset : array.offset + len(array)].tolist()
