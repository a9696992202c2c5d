"""Reading an archive: manifests, and records in the order of the log."""

from __future__ import annotations

from collections.abc import Iterator

from projections.base import Partition
from streams.archive.columns import ArchivedRecord, to_records
from streams.archive.manifest import Gap, Manifest, manifest_name
from streams.archive.segment import open_segment
from streams.archive.store import Store, open_store
from streams.errors import UserError

__all__ = ["Archive", "read_manifest"]

_COLUMNS = ["offset", "timestamp", "key", "value", "headers"]


class Archive:
    """An archive as it was when each topic's manifest was first looked at.

    `location` is a folder or a URL that fsspec knows; nothing needs to be there. Methods raise
    UserError: a manifest or a file is damaged, or the place cannot be read.
    """

    def __init__(self, location: str) -> None:
        self._store = open_store(location)
        self._manifests: dict[str, Manifest | None] = {}

    def bounds(self, partition: Partition) -> tuple[int, int] | None:
        """The first offset that is kept, and the one behind the last; None of what has nothing."""
        manifest = self._manifest(partition.topic)
        segments = manifest.of(partition.partition) if manifest is not None else []
        return (segments[0].first, segments[-1].until) if segments else None

    def topic_ids(self, partition: Partition) -> list[tuple[str, int]]:
        """The ids that the topic had (UUID text), the oldest first.

        With each comes the offset from which it holds.
        """
        manifest = self._manifest(partition.topic)
        return [] if manifest is None else list(manifest.ids_of(partition.partition))

    def gaps(self, partition: Partition) -> list[Gap]:
        """Records that were lost before they were archived, as an operator has accepted."""
        manifest = self._manifest(partition.topic)
        return [] if manifest is None else manifest.gaps_of(partition.partition)

    def leads_to(self, partition: Partition, topic_id: str, first: int) -> int:
        """From which offset on the archive leads to the log's `first` one without a hole.

        That is `first` itself where it does not, or is of another topic of that name.
        """
        kept = self.bounds(partition)
        of_this_topic = topic_id in {one for one, _ in self.topic_ids(partition)}
        if kept is None or kept[1] < first or not of_this_topic:
            return first
        gaps = (gap.until for gap in self.gaps(partition) if gap.until <= first)
        return min(first, max([kept[0], *gaps]))

    def read(
        self, partition: Partition, start: int, until: int | None = None
    ) -> Iterator[list[ArchivedRecord]]:
        """The records from offset `start` on, below `until`, in their order.

        None means to the archive's end, where it ends in any case. Over `gaps` it goes on with the
        next record that is there. In memory are one file at a time (64 MB) and the records of one
        row group (16,384, or of 8 MB). Each file is checked before anything is taken of it.
        """
        manifest = self._manifest(partition.topic)
        for segment in manifest.of(partition.partition) if manifest is not None else []:
            if segment.until <= start or (until is not None and segment.first >= until):
                continue
            file = open_segment(self._store, segment)
            first = segment.first
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                if end > start and (until is None or first < until):
                    (columns,) = file.read_row_group(group, columns=_COLUMNS).to_batches()
                    records = to_records(columns)
                    last = None if until is None else until - first
                    yield records[max(start - first, 0) : last]
                first = end

    def _manifest(self, topic: str) -> Manifest | None:
        if topic not in self._manifests:
            self._manifests[topic] = read_manifest(self._store, topic)
        return self._manifests[topic]


def read_manifest(store: Store, topic: str) -> Manifest | None:
    """A topic's manifest; None where there is none. Raises UserError where it is damaged."""
    name = manifest_name(topic)
    data = store.read(name)
    if data is None:
        return None
    try:
        manifest = Manifest.load(data)
    except ValueError as error:
        raise _damaged(store, topic, str(error)) from None
    if manifest.topic != topic:
        raise _damaged(store, topic, f"it is of the topic {manifest.topic}")
    return manifest


def _damaged(store: Store, topic: str, why: str) -> UserError:
    return UserError(
        f"{store.place(manifest_name(topic))} is damaged ({why}). The files that it names are not "
        "touched: put it back from a copy of the archive; or, while the log still holds all of the "
        "topic, move the topic's folder away and run `tape archive run` again"
    )
