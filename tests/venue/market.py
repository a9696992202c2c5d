"""One market of the seeded world: its book, and what strangers do to it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Quote
from streams.simulated.kalshi.orders import CENT, ONE, ZERO, other
from streams.simulated.kalshi.venue.facts import BookChange, Listed, PublicTrade
from tests.venue.truth import BookState

_SIDES: tuple[Side, ...] = ("yes", "no")
_DEEPEST = 12
Sizes = dict[Side, dict[Decimal, Decimal]]


def _empty() -> Sizes:
    return {"yes": {}, "no": {}}


@dataclass
class Market:
    """Sizes by side and price: of all, and those of the account's own orders among them."""

    listed: Listed
    clock: int
    sizes: Sizes = field(default_factory=_empty)
    own: Sizes = field(default_factory=_empty)
    last: Level = field(default_factory=lambda: Level(ZERO, ZERO))
    volume: Decimal = ZERO
    open_interest: Decimal = ZERO

    @property
    def state(self) -> BookState:
        """The whole book."""
        return BookState.of({"yes": self.sizes["yes"], "no": self.sizes["no"]})

    def tick(self, random_: random.Random) -> int:
        """The clock of the next action; it skips values."""
        self.clock += random_.randint(1, 5)
        return self.clock

    def strangers(self, side: Side) -> list[Level]:
        """The bids of a side that are not the account's, the best first."""
        own = self.own[side]
        levels = (
            Level(price, size - own.get(price, ZERO)) for price, size in self.sizes[side].items()
        )
        return sorted((level for level in levels if level.size), reverse=True)

    def best(self, side: Side) -> Level:
        """The best bid of a side; zero if there is none."""
        bids = [Level(price, size) for price, size in self.sizes[side].items() if size]
        return max(bids, default=Level(ZERO, ZERO))

    def change(
        self,
        side: Side,
        price: Decimal,
        delta: Decimal,
        clock: int,
        time: int,
        owner: tuple[str, int] | None = None,
    ) -> BookChange:
        """Change a level; `owner` is client order id and subaccount of an own order."""
        sizes = self.sizes[side]
        sizes[price] = sizes.get(price, ZERO) + delta
        if owner is not None:
            self.own[side][price] = self.own[side].get(price, ZERO) + delta
        client_order_id, subaccount = owner or (None, None)
        return BookChange(
            self.listed.ticker, clock, side, price, delta, time, client_order_id, subaccount
        )

    def stir(self, random_: random.Random, time: int) -> list[BookChange]:
        """A stranger bids more or less somewhere."""
        side = random_.choice(_SIDES)
        bids = self.strangers(side)
        if bids and (len(bids) >= _DEEPEST or random_.random() < 0.4):
            level = random_.choice(bids)
            less = level.size if random_.random() < 0.5 else _part(level.size, random_)
            return [self.change(side, level.price, -less, self.tick(random_), time)]
        highest = ONE - self.best(other(side)).price - CENT
        lowest = max(CENT, highest - 15 * CENT)
        if highest < lowest:
            return []
        price = lowest + CENT * random_.randint(0, int((highest - lowest) / CENT))
        return [self.change(side, price, _size(random_), self.tick(random_), time)]

    def reach(self, side: Side, limit: Decimal, count: Decimal) -> list[Level]:
        """What `count` of a side at no more than `limit` get of strangers' bids for the other."""
        found: list[Level] = []
        for bid in self.strangers(other(side)):
            level = Level(ONE - bid.price, min(bid.size, count))
            if level.price > limit or not level.size:
                break
            found.append(level)
            count -= level.size
        return found

    def take(self, side: Side, levels: list[Level], clock: int, time: int) -> list[BookChange]:
        """Remove what `reach` found."""
        return [
            self.change(other(side), ONE - level.price, -level.size, clock, time)
            for level in levels
        ]

    def traded(self, trade_id: str, taker: Side, level: Level, time: int) -> PublicTrade:
        """A trade at a price of the taker's side."""
        yes_price = level.price if taker == "yes" else ONE - level.price
        self.last = Level(yes_price, level.size)
        self.volume += level.size
        self.open_interest += level.size
        return PublicTrade(trade_id, self.listed.ticker, yes_price, level.size, taker, time)

    def quote(self, time: int) -> Quote:
        """What the venue shows of it."""
        no = self.best("no")
        return Quote(
            ticker=self.listed.ticker,
            market_id=self.listed.market_id,
            bid=self.best("yes"),
            ask=Level(ONE - no.price, no.size),
            last=self.last,
            volume=self.volume,
            open_interest=self.open_interest,
            time=time,
        )


def _size(random_: random.Random) -> Decimal:
    """Whole contracts, or hundredths of one."""
    if random_.random() < 0.3:
        return Decimal(random_.randint(1, 99_999)).scaleb(-2)
    return Decimal(random_.randint(1, 300))


def _part(size: Decimal, random_: random.Random) -> Decimal:
    return max(CENT, (size * random_.randint(1, 9) / 10).quantize(CENT))
