"""Whether this machine's clock was set."""

from __future__ import annotations

__all__ = ["Clock"]

_SECOND = 1_000_000
#: A clock that is off by so much from one look to the next has jumped, which is told for a while.
_JUMP_S = 2.0
_TOLD_S = 60.0


class Clock:
    """Compares the wall clock with one that never jumps: they must go alike."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._jump: tuple[float, float] | None = None

    def jumped(self, now: int, monotonic: float) -> str | None:
        """A sentence for a minute after a jump.

        `now` in microseconds since 1970 UTC, `monotonic` in seconds.
        """
        offset = now / _SECOND - monotonic
        if self._offset is not None and abs(offset - self._offset) > _JUMP_S:
            self._jump = monotonic, offset - self._offset
        self._offset = offset
        if self._jump is None or monotonic - self._jump[0] > _TOLD_S:
            return None
        return f"the clock of this machine jumped by {self._jump[1]:+.0f} s: ages are off by that"
