"""The way from the venue to its clients, on which anything can go wrong. Values and one protocol.

The server asks its line what becomes of every connection, frame and reply. `Line` itself lets all
of it through; a test, or a simulation of bad days, gives another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.kalshi.venue.session import Frame

__all__ = ["Act", "Cut", "End", "Line", "Manner", "Send", "Stall", "Wait"]

#: `half`: the connection is cut in the middle; `drip`: byte by byte; `never`: nothing comes, and
#: the connection stays; `cut`: nothing comes, and it is cut.
Manner = Literal["whole", "half", "drip", "never", "cut"]


@dataclass(frozen=True)
class Send:
    """Send a text frame."""

    data: bytes
    manner: Literal["whole", "half", "drip"] = "whole"


@dataclass(frozen=True)
class Wait:
    """Hold up all that follows."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """Cut the connection, without a word."""


@dataclass(frozen=True)
class Stall:
    """Send no frame any more, and keep the connection: deaf, or with pings still answered."""

    deaf: bool


@dataclass(frozen=True)
class End:
    """End the subscription that the frame was of by a terminal error; the frame is not sent."""

    code: int


Act = Send | Wait | Cut | Stall | End


class Line:
    """A line without faults, and what others override. Connections are numbered from 1."""

    def upgrade(self, connection: int) -> Reply | Manner | None:
        """What answers an upgrade to a WebSocket instead of it, whoever asks; None: nothing."""
        return None

    def command(self, connection: int, data: str | bytes) -> int | None:
        """The code of the error that answers a command instead of what it asks for."""
        return None

    def frame(self, connection: int, frame: Frame) -> Sequence[Act]:
        """What becomes of a frame."""
        return (Send(frame.data),)

    def reply(self, path: str, reply: Reply) -> tuple[Reply, Manner]:
        """What becomes of the reply to a request; the path is without its query."""
        return reply, "whole"
