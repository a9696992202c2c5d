"""Whether a consumer group is doing well, told by its last commits alone: the rules of Burrow.

No threshold of lag is needed: the same commits that tell where a group is tell whether it moves
and whether it keeps up. The rules are those of LinkedIn's Burrow, `calculatePartitionStatus` in
core/internal/evaluator/caching.go, with its names and numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

__all__ = ["INTERVALS", "MINIMUM_COMPLETE", "Commit", "Status", "Window"]
__all__ += ["group_status", "partition_status"]

#: So many commits make a whole window (Burrow's default, core/internal/storage/inmemory.go).
INTERVALS = 10
#: The part of a window without which nothing is judged: two commits of ten, for the time between
#: the first and the last is what rule 2 compares with. Burrow leaves it at 0.
MINIMUM_COMPLETE = 0.2


class Status(IntEnum):
    """Burrow's status constants, the better ones first."""

    NOTFOUND = 0
    OK = 1
    WARN = 2
    ERR = 3
    STOP = 4
    STALL = 5
    REWIND = 6


class Commit(NamedTuple):
    """One commit of a group in a partition.

    `offset` is the next to be read; `time` that of the commit, in microseconds since 1970 UTC;
    `lag` the records that were behind the offset then, None where that is not known.
    """

    offset: int
    time: int
    lag: int | None


class Window:
    """The last commits of one group in one partition, and the partition's last end offsets.

    It holds the same, whatever the order in which commits come, and however often.
    """

    def __init__(self, intervals: int = INTERVALS) -> None:
        self._intervals = intervals
        self._commits: list[Commit] = []
        self._ends: deque[int] = deque(maxlen=intervals)

    @property
    def commits(self) -> Sequence[Commit]:
        """At most `intervals`, the oldest first; of one time, the lower offset first."""
        return tuple(self._commits)

    @property
    def ends(self) -> Sequence[int]:
        """At most `intervals`, the oldest first."""
        return tuple(self._ends)

    def add(self, commit: Commit) -> None:
        """Take a commit in; the same one again, by time and offset, keeps its first lag."""
        place = bisect_right(self._commits, _order(commit), key=_order)
        if place and _order(self._commits[place - 1]) == _order(commit):
            return
        self._commits.insert(place, commit)
        del self._commits[: -self._intervals]

    def add_end(self, offset: int) -> None:
        """Take in the end offset that the partition has now, once for each look at the broker."""
        self._ends.append(offset)


def partition_status(
    commits: Sequence[Commit],
    ends: Iterable[int],
    now: int,
    current_lag: int,
    allowed_lag: int = 0,
    minimum_complete: float = MINIMUM_COMPLETE,
    intervals: int = INTERVALS,
) -> Status:
    """The status of a group in one partition: OK, STOP, REWIND, STALL or WARN.

    `commits` and `ends` as a window of `intervals` gives them, `now` in microseconds since 1970
    UTC, lags in records. Each rule holds only where none before it does:

    0. no commits, or less than `minimum_complete` of a window: OK
    1. the current lag is allowed: OK
    2. no commit for longer than the window spans, and no recent end offset that the last commit
       had reached: STOP
    3. a commit below the one before it, and none later that gets back to that: REWIND
    4. a commit whose lag was allowed: OK
    5. commits of one offset only: STALL
    6. a lag that never fell from one commit to the next, unknown ones left out: WARN
    7. else OK
    """
    if not commits or len(commits) / intervals < minimum_complete or current_lag <= allowed_lag:
        return Status.OK
    if _is_silent(commits, now) and not _was_at_an_end(commits, ends):
        return Status.STOP
    if _is_behind_itself(commits):
        return Status.REWIND
    lags = [commit.lag for commit in commits if commit.lag is not None]
    if any(lag <= allowed_lag for lag in lags):
        return Status.OK
    if all(commit.offset == commits[0].offset for commit in commits):
        return Status.STALL
    never_fell = all(later >= lag for lag, later in pairwise(lags))
    return Status.WARN if never_fell else Status.OK


def group_status(statuses: Iterable[Status]) -> Status:
    """The worst of a group's partitions, at most ERR; NOTFOUND for a group that has none."""
    return min(max(statuses, default=Status.NOTFOUND), Status.ERR)


def _is_silent(commits: Sequence[Commit], now: int) -> bool:
    first, last = commits[0].time, commits[-1].time
    return now - last > last - first


def _was_at_an_end(commits: Sequence[Commit], ends: Iterable[int]) -> bool:
    return any(end <= commits[-1].offset for end in ends)


def _is_behind_itself(commits: Sequence[Commit]) -> bool:
    """Whether some commit fell below the one before, and none later came up to that again."""
    highest_after = commits[-1].offset
    for before, after in reversed(list(pairwise(commits))):
        highest_after = max(highest_after, after.offset)
        if highest_after < before.offset:
            return True
    return False


def _order(commit: Commit) -> tuple[int, int]:
    return commit.time, commit.offset
