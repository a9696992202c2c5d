"""The order book of one market as the venue holds it: bids of both sides. Pure."""

from __future__ import annotations

from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.orders import ZERO
from streams.simulated.kalshi.venue.facts import BookChange

__all__ = ["Depth"]


class Depth:
    """Price → contracts bid for, of either side; and the clock of the last change."""

    def __init__(self) -> None:
        self.clock = 0
        self._bids: dict[Side, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}

    def apply(self, change: BookChange) -> None:
        """Change one level. A driver that takes more than there is, or turns the clock back, errs:
        ValueError, with nothing changed."""
        bids = self._bids[change.side]
        size = bids.get(change.price, ZERO) + change.delta
        if size < 0 or change.clock < self.clock:
            raise ValueError(f"the book of {change.ticker} has no room for {change}")
        self.clock = change.clock
        if size:
            bids[change.price] = size
        else:
            del bids[change.price]

    def bids(self, side: Side) -> list[Level]:
        """The bids of a side, the cheapest first, as recordings of the venue have them."""
        return [Level(price, size) for price, size in sorted(self._bids[side].items())]
