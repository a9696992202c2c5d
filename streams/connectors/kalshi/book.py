"""One market's order book as its messages make it, to notice when one was lost."""

from __future__ import annotations

from decimal import Context, Decimal

from streams.events import BookSnapshot
from streams.events.types import Side

__all__ = ["Book"]

#: Sums of decimals of 20 + 10 digits are exact in it.
_EXACT = Context(prec=60)
_ZERO = Decimal(0)


class Book:
    """The bids of both sides: price in dollars of the side → contracts."""

    def __init__(self, snapshot: BookSnapshot) -> None:
        self.seq = snapshot.seq
        self.levels: dict[Side, dict[Decimal, Decimal]] = {
            "yes": {price: size for price, size in snapshot.yes if size},
            "no": {price: size for price, size in snapshot.no if size},
        }

    def change(self, side: Side, price: Decimal, delta: Decimal, seq: int) -> bool:
        """Take a change of so many contracts. False, and nothing changed, if a level would become
        negative: a message was lost."""
        levels = self.levels[side]
        size = _EXACT.add(levels.get(price, _ZERO), delta)
        if size < 0:
            return False
        if size:
            levels[price] = size
        else:
            levels.pop(price, None)
        self.seq = seq
        return True
