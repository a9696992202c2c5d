"""Names of consumer groups."""

from __future__ import annotations

__all__ = ["group_name"]


def group_name(projection: str) -> str:
    """The consumer group of a projection."""
    return f"tickertape-{projection}"
