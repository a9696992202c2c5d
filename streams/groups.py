"""Names of consumer groups."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["group_name", "is_lease", "lease_group"]

_LEASE = "tickertape-lease-"


def group_name(projection: str) -> str:
    """The consumer group of a projection."""
    return f"tickertape-{projection}"


def lease_group(name: str) -> str:
    """The consumer group of a lease; what is not in [A-Za-z0-9._-] is percent-encoded."""
    return _LEASE + quote(name, safe="").replace("~", "%7E")


def is_lease(group: str) -> bool:
    """Whether it is the group of a lease, which commits nothing."""
    return group.startswith(_LEASE)
