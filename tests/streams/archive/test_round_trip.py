"""What goes into the archive comes out of it, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from projections.base import Partition
from streams.archive import segment
from streams.archive.manifest import Gap, Manifest, manifest_name
from streams.archive.reader import Archive
from streams.archive.segment import SegmentWriter
from streams.errors import UserError
from tests.streams.archive.keeping import PLACE, TOPIC, Logged, keep, logged, memory, plain

_INT64 = st.integers(-(2**63), 2**63 - 1)
_NAMES = st.binary(max_size=6).map(lambda raw: raw.decode(errors="surrogateescape"))
_VALUES = st.none() | st.binary(max_size=40)
_SHAPES = st.lists(st.lists(_NAMES, max_size=4), min_size=1, max_size=2)


@pytest.fixture(scope="module", autouse=True)
def small_groups() -> Iterator[None]:
    """Row groups of three records, so that a few records fill several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "GROUP_RECORDS", 3)
        yield


@st.composite
def records(draw: st.DrawFn) -> list[Logged]:
    """From offset 0 on; the headers are mostly of one or two layouts, as in life."""
    shapes = draw(_SHAPES)
    count = draw(st.integers(1, 12))
    return [
        Logged(
            offset,
            draw(_INT64),
            draw(st.sampled_from([0, 1])),
            draw(_VALUES),
            draw(_VALUES),
            [(name, draw(_VALUES)) for name in draw(st.sampled_from(shapes))],
        )
        for offset in range(count)
    ]


def read(location: str, start: int = 0, until: int | None = None) -> list[tuple[object, ...]]:
    return plain(list(chain.from_iterable(Archive(location).read(PLACE, start, until))))


@given(records(), st.data())
def test_any_records_come_back_from_any_offset_to_any_other(
    written: list[Logged], data: st.DataObject
) -> None:
    location, cut = memory(), data.draw(st.integers(0, len(written)))
    keep(location, *(piece for piece in (written[:cut], written[cut:]) if piece))
    assert read(location) == plain(written)
    start, until = data.draw(st.integers(0, 15)), data.draw(st.integers(0, 15))
    assert read(location, start, until) == plain(written[start:until])
    assert Archive(location).bounds(PLACE) == (0, len(written))


def test_records_of_one_layout_and_of_many_read_alike() -> None:
    """The reader goes column by column where it can: with many values, few, and none."""
    same: list[tuple[str, bytes | None]] = [("ce_type", b"a"), ("ce_id", None)]
    written = [
        Logged(n, headers=[*same, ("n", b"%d" % n), ("half", None if n % 2 else b"x")])
        for n in range(400)
    ]
    written[300] = replace(written[300], headers=[])
    location = memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "GROUP_RECORDS", 250)
        keep(location, written)
    assert read(location) == plain(written)


def test_each_list_is_a_row_group_and_none_is_empty() -> None:
    location = memory()
    keep(location, logged(0, 7), logged(7, 8))
    found = [[one.offset for one in batch] for batch in Archive(location).read(PLACE, 2, 7)]
    assert found == [[2], [3, 4, 5], [6]]
    assert list(Archive(location).read(PLACE, 8)) == []


def test_what_is_not_there_is_told_apart_from_what_is(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "nothing"))
    assert archive.bounds(PLACE) is None
    assert archive.topic_ids(PLACE) == []
    assert list(archive.read(PLACE, 0)) == []
    keep(str(tmp_path), logged(0, 3))
    assert Archive(str(tmp_path)).bounds(Partition(TOPIC, 1)) is None


def test_reading_goes_on_behind_an_accepted_gap() -> None:
    location = memory()
    store = keep(location, logged(0, 4))
    manifest = Manifest.load(store.read(manifest_name(TOPIC)) or b"")
    manifest = manifest.with_gap(Gap(partition=0, first=4, until=9))
    store.write(manifest_name(TOPIC), manifest.dump())
    keep(location, logged(9, 12))
    assert read(location, 2) == plain([*logged(2, 4), *logged(9, 12)])
    archive = Archive(location)
    assert archive.bounds(PLACE) == (0, 12)
    assert [(gap.first, gap.until) for gap in archive.gaps(PLACE)] == [(4, 9)]


def test_offsets_that_do_not_follow_each_other_are_refused() -> None:
    writer = SegmentWriter(PLACE)
    writer.add(logged(0, 3))
    with pytest.raises(UserError, match=r"price\.ticks\[0\] has no record at offset 3.*compacted"):
        writer.add(logged(4, 5))


def test_any_parquet_tool_reads_the_files(tmp_path: Path) -> None:
    keep(str(tmp_path), [Logged(0, 5, 1, b"k", None, [("\udcff", b"v"), ("\udcff", None)])])
    (path,) = tmp_path.rglob("*.parquet")
    (row,) = parquet.read_table(path).to_pylist()
    assert row == {
        "offset": 0,
        "timestamp": datetime.fromtimestamp(0.005, UTC),
        "timestamp_type": 1,
        "key": b"k",
        "value": None,
        "headers": [{"name": b"\xff", "value": b"v"}, {"name": b"\xff", "value": None}],
    }
