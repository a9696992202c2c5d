"""How long the holder of a lease may trust itself: always less long than the broker trusts it.

The broker takes a member out of its group when it has heard no heartbeat for a session, or when
the member does not join a rebalance in time. It counts both from when it handled a request, which
is after the request was sent. So whoever counts the same times from the *sending*, and stops a
margin earlier, has stopped before the broker can assign the lease to another.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

__all__ = ["MARGIN", "REBALANCE", "SESSION", "Fence", "clock"]

#: Seconds without a heartbeat after which the broker takes a member out of the group.
SESSION = 6.0
#: Seconds that a rebalance waits for the members that have not joined it: longer than a session,
#: so that a dead standby, for which it waits so long, costs the holder nothing.
REBALANCE = 10.0
#: Seconds that the holder stops earlier than it would have to.
MARGIN = 1.0

# Unlike the monotonic one, this clock goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds since some fixed moment; counts the time in which the process was frozen."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Fence:
    """What a member may believe; every time is in seconds of `clock`.

    `lapses` counts the times that trust ended, also where nobody looked meanwhile: an interval of
    holding is one only while this number stays the same.
    """

    #: Whether the newest assignment that is known gives the lease to this member.
    assigned: bool = False
    lapses: int = 0
    #: The sending of the newest heartbeat to which the broker answered that it knows the member.
    alive: float = -math.inf
    #: Any rebalance that this member has not joined began after this.
    settled: float = -math.inf

    @property
    def until(self) -> float:
        """When trust ends, if nothing more is heard."""
        return min(self.alive + SESSION, self.settled + REBALANCE) - MARGIN

    def holds(self, now: float) -> bool:
        """Whether nobody else can have been assigned the lease."""
        return self.assigned and now < self.until

    def heartbeat(self, sent: float, now: float, *, stable: bool) -> None:
        """The broker knows the member; `stable` says that no rebalance waits for it."""
        self._note(now)
        self.alive = max(self.alive, sent)
        if stable:
            self.settled = max(self.settled, sent)

    def joined(self, now: float) -> None:
        """The member has joined a rebalance, which goes on until all others have joined as well.

        It was still going on when the broker answered the last heartbeat, so the next one, which
        would have to be joined again, begins later.
        """
        self._note(now)
        self.settled = max(self.settled, self.alive)

    def assign(self, now: float, *, assigned: bool) -> None:
        """The outcome of a rebalance."""
        self._note(now)
        if self.assigned and not assigned:
            self.lapses += 1
        self.assigned = assigned

    def drop(self) -> None:
        """The member is out of the group, or is about to leave it."""
        if self.assigned:
            self.lapses += 1
        self.assigned = False

    def _note(self, now: float) -> None:
        """Trust that had ended is not prolonged: it begins anew."""
        if self.assigned and now >= self.until:
            self.lapses += 1
