"""Pauses before what failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass
class Backoff:
    """Pauses that double from `first` to `cap` seconds, each drawn from its upper half.

    Jittered, so that many clients that lost one venue do not come back in step.
    """

    first: float = 0.5
    cap: float = 30.0
    failures: int = 0

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        longest = min(self.cap, self.first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return random.uniform(longest / 2, longest)

    def reset(self) -> None:
        """The connection works: start over with short pauses."""
        self.failures = 0
