"""Records made by hand, and an archive of them, without a broker."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from projections.base import Partition
from streams.archive.manifest import Manifest, TopicId, manifest_name
from streams.archive.reader import read_manifest
from streams.archive.segment import SegmentWriter
from streams.archive.store import Store, open_store

TOPIC = "price.ticks"
PLACE = Partition(TOPIC, 0)
TOPIC_ID = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True, slots=True)
class Logged:
    """A record as a consumer reads it."""

    offset: int
    timestamp: int = 1_794_744_000_000
    timestamp_type: int = 1
    key: bytes | None = b"coinbase:BTC-USD"
    value: bytes | None = b"{}"
    headers: Sequence[tuple[str, bytes | None]] = (("ce_type", b"price.trade.v1"),)


def memory() -> str:
    """The URL of an archive in this process's memory that no other test has."""
    return f"memory://{secrets.token_hex(8)}"


def keep(location: str, *pieces: Sequence[Logged], partition: int = 0) -> Store:
    """Archive each of these pieces as a segment behind what is there."""
    store = open_store(location)
    manifest = read_manifest(store, TOPIC)
    manifest = manifest or Manifest(topic=TOPIC, topic_ids=(TopicId(topic_id=TOPIC_ID),))
    for records in pieces:
        writer = SegmentWriter(Partition(TOPIC, partition))
        writer.add(records)
        segment, data = writer.finish() or (None, b"")
        assert segment is not None
        store.write(segment.file, data)
        manifest = manifest.with_segment(segment)
    store.write(manifest_name(TOPIC), manifest.dump())
    return store


def plain(records: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Records as values that can be compared."""
    return [(r.offset, r.timestamp, r.key, r.value, tuple(map(tuple, r.headers))) for r in records]


def logged(start: int, until: int) -> list[Logged]:
    """Records that differ, at these offsets."""
    return [Logged(offset, value=b"%d" % offset) for offset in range(start, until)]
