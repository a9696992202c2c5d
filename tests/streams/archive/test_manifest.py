"""The manifest: what it says is read back, and what is not whole is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.archive.manifest import Gap, Manifest, Segment, TopicId

OLD = "00000000-0000-0000-0000-000000000001"
NEW = "00000000-0000-0000-0000-000000000002"
START = Manifest(topic="price.ticks", topic_ids=(TopicId(topic_id=OLD),))


def segment(partition: int, first: int, until: int) -> Segment:
    return Segment(
        partition=partition,
        first=first,
        until=until,
        file=f"price.ticks/{partition}/{first}.parquet",
        first_time=0,
        last_time=1,
        bytes=1,
        sha256="0" * 64,
        last_record="1" * 64,
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Partitions that grow by segments and gaps, and a topic that was made anew now and then."""
    manifest = START
    for number in range(draw(st.integers(0, 8))):
        partition = draw(st.integers(0, 2))
        first = manifest.end(partition)
        until = first + draw(st.integers(1, 100))
        match draw(st.sampled_from(["segment", "segment", "gap", "id"])):
            case "segment":
                manifest = manifest.with_segment(segment(partition, first, until))
            case "gap":
                gap = Gap(partition=partition, first=first, until=until)
                manifest = manifest.with_gap(gap)
            case _:
                manifest = manifest.with_id(f"00000000-0000-0000-0000-{number + 2:012}")
    return manifest


@given(manifests())
def test_what_is_written_is_read_back(manifest: Manifest) -> None:
    assert Manifest.load(manifest.dump()) == manifest


@given(manifests(), st.data())
def test_a_damaged_one_is_refused_or_still_one(manifest: Manifest, data: st.DataObject) -> None:
    written = bytearray(manifest.dump())
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(written)))
    for damaged in (bytes(written), bytes(written[:cut])):
        try:
            found = Manifest.load(damaged)
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most damage is refused, not all
        else:
            assert Manifest.load(found.dump()) == found


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([(0, 5, 9)], "partition 0 goes on at offset 5, not at 0"),
        ([(0, 0, 5), (0, 6, 9)], "partition 0 goes on at offset 6, not at 5"),
        ([(0, 0, 5), (0, 4, 9)], "partition 0 goes on at offset 4, not at 5"),
        ([(0, 0, 5), (1, 5, 9)], "partition 1 goes on at offset 5, not at 0"),
        ([(0, 0, 0)], "nothing lies from offset 0 below 0"),
    ],
)
def test_holes_and_overlaps_are_refused(parts: list[tuple[int, int, int]], told: str) -> None:
    fields: dict[str, Any] = segment(0, 0, 1).model_dump()
    segments = [
        {**fields, "partition": partition, "first": first, "until": until}
        for partition, first, until in parts
    ]
    with pytest.raises(ValueError, match=told):
        Manifest(topic="price.ticks", topic_ids=START.topic_ids, segments=segments)  # type: ignore[arg-type]


def test_ids_hold_from_where_the_archive_ended_when_they_came() -> None:
    manifest = START.with_segment(segment(0, 0, 7)).with_id(NEW).with_segment(segment(1, 0, 3))
    assert list(manifest.ids_of(0)) == [(OLD, 0), (NEW, 7)]
    assert list(manifest.ids_of(1)) == [(OLD, 0), (NEW, 0)]


def test_a_gap_at_the_end_has_no_last_segment() -> None:
    manifest = START.with_segment(segment(0, 0, 7))
    assert manifest.last(0) == segment(0, 0, 7)
    gapped = manifest.with_gap(Gap(partition=0, first=7, until=9))
    assert (gapped.last(0), gapped.end(0)) == (None, 9)
