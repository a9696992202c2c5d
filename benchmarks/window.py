"""From commits to rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Window:
    """When rows became durable: (Unix seconds, rows) of each commit, in order of time.

    The rate is that of the rows after the first commit, over the time from the first commit to the
    last. So neither start-up nor the size of a contender's batches is in it: the rows of the first
    batch, which was read before the clock started, are left out.
    """

    commits: Sequence[tuple[float, int]]

    def __post_init__(self) -> None:
        if len(self.commits) < 2:
            raise ValueError(f"{len(self.commits)} commit(s) give no rate; take more rows (--rows)")

    @property
    def first(self) -> float:
        """Unix seconds of the first commit."""
        return self.commits[0][0]

    @property
    def last(self) -> float:
        """Unix seconds of the last commit."""
        return self.commits[-1][0]

    @property
    def rows(self) -> int:
        """Rows committed after the first commit."""
        return sum(rows for _, rows in self.commits[1:])

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / (self.last - self.first)

    def second_half(self) -> Window:
        """From the commit that brought half of the rows: a contender that has warmed up."""
        total = sum(rows for _, rows in self.commits)
        running = list(accumulate(rows for _, rows in self.commits))
        half = next(index for index, rows in enumerate(running) if rows * 2 >= total)
        return Window(self.commits[min(half, len(self.commits) - 2) :])
