"""Pictures and their parts as JSON for programs: levels by name, times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any

from streams.events.types import moment

__all__ = ["plain"]

#: The fields that are times, microseconds since 1970 UTC.
_TIMES = {
    "closed", "created", "heard", "last_frame", "moved", "newest", "opened", "read", "since",
    "stale_since", "taken",
}  # fmt: skip


def plain(value: Any) -> Any:
    """Objects, lists, texts and numbers; None stays null, and numbers get three digits."""
    if is_dataclass(value):
        return {one.name: _field(one.name, getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _field(name: str, value: Any) -> Any:
    return moment(value).isoformat() if name in _TIMES and value is not None else plain(value)
