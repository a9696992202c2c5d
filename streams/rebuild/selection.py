"""The records of some Kafka keys, found in the log and kept on disk.

The log has no index by key, so all of it is read. What is found goes into a temporary file: there
may be more than memory holds, and it is read again in parts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from projections.base import Batch, Partition, Record
from streams.log import LogReader

__all__ = ["Kept", "Moved", "Selection", "select"]

#: Called with how many records were read so far, and how many there are to read.
Moved = Callable[[int, int], None]

_AT_ONCE = 10_000

_TABLES = """
create table records (
    source integer not null, "offset" integer not null, rank integer not null,
    timestamp integer not null, key blob, value blob, headers text not null
);
create table places (place integer primary key, record integer not null);
"""
_ADD = "insert into records values (?, ?, ?, ?, ?, ?, ?)"
_ORDER = """
insert into places (place, record)
select row_number() over (order by rank, source, "offset") - 1, rowid from records
"""
_READ = """
select r.source, r."offset", r.timestamp, r.key, r.value, r.headers
from places as p join records as r on r.rowid = p.record
where p.place >= ? and p.place < ?
order by p.place
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it was in the log; see projections.base.Record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Selection:
    """Records in one order: that of their offsets in each partition, across partitions by append
    time. Use as a context manager, which ends with the file.
    """

    def __init__(self, sources: Collection[Partition]) -> None:
        self._sources = sorted(sources)
        self._numbers = {source: number for number, source in enumerate(self._sources)}
        self._newest: dict[Partition, int] = {}
        self._size = 0
        self._file = sqlite3.connect("")  # a file without a name: gone with the process
        self._file.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._size

    def add(self, source: Partition, records: Sequence[Record]) -> None:
        """Keep records of a partition, which come in offset order."""
        rows = []
        for record in records:
            # A clock that was set back must not put a record before an earlier one.
            rank = max(record.timestamp, self._newest.get(source, record.timestamp))
            self._newest[source] = rank
            about = (self._numbers[source], record.offset, rank, record.timestamp)
            rows.append((*about, record.key, record.value, _text(record.headers)))
        self._file.executemany(_ADD, rows)
        self._size += len(rows)

    def arrange(self) -> None:
        """Put what was added in order; `read` may be called from now on."""
        self._file.execute(_ORDER)

    def read(self, first: int, until: int) -> list[Batch]:
        """The records from one place of the order up to and without another."""
        rows = self._file.execute(_READ, [first, until])
        return [
            Batch(self._sources[number], [_kept(*row[1:]) for row in found])
            for number, found in groupby(rows, key=lambda row: row[0])
        ]

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Topic, partition and offset of each record, in any order."""
        for number, offset in self._file.execute('select source, "offset" from records'):
            yield (*self._sources[number], offset)

    def sources_by_key(self) -> dict[bytes, set[Partition]]:
        """In which partitions each key was met."""
        found: dict[bytes, set[Partition]] = {}
        for key, number in self._file.execute("select distinct key, source from records"):
            found.setdefault(key, set()).add(self._sources[number])
        return found


def _kept(
    offset: int, timestamp: int, key: bytes | None, value: bytes | None, headers: str
) -> Kept:
    return Kept(offset, timestamp, key, value, _headers(headers))


def _text(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Bytes as the characters of the same numbers: exact, whatever they are."""
    return json.dumps([(name, value and value.decode("latin-1")) for name, value in headers])


def _headers(text: str) -> list[tuple[str, bytes | None]]:
    return [
        (name, None if value is None else value.encode("latin-1"))
        for name, value in json.loads(text)
    ]


async def select(
    reader: LogReader,
    starts: Mapping[Partition, int],
    untils: Mapping[Partition, int],
    keys: Collection[bytes],
    found: Selection,
    moved: Moved,
    appended_by: int | None = None,
) -> None:
    """Add the records with these keys that lie between the starts and the untils.

    Those only that were appended up to a time (ms), if one is given.

    Raises UserError as LogReader.read does.
    """
    wanted = frozenset(keys)
    total = sum(max(0, until - starts[source]) for source, until in untils.items())
    read = 0
    moved(read, total)
    async for batches in reader.read(starts, untils, _AT_ONCE):
        for batch in batches:
            kept = [record for record in batch.records if record.key in wanted]
            if appended_by is not None:
                kept = [record for record in kept if record.timestamp <= appended_by]
            found.add(batch.source, kept)
            read += len(batch.records)
        moved(read, total)
