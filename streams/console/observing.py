"""The one place where the console gets the Pictures of the running system."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.console.source import PictureSource
from streams.errors import UserError
from streams.settings import Endpoints

__all__ = ["pictures"]


@asynccontextmanager
async def pictures(endpoints: Endpoints) -> AsyncIterator[PictureSource]:  # noqa: ARG001
    """What is seen of this broker and database, for as long as the context lasts."""
    raise UserError("this program has no observatory yet, whose pictures the console shows")
    yield
