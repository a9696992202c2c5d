"""What was projected of a topic before it was lost stands for the restored one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from projections.carrying import Move
from streams.archive.manifest import Manifest
from streams.archive.reader import read_manifest
from streams.archive.store import Store
from streams.events.catalogue import TopicSpec

__all__ = ["archived_moves", "moves_of", "partitions_of"]


def archived_moves(store: Store, specs: Iterable[TopicSpec]) -> list[Move]:
    """The moves of all topics that are archived. Raises UserError as `read_manifest` does."""
    manifests = ((spec, read_manifest(store, spec.name)) for spec in specs)
    return [
        move
        for spec, manifest in manifests
        if manifest is not None
        for move in moves_of(manifest, partitions_of(spec, manifest))
    ]


def partitions_of(spec: TopicSpec, manifest: Manifest) -> int:
    """How many partitions a topic has at least: the catalogue's, or more where it had more."""
    return max([spec.partitions, *(one + 1 for one in manifest.partitions)])


def moves_of(manifest: Manifest, partitions: int) -> list[Move]:
    """A move for each id that the topic had before, the newest first.

    An id's offsets mean the same records up to where the next one holds.
    """
    newest = manifest.topic_ids[-1].topic_id
    moves = [
        Move(
            topic=manifest.topic,
            topic_id=older.topic_id,
            to_topic_id=newest,
            untils={one: newer.since.get(one, 0) for one in range(partitions)},
        )
        for older, newer in pairwise(manifest.topic_ids)
    ]
    return moves[::-1]
