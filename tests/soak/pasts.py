"""Every state that every book ever had, by the exchange's clock."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from tests.venue.truth import BookState
from tests.venue.world import World

__all__ = ["Pasts"]

_ZERO = Decimal(0)


class Pasts:
    """Learns from the changes as they come; a clock may have several states."""

    def __init__(self, world: World) -> None:
        self._changes = world.truth.changes
        self._known: dict[str, int] = defaultdict(int)
        self._sizes: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
        self._had: dict[str, dict[int, list[BookState]]] = defaultdict(dict)

    def had(self, ticker: str, clock: int | None, state: BookState) -> bool:
        """Whether the book was so at that clock; before its first change it was empty."""
        self._learn(ticker)
        had = self._had[ticker]
        if clock is None or not had or clock < min(had):
            return state == BookState()
        return state in had.get(clock, ())

    def _learn(self, ticker: str) -> None:
        changes = self._changes[ticker]
        sizes = self._sizes.setdefault(ticker, {"yes": {}, "no": {}})
        for change in changes[self._known[ticker] :]:
            side = sizes[change.side]
            side[change.price] = side.get(change.price, _ZERO) + change.delta
            states = self._had[ticker].setdefault(change.clock, [])
            states.append(BookState.of(sizes))
        self._known[ticker] = len(changes)
