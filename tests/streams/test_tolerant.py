"""Record batches whose header names are not UTF-8."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from streams import tolerant

NONE, LZ4 = 0, 3


class RawName(str):
    """A header name that goes onto the wire as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


def batch_of(names: list[str], compression: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1_000_000)
    for offset, name in enumerate(names):
        builder.append(offset, 1_000 + offset, b"key", b"value %d" % offset, [(name, b"x")])
    return bytes(builder.build())


def all_records(records: Any) -> list[Any]:
    found = []
    while records.has_next():
        found += list(records.next_batch())
    return found


@pytest.mark.parametrize("compression", [NONE, LZ4])
def test_the_library_alone_cannot_read_past_such_a_record(compression: int) -> None:
    with pytest.raises(UnicodeDecodeError):
        all_records(MemoryRecords(batch_of(["a", RawName("b"), "c"], compression)))


@pytest.mark.parametrize("compression", [NONE, LZ4])
def test_such_a_record_and_all_around_it_are_read(compression: int) -> None:
    data = (
        batch_of(["first"], compression)
        + batch_of(["a", RawName("b"), "c"], compression)
        + batch_of(["last"], compression)
    )
    found = all_records(tolerant.TolerantRecords(data))
    assert [record.headers[0][0] for record in found] == ["first", "a", "\udcff\udcfe", "c", "last"]
    assert [record.value for record in found] == [
        b"value 0",
        b"value 0",
        b"value 1",
        b"value 2",
        b"value 0",
    ]


def test_every_other_batch_keeps_the_records_of_the_c_parser() -> None:
    data = batch_of(["a", "b"], LZ4)
    plain = all_records(MemoryRecords(data))
    found = all_records(tolerant.TolerantRecords(data))
    assert [type(record) for record in found] == [type(record) for record in plain]
    assert [(r.offset, r.key, r.value, r.headers) for r in found] == [
        (r.offset, r.key, r.value, r.headers) for r in plain
    ]


def test_the_fetcher_takes_its_records_from_where_they_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original: Callable[..., Any] = fetcher.MemoryRecords
    monkeypatch.setattr(fetcher, "MemoryRecords", original)
    tolerant.install()
    assert fetcher.MemoryRecords is tolerant.TolerantRecords


def test_such_a_record_is_written_as_it_was_read() -> None:
    headers = [("\udcff\udcfe", b"x"), ("b", None)]
    batch = tolerant.batch_of(5, b"key", None, headers)
    (read,) = all_records(tolerant.TolerantRecords(bytes(batch._build())))
    assert (read.timestamp, read.key, read.value) == (5, b"key", None)
    assert [tuple(header) for header in read.headers] == headers
