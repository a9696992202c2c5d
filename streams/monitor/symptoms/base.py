"""A symptom: a sentence about what is wrong with one node of the system."""

from __future__ import annotations

from dataclasses import dataclass

from streams.monitor.model import Level

__all__ = ["SECOND", "STORES", "Symptom"]

SECOND = 1_000_000
#: The nodes that nearly everything stands on.
STORES = ("broker", "database")


@dataclass(frozen=True, slots=True)
class Symptom:
    """A sentence about a node, and since when; it counts once it has lasted `patience_s`."""

    node: str
    level: Level
    since: int
    text: str
    causes: tuple[str, ...] = ()
    patience_s: float = 0.0
