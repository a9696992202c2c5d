"""Our own rules: what a group does with a partition, told within seconds.

Burrow's statuses (see `burrow`) need a window of commits; these need one look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.monitor.model import State

__all__ = ["STUCK_AFTER_S", "Facts", "hours_left", "state_of"]

#: Records wait for so long, and nothing moved: longer than a unit of work or a rebalance takes.
STUCK_AFTER_S = 5.0
_SECOND = 1_000_000
_HOUR_MS = 3_600_000

#: A group that is being assigned anew: nobody owns anything for a moment.
_REBALANCING = {"preparing_rebalance", "completing_rebalance", "assigning", "reconciling"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What one look tells of a group and a partition. Times are microseconds since 1970 UTC.

    `current` is the next offset to read, `oldest` when the first record that waits was appended
    (None: nothing waits, or it is not known), `moved` when `current` moved last, or was seen first
    where that is not known. `rewound_from` is
    where it was before it went back, until it gets there again. `is_ours` marks a projection, whose
    partitions somebody always has to own; others may read without being members.
    """

    current: int
    start: int
    end: int
    is_same_topic: bool
    owner: str | None
    group_state: str | None
    oldest: int | None
    moved: int
    rewound_from: int | None
    is_ours: bool

    @property
    def waiting(self) -> int:
        """Records that are there to be read."""
        return max(0, self.end - max(self.current, self.start))


def state_of(facts: Facts, now: int) -> State:
    """The worst that holds at `now`."""
    rules: tuple[tuple[State, Callable[[], bool]], ...] = (
        (State.ANEW, lambda: not facts.is_same_topic),
        (State.BEYOND, lambda: facts.current > facts.end),
        (State.LOST, lambda: facts.current < facts.start),
        (State.DEAD, lambda: facts.owner is None and _needs_owner(facts, now)),
        (State.STUCK, lambda: facts.waiting > 0 and _stands(facts, now)),
        (State.REWOUND, lambda: facts.rewound_from is not None),
    )
    return next((state for state, holds in rules if holds()), State.OK)


def _needs_owner(facts: Facts, now: int) -> bool:
    if facts.group_state in _REBALANCING:
        return False
    # Who only commits, and is no member, is seen by what it commits.
    return facts.is_ours or (facts.waiting > 0 and _stands(facts, now))


def _stands(facts: Facts, now: int) -> bool:
    """Whether the first waiting record is old, and nothing has moved since long ago."""
    if facts.oldest is None:
        return False
    return now - max(facts.oldest, facts.moved) >= STUCK_AFTER_S * _SECOND


def hours_left(oldest: int | None, retention_ms: int, now: int) -> float | None:
    """Until the first waiting record may be deleted, at the earliest: whole segments are.

    None where nothing waits, or where it is kept for ever.
    """
    if oldest is None or retention_ms < 0:
        return None
    return max(0.0, (oldest // 1000 + retention_ms - now // 1000) / _HOUR_MS)
