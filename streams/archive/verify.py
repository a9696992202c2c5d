"""Whether an archive is whole: every file read, every checksum, every record's place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streams.archive.columns import SCHEMA
from streams.archive.manifest import Manifest, Segment, manifest_name
from streams.archive.reader import read_manifest
from streams.archive.segment import damaged, open_segment
from streams.archive.store import Store
from streams.errors import UserError

__all__ = ["Verified", "archived_topics", "verify"]


@dataclass
class Verified:
    """What was found so far. `faults` are sentences: a file, what is wrong, what to do.

    `unnamed` are files that no manifest names: left by a run that was killed, and of no harm.
    """

    topics: int = 0
    files: int = 0
    records: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)


def archived_topics(store: Store) -> list[str]:
    """The topics that have a manifest. Raises UserError: the place cannot be read."""
    names = (name.partition("/") for name in store.names())
    return [topic for topic, _, rest in names if manifest_name(topic) == f"{topic}/{rest}"]


def verify(
    store: Store,
    topics: Collection[str],
    found: Verified,
    advanced: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Look at all that is kept of these topics, telling it in `found`.

    `advanced` is given the bytes that were read, and how many there are. Raises UserError: the
    place cannot be read.
    """
    names = store.names()
    manifests = [one for one in (_manifest(store, topic, found) for topic in topics) if one]
    segments = [one for manifest in manifests for one in manifest.segments]
    total, done = sum(one.bytes for one in segments), 0
    for manifest in manifests:
        found.topics += 1
        for segment in manifest.segments:
            try:
                _check(store, segment)
            except UserError as fault:
                found.faults.append(str(fault))
            else:
                found.files += 1
                found.records += segment.records
                found.bytes += segment.bytes
            done += segment.bytes
            advanced(done, total)
        folder = f"{manifest.topic}/"
        known = {manifest_name(manifest.topic), *(one.file for one in manifest.segments)}
        found.unnamed += [name for name in names if name.startswith(folder) and name not in known]


def _manifest(store: Store, topic: str, found: Verified) -> Manifest | None:
    try:
        manifest = read_manifest(store, topic)
    except UserError as fault:
        found.faults.append(str(fault))
        return None
    if manifest is None:
        found.faults.append(
            f"{store.place(manifest_name(topic))} is missing: no such topic is kept"
        )
    return manifest


def _check(store: Store, segment: Segment) -> None:
    file = open_segment(store, segment)
    if not file.schema_arrow.equals(SCHEMA):
        raise damaged(store, segment, f"has the columns {', '.join(file.schema_arrow.names)}")
    offset = segment.first
    try:
        for columns in file.iter_batches():
            offset = _check_offsets(store, segment, columns.column("offset"), offset)
    except (pa.ArrowException, OSError) as error:
        raise damaged(store, segment, f"cannot be read: {error}") from error


def _check_offsets(store: Store, segment: Segment, found: Any, first: int) -> int:
    wanted = pa.array(range(first, first + len(found)), pa.int64())
    if not found.equals(wanted):
        raise damaged(store, segment, f"lacks an offset of {first} to {first + len(found) - 1}")
    return first + len(found)
