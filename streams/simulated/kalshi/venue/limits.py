"""The venue's rate limit: a token bucket for reads. Pure.

Source: GET /account/limits and /account/endpoint_costs of the real venue: 10 tokens a request but
for a few, 200 tokens a second, 400 at once at the lowest tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.simulated.kalshi.venue.wire import Json

__all__ = ["Bucket", "Limits"]

_DEFAULT_COST = 10
#: Path of GET requests, as /account/endpoint_costs names it → tokens, where they are not 10.
_COSTS: Mapping[str, int] = {"/trade-api/v2/portfolio/orders/:order_id": 2}

_SECOND = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Tokens a second, and how many are saved up."""

    rate: int = 200
    capacity: int = 400
    costs: Mapping[str, int] = field(default_factory=lambda: _COSTS)

    def cost(self, path: str) -> int:
        """Tokens for a GET of a path, with `:names` in it."""
        return self.costs.get(path, _DEFAULT_COST)

    def record(self) -> Json:
        """The body of GET /account/limits."""
        read = {"refill_rate": self.rate, "bucket_capacity": self.capacity}
        write = {"refill_rate": 100, "bucket_capacity": 100}
        return {"usage_tier": "basic", "grants": [], "read": read, "write": write}

    def costs_record(self) -> Json:
        """The body of GET /account/endpoint_costs: those that differ from the usual."""
        costs = [{"method": "GET", "path": path, "cost": cost} for path, cost in self.costs.items()]
        return {"default_cost": _DEFAULT_COST, "endpoint_costs": costs}


class Bucket:
    """The tokens of one client; full at first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        #: Millionths of a token, so that a microsecond is a whole number of them.
        self._level = limits.capacity * _SECOND
        self._time: int | None = None

    def take(self, tokens: int, now: int) -> bool:
        """Whether there were so many tokens at `now`, microseconds; they are gone then."""
        since = 0 if self._time is None else max(0, now - self._time)
        self._time = now
        full = self._limits.capacity * _SECOND
        self._level = min(full, self._level + since * self._limits.rate)
        if self._level < tokens * _SECOND:
            return False
        self._level -= tokens * _SECOND
        return True
