"""Where the console takes its Pictures from."""

from __future__ import annotations

from typing import Protocol

from streams.monitor.model import Picture

__all__ = ["UNWATCHED_S", "WATCHED_S", "PictureSource"]

#: Seconds from one Picture to the next, while a page is open, and while none is: then only the
#: charts' history goes on.
WATCHED_S = 1.0
UNWATCHED_S = 5.0


class PictureSource(Protocol):
    """Makes Pictures at a pace. It raises nothing: what it cannot read is in the Picture."""

    @property
    def latest(self) -> Picture | None:
        """The newest Picture; None before the first."""

    async def next(self) -> Picture:
        """Wait for the Picture after `latest`."""

    def change_pace(self, every: float) -> None:
        """Make one every so many seconds from now on."""
