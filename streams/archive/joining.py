"""The archive joined with the log: from which offset on there is history without a hole."""

from __future__ import annotations

from collections.abc import Mapping

from projections.base import Partition

__all__ = ["with_archive"]


def with_archive(
    location: str | None,
    topic_ids: Mapping[str, str],
    bounds: Mapping[Partition, tuple[int, int]],
) -> dict[Partition, tuple[int, int]]:
    """The bounds of logs, begun earlier where the archive leads to them. Blocks.

    Raises UserError: the archive is damaged.
    """
    if location is None or not any(first for first, _ in bounds.values()):
        return dict(bounds)
    from streams.archive.reader import Archive  # with it comes a large library

    archive = Archive(location)
    return {
        source: (archive.leads_to(source, topic_ids[source.topic], first), until)
        for source, (first, until) in bounds.items()
    }
