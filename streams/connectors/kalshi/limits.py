"""Kalshi's rate limits: token buckets, and what a request costs.

Source: reference/connectors.md section 7; openapi.yaml, GetAccountApiLimits and
GetAccountEndpointCosts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.connectors.base import json_object
from streams.connectors.values import FrameError

__all__ = ["BASIC", "DEFAULT_COSTS", "Bucket", "Costs", "costs", "read_bucket"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many tokens come each second, and so many are kept at most."""

    per_second: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Costs:
    """Tokens of a GET: of most paths, and of those that match one of the patterns."""

    default: int
    exceptions: tuple[tuple[re.Pattern[str], int], ...] = ()

    def of(self, path: str) -> int:
        """Tokens of a GET of this path, below the base address."""
        return next(
            (cost for pattern, cost in self.exceptions if pattern.fullmatch(path)), self.default
        )


#: Reads of the lowest tier.
BASIC = Bucket(per_second=200, capacity=400)
DEFAULT_COSTS = Costs(default=10)

_BASE = "/trade-api/v2"
#: A part of a path that stands for any: `{order_id}` or `:order_id`.
_VARIABLE = re.compile(r"\{[^/]*\}|:[^/]+")


def read_bucket(reply: bytes) -> Bucket:
    """The bucket of reads by GET /account/limits. Raises FrameError where it is not told."""
    read = json_object(reply).get("read")
    if not isinstance(read, dict):
        raise FrameError("read: not there")
    return Bucket(_whole(read, "refill_rate", 1), _whole(read, "bucket_capacity", 1))


def costs(reply: bytes) -> Costs:
    """The costs of reads by GET /account/endpoint_costs. Raises FrameError where it is another."""
    value = json_object(reply)
    items = value.get("endpoint_costs")
    if not isinstance(items, list):
        raise FrameError("endpoint_costs: not there")
    exceptions = [
        (_pattern(_text(item, "path")), _whole(item, "cost", 0))
        for item in items
        if _text(item, "method") == "GET"
    ]
    return Costs(_whole(value, "default_cost", 0), tuple(exceptions))


def _pattern(route: str) -> re.Pattern[str]:
    parts = route.removeprefix(_BASE).split("/")
    return re.compile(
        "/".join("[^/]+" if _VARIABLE.fullmatch(part) else re.escape(part) for part in parts)
    )


def _text(item: object, name: str) -> str:
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, str):
        raise FrameError(f"{name}: not a text")
    return value


def _whole(item: Mapping[str, Any], name: str, least: int) -> int:
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise FrameError(f"{name}: not a whole number from {least} on")
    return value
