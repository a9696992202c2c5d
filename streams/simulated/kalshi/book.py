"""The order book of a simulated market: what strangers bid, and what the account bids. Pure.

To bid for one side is to offer the other: a bid for NO at 0.40 is an offer of YES at 0.60. The book
is never crossed, because nothing is bid that would meet a bid of the other side.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from streams.events.types import Side
from streams.simulated.kalshi.orders import CENT, ONE, ZERO, other

__all__ = ["Book", "Delta", "Level"]

#: Price levels that strangers bid at, for each side.
_LEVELS = 5
_LARGEST_LEVEL = 16
_CHANCE_OF_SAME_SIZE = 0.7
_SIDES: tuple[Side, ...] = ("yes", "no")


class Level(NamedTuple):
    """So many contracts of a side for so many dollars each."""

    price: Decimal
    size: Decimal


class Delta(NamedTuple):
    """`size` more contracts, or fewer, are bid for at a price of `side`."""

    side: Side
    price: Decimal
    size: Decimal


class Book:
    """Bids by side and price. What changes it returns the deltas, in the order of their making."""

    def __init__(self) -> None:
        #: The cheapest price at which strangers want to sell a side, also where a bid of the
        #: account keeps them from showing it; none above 99 cents.
        self.offered: dict[Side, Decimal] = {}
        self._strangers: dict[Side, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}
        self._own: dict[Side, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}

    def quote(self, cents: int, random_: random.Random) -> list[Delta]:
        """Have strangers bid anew, around a fair price of YES in cents."""
        half = random_.randint(1, 2)
        highest: dict[Side, int] = {"yes": cents - half, "no": 100 - cents - half}
        self.offered = {
            side: ONE - CENT * highest[other(side)] for side in _SIDES if highest[other(side)] > 0
        }
        deltas: list[Delta] = []
        for side in _SIDES:
            wanted = self._wanted(side, highest[side], random_)
            now = self._strangers[side]
            deltas += [
                Delta(side, price, wanted.get(price, ZERO) - now.get(price, ZERO))
                for price in sorted({*wanted, *now})
            ]
        # Less before more: else it would be crossed in between.
        changes = sorted((one for one in deltas if one.size), key=lambda one: one.size > ZERO)
        return [self._change(self._strangers, *one) for one in changes]

    def best(self, side: Side) -> Level | None:
        """The cheapest offer of a side that strangers make."""
        bids = self._strangers[other(side)]
        if not bids:
            return None
        highest = max(bids)
        return Level(ONE - highest, bids[highest])

    def within(self, side: Side, limit: Decimal, count: Decimal) -> list[Level]:
        """What `count` contracts at no more than `limit` get now; may be less, or nothing.

        Offers behind one of the account's own are out of reach: it does not trade with itself.
        """
        found: list[Level] = []
        limit = min(limit, self.own_offer(side))
        for bid, size in sorted(self._strangers[other(side)].items(), reverse=True):
            if ONE - bid > limit or not count:
                break
            found.append(Level(ONE - bid, min(size, count)))
            count -= found[-1].size
        return found

    def take(self, side: Side, taken: Iterable[Level]) -> list[Delta]:
        """Remove what `within` gave."""
        return [
            self._change(self._strangers, other(side), ONE - price, -size) for price, size in taken
        ]

    def own_offer(self, side: Side) -> Decimal:
        """The cheapest price at which the account sells a side by bidding for the other; else 1."""
        return ONE - max(self._own[other(side)], default=ZERO)

    def bid(self, side: Side, price: Decimal, size: Decimal) -> Delta:
        """Have the account bid for more, or for fewer, at a price that its own offer is above."""
        return self._change(self._own, side, price, size)

    def highest(self, side: Side) -> Level:
        """The best bid of a side, whoever makes it; 0 and none if there is none."""
        strangers, own = self._strangers[side], self._own[side]
        price = max([*strangers, *own], default=ZERO)
        return Level(price, strangers.get(price, ZERO) + own.get(price, ZERO))

    @property
    def yes_bid(self) -> Level:
        """The best bid for YES; 0 and none if there is none."""
        return self.highest("yes")

    @property
    def yes_ask(self) -> Level:
        """The best offer of YES; 1 and none if there is none."""
        no = self.highest("no")
        return Level(ONE - no.price, no.size)

    def bids(self, side: Side) -> list[Level]:
        """All bids of a side, the cheapest first."""
        prices = sorted({*self._strangers[side], *self._own[side]})
        return [
            Level(price, self._strangers[side].get(price, ZERO) + self._own[side].get(price, ZERO))
            for price in prices
        ]

    def _wanted(self, side: Side, highest: int, random_: random.Random) -> dict[Decimal, Decimal]:
        """What strangers bid from a price in cents downwards, where it meets no own bid."""
        now, ceiling = self._strangers[side], self.own_offer(side)
        prices = [CENT * cents for cents in range(highest, max(highest - _LEVELS, 0), -1)]
        return {
            price: now[price]
            if price in now and random_.random() < _CHANCE_OF_SAME_SIZE
            else _size(random_)
            for price in prices
            if price < ceiling
        }

    def _change(
        self, bids: dict[Side, dict[Decimal, Decimal]], side: Side, price: Decimal, size: Decimal
    ) -> Delta:
        left = bids[side].get(price, ZERO) + size
        if left:
            bids[side][price] = left
        else:
            del bids[side][price]
        return Delta(side, price, size)


def _size(random_: random.Random) -> Decimal:
    """Mostly whole contracts, sometimes a fraction."""
    whole = Decimal(random_.randint(2, _LARGEST_LEVEL))
    return whole + random_.choice((ZERO, ZERO, ZERO, Decimal("0.5")))
