"""Whether there is all of the history that a rebuild needs, and what is missing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from projections.base import Partition, Projection
from projections.checkpoint import Standing
from streams.rebuild.source import Source
from streams.retention import Offsets, missing

__all__ = ["Lacking", "lacking"]


class Lacking(NamedTuple):
    """What a rebuild would do without: offsets of partitions, and sentences that say it."""

    ranges: Mapping[Partition, Sequence[Offsets]]
    sentences: Sequence[str]


def lacking(
    projection: Projection[Any], live: Mapping[Partition, Standing], source: Source
) -> Lacking | None:
    """What the live tables were made of, or ought to have been, and is not at hand any more.

    That is what lies before the first offset at hand, what lies behind the last one, and the
    records of a topic that was deleted and made anew. `live` was read before `source`. A projection
    that keeps some days only does without what its log kept no longer.
    """
    at_hand = {part: [Offsets(*held)] for part, held in source.bounds.items()}
    found = missing(projection.name, at_hand) if projection.keeps_days is None else None
    ranges: dict[Partition, Sequence[Offsets]] = dict(found.ranges) if found else {}
    sentences = [str(found)] if found else []
    for part, one in live.items():
        if part not in source.bounds or not one.next_offset:
            continue
        until = source.bounds[part][1]
        if one.topic_id != source.topic_ids[part.topic]:
            sentences.append(
                f"the live tables hold {one.next_offset:,} records of {part} as it was before it"
                " was deleted and made anew"
            )
        elif one.next_offset > until:
            sentences.append(_behind_end(part, one, until))
            ranges[part] = [*ranges.get(part, ()), Offsets(until, one.next_offset)]
    return Lacking(ranges, sentences) if sentences else None


def _behind_end(part: Partition, live: Standing, until: int) -> str:
    return (
        f"the live tables are at offset {live.next_offset} of {part}, and its log ends at {until}:"
        f" the last {live.next_offset - until:,} records are gone (is this the right broker?)"
    )
