"""What a simulated market offers: a few price levels for each side, thinned by who takes. Pure."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import NamedTuple

from streams.events.types import Side
from streams.simulated.kalshi.orders import CENT, ONE, ZERO

__all__ = ["Book", "Level"]

#: An order that takes them all and then rests gets four fills at most.
_LEVELS = 3
_LARGEST_LEVEL = 16


class Level(NamedTuple):
    """So many contracts of a side may be had for so many dollars each."""

    price: Decimal
    size: Decimal


class Book:
    """Offers of both sides, the cheapest first."""

    def __init__(self) -> None:
        self._offers: dict[Side, list[Level]] = {"yes": [], "no": []}

    def quote(self, cents: int, random_: random.Random) -> None:
        """Offer anew, around a fair price of YES in cents; no offer is above 99 cents."""
        half = random_.randint(1, 2)
        self._offers = {
            "yes": _levels(cents + half, random_),
            "no": _levels(100 - cents + half, random_),
        }

    def best(self, side: Side) -> Level | None:
        """The cheapest offer of a side."""
        return self._offers[side][0] if self._offers[side] else None

    def within(self, side: Side, limit: Decimal, count: Decimal) -> list[Level]:
        """What `count` contracts at no more than `limit` get now; may be less, or nothing."""
        found: list[Level] = []
        for price, size in self._offers[side]:
            if price > limit or not count:
                break
            found.append(Level(price, min(size, count)))
            count -= found[-1].size
        return found

    def take(self, side: Side, taken: list[Level]) -> None:
        """Remove what `within` gave."""
        left = dict(self._offers[side])
        for price, size in taken:
            left[price] -= size
        self._offers[side] = [Level(price, size) for price, size in left.items() if size > ZERO]

    @property
    def yes_bid(self) -> Level:
        """The best bid for YES, which is an offer of NO; 0 and none if there is no bid."""
        offer = self.best("no")
        return Level(ONE - offer.price, offer.size) if offer else Level(ZERO, ZERO)

    @property
    def yes_ask(self) -> Level:
        """The best offer of YES; 1 and none if there is none."""
        return self.best("yes") or Level(ONE, ZERO)


def _levels(cheapest: int, random_: random.Random) -> list[Level]:
    prices = range(cheapest, min(cheapest + _LEVELS, 100))
    return [Level(CENT * price, _size(random_)) for price in prices]


def _size(random_: random.Random) -> Decimal:
    """Mostly whole contracts, sometimes a fraction."""
    whole = Decimal(random_.randint(2, _LARGEST_LEVEL))
    return whole + random_.choice((ZERO, ZERO, ZERO, Decimal("0.5")))
