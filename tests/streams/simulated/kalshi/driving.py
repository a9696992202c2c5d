"""Drives the simulated exchange through time, with prices of a seeded walk."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from streams.events import Event, TradeCommand
from streams.events.types import Side
from streams.simulated.kalshi.changes import Change
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.markets import SECOND, Market
from streams.simulated.kalshi.orders import HIGHEST_PRICE
from streams.simulated.kalshi.simulation import Simulation

NOON = 1_800_000_000_000_000
ACCOUNT = "simulated/demo/test/0"
_STEP = SECOND // 20

C = TypeVar("C")


class Walk:
    """A price of bitcoin that moves as the simulated venue's does."""

    def __init__(self, seed: int) -> None:
        self.price = Decimal(64000)
        self._random = random.Random(seed)

    def move(self) -> Decimal:
        """The price a step later."""
        self.price += Decimal(self._random.randint(-700, 700)).scaleb(-2)
        return self.price


class Venue:
    """An exchange beside its clock; `said` holds all changes since the beginning."""

    def __init__(self, seed: int = 1, now: int = NOON) -> None:
        self.exchange = Exchange(seed, now - SECOND)
        self.now = now
        self.said: list[Change] = []
        self._walk = Walk(seed)
        self._orders = 0
        self.wait(0)

    @property
    def cash(self) -> Decimal:
        return self.exchange.account.cash

    @property
    def open_markets(self) -> list[Market]:
        """Those that can be traded, by close and strike."""
        return [market for market in self.exchange.markets.values() if self.now < market.closes]

    def wait(self, seconds: float) -> None:
        """Let the time go by, a step after the other."""
        until = self.now + round(seconds * SECOND)
        while True:
            self.said += self.exchange.advance(self.now, self._walk.move())
            if self.now >= until:
                return
            self.now += _STEP

    def order(
        self, market: Market, side: Side, count: str, limit: str | None = str(HIGHEST_PRICE)
    ) -> list[Change]:
        """Place an order with an id of its own. Raises OrderError."""
        self._orders += 1
        price = None if limit is None else Decimal(limit)
        changes = self.exchange.place(
            self.now, market.ticker, side, Decimal(count), price, f"order {self._orders}"
        )
        self.said += changes
        return changes

    def cancel(self, order_id: str) -> list[Change]:
        changes = self.exchange.cancel(self.now, order_id)
        self.said += changes
        return changes

    def until_all_is_settled(self) -> None:
        """Until the markets that are open now have paid out."""
        last = max(market.closes for market in self.exchange.markets.values())
        self.wait((last - self.now) / SECOND + 3)


def only(changes: object, kind: type[C]) -> list[C]:
    """The changes or events of one kind."""
    assert isinstance(changes, list)
    return [change for change in changes if isinstance(change, kind)]


def simulated(seed: int, seconds: int) -> Iterator[Event]:
    """All events of a simulation whose commands come back to it a step later."""
    walk, now = Walk(seed), NOON
    simulation = Simulation(ACCOUNT, seed, now)
    asked: Sequence[TradeCommand] = ()
    for _ in range(seconds * SECOND // _STEP):
        for command in asked:
            yield from simulation.execute(command, now)
        yield from simulation.advance(now, walk.move())
        asked = simulation.trade(now)
        yield from asked
        now += _STEP
