"""Drives the simulated exchange through time, by prices of a seeded walk, and feeds beside it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode

from streams.connectors.base import Request
from streams.connectors.kalshi.account import KalshiAccountConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.feed import KalshiConnector, owner_of
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.events import Event, TradeCommand
from streams.events.types import Side
from streams.live import Live
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.markets import SECOND, SERIES, Market
from streams.simulated.kalshi.orders import HIGHEST_PRICE
from streams.simulated.kalshi.simulation import Simulation
from streams.simulated.kalshi.venue.facts import Fact
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.rest import answer
from streams.simulated.kalshi.venue.session import Session

NOON = 1_800_000_000_000_000
ACCOUNT = "simulated/demo/test/0"
_STEP = SECOND // 20
_STEPS_A_SECOND = 20

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
    """An exchange beside its clock; `said` holds all facts since the beginning."""

    def __init__(self, seed: int = 1, now: int = NOON) -> None:
        self.exchange = Exchange(seed, now - SECOND)
        self.now = now
        self.said: list[Fact] = []
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
    ) -> list[Fact]:
        """Place an order with an id of its own. Raises OrderError."""
        self._orders += 1
        price = None if limit is None else Decimal(limit)
        facts = self.exchange.place(
            self.now, market.ticker, side, Decimal(count), price, f"order {self._orders}"
        )
        self.said += facts
        return facts

    def cancel(self, order_id: str) -> list[Fact]:
        facts = self.exchange.cancel(self.now, order_id)
        self.said += facts
        return facts

    def until_all_is_settled(self) -> None:
        """Until the markets that are open now have paid out."""
        last = max(market.closes for market in self.exchange.markets.values())
        self.wait((last - self.now) / SECOND + 3)


def only(said: object, kind: type[C]) -> list[C]:
    """The facts or events of one kind."""
    assert isinstance(said, list)
    return [one for one in said if isinstance(one, kind)]


class Feed:
    """A real feed beside the simulated venue, without sockets: all that is sent arrives."""

    def __init__(self, connector: KalshiConnector, simulation: Simulation) -> None:
        self.connector = connector
        self._venue = simulation.venue
        self._connections = 0
        self._venue.listen(self._hear)
        self.connect()

    def connect(self) -> None:
        """Begin a new connection; what was on its way is lost."""
        self._connections += 1
        self._session = Session(self._venue)
        self._frames: deque[bytes] = deque()
        self._requests: deque[Request] = deque()
        self.parser = self.connector.parser(f"c{self._connections}", self._venue.now)
        self._speak()

    def receive(self) -> list[Event]:
        """The events of all that arrives until nothing more is said."""
        events: list[Event] = []
        while self._frames or self._requests:
            if self._frames:
                events += self.parser.parse(self._frames.popleft(), self._venue.now)
            else:
                events += self._reply(self._requests.popleft())
            self._speak()
        return events

    def _reply(self, request: Request) -> list[Event]:
        reply = answer(self._venue, request.path, urlencode(request.query))
        assert reply.status == 200, reply
        return self.parser.parse(reply.body, self._venue.now, request)

    def _hear(self, message: Message) -> None:
        self._frames += [frame.data for frame in self._session.hear(message)]

    def _speak(self) -> None:
        for what in self.parser.outgoing():
            if isinstance(what, Request):
                self._requests.append(what)
            else:
                self._frames += [frame.data for frame in self._session.handle(what)]


class Run:
    """A simulation and the feeds that follow it; `events` are all that reached the log.

    The trader's commands come back to the simulation a step later. The account connects anew every
    two seconds: a connection begins with a reading of everything.
    """

    def __init__(self, seed: int, *, with_markets: bool = False) -> None:
        self.simulation = Simulation(Live(), ACCOUNT, seed, NOON)
        self.events: list[Event] = []
        self._walk = Walk(seed)
        self._now = NOON
        owner = owner_of(ACCOUNT)
        self._account = Feed(KalshiAccountConnector(owner), self.simulation)
        kinds = (KalshiMarketConnector, KalshiBooksConnector) if with_markets else ()
        self.markets = [Feed(kind(owner, series=(SERIES,)), self.simulation) for kind in kinds]

    def go(self, seconds: int) -> None:
        """Let so much time pass."""
        asked: Sequence[TradeCommand] = ()
        for step in range(seconds * _STEPS_A_SECOND):
            for command in asked:
                self.events += self.simulation.execute(command, self._now)
            self.simulation.advance(self._now, self._walk.move())
            asked = self.simulation.trade(self._now)
            self.events += asked
            if step % (2 * _STEPS_A_SECOND) == 0:
                self._read_account()
            for feed in (self._account, *self.markets):
                self.events += feed.receive()
            self._now += _STEP
        for command in asked:
            self.events += self.simulation.execute(command, self._now)
        self._read_account()

    def _read_account(self) -> None:
        self.events += self._account.receive()
        self._account.connect()
        self.events += self._account.receive()


def simulated(seed: int, seconds: int) -> Iterator[Event]:
    """All events of a simulation and its account."""
    run = Run(seed)
    run.go(seconds)
    yield from run.events
