"""What an account did, made from a seed: markets, the trades in them, their orders and fills.

The shape is that of the real account of summer 2025: 1,509 fills for 1,425 orders, one to four
fills for an order, 1.9 orders for a market; half of the trades are closed by an order of the other
side, the rest by the settlement. Money is in whole cents, times in microseconds.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

from streams.events.tickers import EASTERN

STARTS = datetime(2025, 1, 2, tzinfo=UTC)
#: Between the first trades of one market and the next.
MARKET_EVERY = timedelta(seconds=320)
#: How many of the newest fills are of markets that are not settled yet.
UNSETTLED_SHARE = 0.01

#: How many fills each of 1,425 orders had.
_FILLS_OF_ORDERS = (*[1] * 1357, *[2] * 53, *[3] * 14, 4)
#: How many trades a market has: 1.28 in the mean.
_TRADES_OF_MARKETS = (*[1] * 80, *[2] * 14, *[3] * 4, *[4] * 2)
_CLOSED_SHARE = 0.5
#: Of those that are closed by an order: closed to one half, the rest is settled.
_HALF_CLOSED_SHARE = 0.1
#: Opening orders that were canceled after a partial fill.
_CANCELED_SHARE = 4 / 1425
_WON_SHARE = 0.93

_SECOND = 1_000_000


class Execution(NamedTuple):
    """One fill; `cents` is the price of the side acquired."""

    trade_id: str
    size: int
    cents: int
    time: int

    @property
    def fee(self) -> int:
        """Cents: 0.07 * count * p * (1 - p) dollars, rounded up."""
        return -(-7 * self.size * self.cents * (100 - self.cents) // 10_000)


class Deal(NamedTuple):
    """One command, its order and the order's fills."""

    command_id: str
    order_id: str
    side: str
    asked: int
    requested: int
    fills: tuple[Execution, ...]

    @property
    def filled(self) -> int:
        return sum(fill.size for fill in self.fills)

    @property
    def cost(self) -> int:
        """Cents."""
        return sum(fill.size * fill.cents for fill in self.fills)

    @property
    def fees(self) -> int:
        """Cents."""
        return sum(fill.fee for fill in self.fills)


class Trade(NamedTuple):
    """What one ticket opened, and what closed it, if an order did."""

    ticket_id: str
    opened: Deal
    closed: Deal | None

    @property
    def deals(self) -> tuple[Deal, ...]:
        return (self.opened,) if self.closed is None else (self.opened, self.closed)

    @property
    def held(self) -> int:
        """Contracts that no order sold."""
        return self.opened.filled - (self.closed.filled if self.closed is not None else 0)


class Story(NamedTuple):
    """All that happened in one market; `settled` is None where that is still to come."""

    ticker: str
    trades: tuple[Trade, ...]
    result: str
    settled: int | None


def stories(fills: int, first: int = 0) -> Iterator[Story]:
    """Markets in order of time, until they have so many fills, or up to a few more.

    `first` is the number of the first market: other numbers are other markets, at another time.
    """
    told = 0
    teller = _Teller(first)
    for number in count(first):
        story = teller.story(number, settle=told < fills * (1 - UNSETTLED_SHARE))
        yield story
        told += sum(len(deal.fills) for trade in story.trades for deal in trade.deals)
        if told >= fills:
            return


class _Teller:
    """Draws what happens; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._sizes: list[int] = []

    def story(self, number: int, *, settle: bool) -> Story:
        begins = STARTS + number * MARKET_EVERY
        closes = begins.replace(minute=0, second=0) + timedelta(hours=1)
        if closes - begins < timedelta(minutes=10):
            closes += timedelta(hours=1)
        window = _micros(begins), _micros(closes)
        trades = tuple(self._trade(*window) for _ in range(self._draw.choice(_TRADES_OF_MARKETS)))
        waits = self._draw.randint(93, 600) * _SECOND
        likely = trades[0].opened.side
        other = "no" if likely == "yes" else "yes"
        return Story(
            ticker=_ticker(closes, number),
            trades=trades,
            result=likely if self._draw.random() < _WON_SHARE else other,
            settled=window[1] + waits if settle else None,
        )

    def _trade(self, begins: int, closes: int) -> Trade:
        draw = self._draw
        side = draw.choice(("yes", "no", "no"))
        asked = draw.randrange(begins, closes - 120 * _SECOND)
        cents = draw.randint(88, 96)
        bought = self._deal(side, asked, draw.choice((5, 10, 10, 20, 20, 20, 50)), cents)
        if draw.random() < _CANCELED_SHARE:
            bought = bought._replace(requested=bought.requested * 2)
        sold = None
        if draw.random() < _CLOSED_SHARE:
            part = 2 if draw.random() < _HALF_CLOSED_SHARE else 1
            later = draw.randrange(asked + 30 * _SECOND, closes)
            other = "no" if side == "yes" else "yes"
            sold = self._deal(other, later, bought.filled // part, draw.randint(1, 12))
        return Trade(f"TICKET-{self._id()}", bought, sold)

    def _deal(self, side: str, asked: int, requested: int, cents: int) -> Deal:
        parts = min(self._fills_of_an_order(), requested)
        counts = [requested // parts] * (parts - 1)
        fills = tuple(
            Execution(self._id(), size, cents + nth, asked + 150_000 + nth * 40_000)
            for nth, size in enumerate((*counts, requested - sum(counts)))
        )
        return Deal(self._id(), self._id(), side, asked, requested, fills)

    def _fills_of_an_order(self) -> int:
        if not self._sizes:
            self._sizes = list(_FILLS_OF_ORDERS)
            self._draw.shuffle(self._sizes)
        return self._sizes.pop()

    def _id(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))


def _ticker(closes: datetime, number: int) -> str:
    """Another strike for each market of an hour."""
    hour = closes.astimezone(EASTERN).strftime("%y%b%d%H").upper()
    return f"KXBTCD-{hour}-T{60_000 + number % 240 * 250 - 1}.99"


def _micros(time: datetime) -> int:
    return int(time.timestamp()) * _SECOND
