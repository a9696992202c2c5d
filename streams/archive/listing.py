"""What an archive holds of each partition, beside what the log holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streams.archive.log import Log
from streams.archive.manifest import Manifest

__all__ = ["Row", "rows_of"]

#: `continues`: the log goes on where the archive ends. `hole`: it begins behind that.
#: `ends before`: it has lost what the archive has. `made anew`: the topic has another id.
#: `no topic`: the broker does not have it. `unknown`: the broker was not reached.
State = Literal["continues", "hole", "ends before", "made anew", "no topic", "unknown"]


@dataclass(frozen=True)
class Row:
    """A partition: offsets from `first` below `until`, append times in ms since 1970 UTC.

    They are None where nothing is archived. `missing` counts the records of accepted gaps. The log
    holds offsets from `log_start` below `log_end`, of which `waiting` are not archived.
    """

    topic: str
    partition: int
    first: int | None
    until: int | None
    first_time: int | None
    last_time: int | None
    records: int
    files: int
    bytes: int
    missing: int
    log: State
    log_start: int | None
    log_end: int | None
    waiting: int | None


def rows_of(topic: str, manifest: Manifest | None, log: Log | None, *, reached: bool) -> list[Row]:
    """A row for each partition that archive or log have; `reached` is whether the broker was."""
    archived = manifest.partitions if manifest is not None else []
    partitions = sorted({*archived, *(log.bounds if log is not None else ())})
    return [_row(topic, one, manifest, log, reached=reached) for one in partitions]


def _row(
    topic: str, partition: int, manifest: Manifest | None, log: Log | None, *, reached: bool
) -> Row:
    segments = manifest.of(partition) if manifest is not None else []
    gaps = manifest.gaps_of(partition) if manifest is not None else []
    end = manifest.end(partition) if manifest is not None else 0
    bounds = log.bounds.get(partition) if log is not None else None
    start, last = bounds or (None, None)
    return Row(
        topic=topic,
        partition=partition,
        first=segments[0].first if segments else None,
        until=segments[-1].until if segments else None,
        first_time=segments[0].first_time if segments else None,
        last_time=segments[-1].last_time if segments else None,
        records=sum(one.records for one in segments),
        files=len(segments),
        bytes=sum(one.bytes for one in segments),
        missing=sum(one.until - one.first for one in gaps),
        log=_state(manifest, log, bounds, end) if reached else "unknown",
        log_start=start,
        log_end=last,
        waiting=None if bounds is None else max(0, bounds[1] - max(end, bounds[0])),
    )


def _state(
    manifest: Manifest | None, log: Log | None, bounds: tuple[int, int] | None, end: int
) -> State:
    if log is None or bounds is None:
        return "no topic"
    if manifest is not None and manifest.topic_ids[-1].topic_id != log.topic_id:
        return "made anew"
    if bounds[0] > end:
        return "hole"
    return "continues" if bounds[1] >= end else "ends before"
