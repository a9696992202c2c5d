"""Where the console takes its Pictures from."""

from __future__ import annotations

from typing import Protocol

from streams.monitor.model import Picture

__all__ = ["PictureSource"]


class PictureSource(Protocol):
    """Makes a Picture each second. It raises nothing: what it cannot read is in the Picture."""

    @property
    def latest(self) -> Picture | None:
        """The newest Picture; None before the first."""

    async def next(self) -> Picture:
        """Wait for the Picture after `latest`."""
