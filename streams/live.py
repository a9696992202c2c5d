"""The right to act: to write to the log or to a venue because of what was read.

Who reads the log again, in a rebuild or a replay into tables, must not do again what was done when
it was written. So what acts demands a `Live` from its constructor, and a process that replays can
make none.
"""

from __future__ import annotations

from typing import ClassVar, Literal

__all__ = ["Live", "PurposeError", "replaying"]

_Purpose = Literal["live", "replaying"]


class PurposeError(RuntimeError):
    """A process was to act and to replay: a fault of the program."""


class Live:
    """The right to act. Made by commands that run beside the world as it is now.

    Raises PurposeError in a process that replays.
    """

    __slots__ = ()

    #: What this process is for, once it is known.
    _purpose: ClassVar[_Purpose | None] = None

    def __init__(self) -> None:
        self._declare("live")

    @classmethod
    def _declare(cls, purpose: _Purpose) -> None:
        if cls._purpose not in (None, purpose):
            raise PurposeError(
                f"this process is {cls._purpose}, it cannot be {purpose}: what acts because of"
                " what it reads, and what reads the log again, are processes of their own"
            )
        cls._purpose = purpose


def replaying() -> None:
    """Say, before anything else, that this process reads the log again: nothing in it may act.

    There is no way back. Raises PurposeError where something may act already.
    """
    Live._declare("replaying")
