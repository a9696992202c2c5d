"""Whether someone has read the simulated account to its end, as the venue's own line tells."""

from __future__ import annotations

from streams.simulated.kalshi.venue import Line
from streams.simulated.kalshi.venue.line import Manner
from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.kalshi.venue.rest import BASE

__all__ = ["Reads"]

_BALANCE = f"{BASE}/portfolio/balance"
#: What explains a balance, and comes by REST alone.
_FACTS = frozenset({f"{BASE}/portfolio/settlements", f"{BASE}/portfolio/deposits"})


class Reads(Line):
    """A line without faults, which notes what was asked for."""

    def __init__(self) -> None:
        #: Whether anyone ever asked for the balance.
        self.is_followed = False
        #: What is left to be asked for; None until the balance is.
        self._left: set[str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether since `begin` the balance was read, and after it what explains it."""
        return self._left is not None and not self._left

    def begin(self) -> None:
        """What was read before does not count."""
        self._left = None

    def reply(self, path: str, reply: Reply) -> tuple[Reply, Manner]:
        if path == _BALANCE:
            self.is_followed = True
            self._left = set(_FACTS) if self._left is None else self._left
        elif self._left is not None:
            self._left.discard(path)
        return super().reply(path, reply)
