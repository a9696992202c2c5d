"""What a database is migrated with: all that is registered, since views read all of it."""

from __future__ import annotations

from typing import Any

from projections import PROJECTIONS
from projections.base import Projection


def registered(*more: Projection[Any]) -> list[Projection[Any]]:
    """Every registered projection, and a test's own."""
    return [*(projection() for projection in PROJECTIONS.values()), *more]
