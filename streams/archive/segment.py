"""Segments: consecutive records as one Parquet file, written once and checked when read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from projections.base import Partition
from streams.archive.columns import SCHEMA, LoggedRecord, digest, to_columns
from streams.archive.manifest import Segment
from streams.archive.store import Store
from streams.errors import UserError

__all__ = ["SegmentWriter", "open_segment"]

#: A segment is closed when it has grown to so many bytes or records: what a reader holds at once.
SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_RECORDS = 2_000_000
#: Records and bytes of one row group: what becomes objects at once.
GROUP_RECORDS = 16_384
GROUP_BYTES = 8 * 1024 * 1024


class SegmentWriter:
    """Takes the records of a partition, in order, until `is_full`; `finish` gives the file."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._sink = pa.BufferOutputStream()
        self._file = parquet.ParquetWriter(
            self._sink,
            SCHEMA.with_metadata({"topic": partition.topic, "partition": str(partition.partition)}),
            compression="zstd",
        )
        self._waiting: list[LoggedRecord] = []
        self._waiting_bytes = 0
        self._first: LoggedRecord | None = None
        self._last: LoggedRecord | None = None

    @property
    def is_full(self) -> bool:
        """Whether it should take no more."""
        count = 0 if self._first is None or self._last is None else self._until - self._first.offset
        return count >= SEGMENT_RECORDS or self._sink.tell() >= SEGMENT_BYTES

    def add(self, records: Sequence[LoggedRecord]) -> None:
        """Take these, which follow those before.

        Raises UserError where offsets are missing: no archive of such a topic could be told from
        one that lost records.
        """
        for record in records:
            if self._last is not None and record.offset != self._until:
                raise hole(self._partition, self._until, record.offset)
            self._first = self._first or record
            self._last = record
            self._waiting.append(record)
            self._waiting_bytes += _size(record)
            if len(self._waiting) >= GROUP_RECORDS or self._waiting_bytes >= GROUP_BYTES:
                self._flush()

    def finish(self) -> tuple[Segment, bytes] | None:
        """The file, and what the manifest says of it; None of no records."""
        self._flush()
        self._file.close()
        if self._first is None or self._last is None:
            return None
        data: bytes = self._sink.getvalue().to_pybytes()
        checksum = hashlib.sha256(data).hexdigest()
        first = self._first.offset
        # With the checksum, no two files have one name: a run that another got ahead of, or that
        # was killed, leaves a file that no manifest names, and never one that is not as it says.
        name = f"{first:020}-{self._until:020}-{checksum[:12]}.parquet"
        segment = Segment(
            partition=self._partition.partition,
            first=first,
            until=self._until,
            file=f"{self._partition.topic}/{self._partition.partition}/{name}",
            first_time=self._first.timestamp,
            last_time=self._last.timestamp,
            bytes=len(data),
            sha256=checksum,
            last_record=digest(self._last),
        )
        return segment, data

    @property
    def _until(self) -> int:
        assert self._last is not None
        return self._last.offset + 1

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_batch(to_columns(self._waiting), row_group_size=len(self._waiting))
        self._waiting, self._waiting_bytes = [], 0


def hole(partition: Partition, expected: int, found: int) -> UserError:
    """Offsets are missing in the middle of a log."""
    return UserError(
        f"{partition} has no record at offset {expected}, the next one is {found}: the topic is "
        "compacted, or written to by transactions, and cannot be archived; `tape topics create` "
        "says what its settings must be"
    )


def open_segment(store: Store, segment: Segment) -> Any:
    """A segment's ParquetFile, from bytes that were checked.

    Raises UserError: the file is missing, or is not what the manifest says.
    """
    data = store.read(segment.file)
    if data is None:
        raise damaged(store, segment, "is missing")
    if len(data) != segment.bytes:
        raise damaged(store, segment, f"has {len(data):,} bytes instead of {segment.bytes:,}")
    checksum = hashlib.sha256(data).hexdigest()
    if checksum != segment.sha256:
        raise damaged(store, segment, f"has the SHA-256 {checksum} instead of {segment.sha256}")
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise damaged(store, segment, f"is no Parquet file: {error}") from error
    if file.metadata.num_rows != segment.records:
        count = f"{file.metadata.num_rows:,} records instead of {segment.records:,}"
        raise damaged(store, segment, f"has {count}")
    return file


def damaged(store: Store, segment: Segment, why: str) -> UserError:
    """A file is not what the manifest says."""
    place = store.place(segment.file)
    return UserError(
        f"{place} {why}: the archive's offsets {segment.first} to {segment.until - 1} cannot be "
        "read. Put the file back from a copy of the archive; or, while the log still holds all of "
        "the topic, move the topic's folder away and run `tape archive run` again"
    )


def _size(record: LoggedRecord) -> int:
    """About the bytes of a record."""
    size = len(record.key or b"") + len(record.value or b"")
    return size + sum(len(name) + len(value or b"") for name, value in record.headers)
