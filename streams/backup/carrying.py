"""What was projected of a topic before it was lost stands for the restored one. Pure."""

from __future__ import annotations

from itertools import pairwise

from projections.carrying import Move
from streams.archive.manifest import Manifest

__all__ = ["moves_of"]


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
