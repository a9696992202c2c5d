"""Names of consumer groups."""

from __future__ import annotations

from collections.abc import Mapping

from projections import PROJECTIONS

__all__ = ["OURS", "group_name"]


def group_name(projection: str) -> str:
    """The consumer group of a projection."""
    return f"tickertape-{projection}"


#: The projection of each consumer group of ours. Where these stand, PostgreSQL knows.
OURS: Mapping[str, str] = {group_name(name): name for name in PROJECTIONS}
