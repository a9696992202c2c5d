"""The venue: what a driver told it, for whoever asks or listens. Pure; its only clock is `now`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streams.simulated.kalshi.changes import Cash, Quote, Resolved, Settled
from streams.simulated.kalshi.orders import Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement
from streams.simulated.kalshi.venue import messages
from streams.simulated.kalshi.venue.facts import (
    BookChange,
    Fact,
    IndexValue,
    Listed,
    Owned,
    PublicTrade,
    Rescheduled,
    Struck,
    Switched,
    Transfer,
)
from streams.simulated.kalshi.venue.index import Index
from streams.simulated.kalshi.venue.limits import Limits
from streams.simulated.kalshi.venue.markets import Market
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.portfolio import Portfolio

__all__ = ["Cutoffs", "Venue"]


@dataclass(frozen=True)
class Cutoffs:
    """What is older than these lies in the historical tier; microseconds since 1970 UTC."""

    settled: int = 0
    trades: int = 0
    orders: int = 0
    positions: int = 0

    @classmethod
    def at(cls, time: int) -> Cutoffs:
        """All of them at one time."""
        return cls(time, time, time, time)


class Venue:
    """The state of the venue, into which a driver publishes facts."""

    def __init__(self, now: int, *, portfolio_lag: int = 0, limits: Limits | None = None) -> None:
        """`portfolio_lag` is how far portfolio reads are behind, microseconds."""
        self.now = now
        self.limits = limits or Limits()
        #: Not so during the venue's maintenance.
        self.active = True
        self.cutoffs = Cutoffs()
        self.markets: dict[str, Market] = {}
        self.indices: dict[str, Index] = {}
        self.portfolio = Portfolio()
        self._lag = portfolio_lag
        self._listeners: list[Callable[[Message], None]] = []

    @property
    def as_of(self) -> int:
        """Up to when portfolio reads know the account."""
        return self.now - self._lag

    def listen(self, hear: Callable[[Message], None]) -> None:
        """Have `hear` called with every message from now on."""
        self._listeners.append(hear)

    def publish(self, now: int, facts: Iterable[Fact], subaccount: int = 0) -> None:
        """Take in facts and tell of them, in order; those of the account are of `subaccount`.

        `now` is when the venue sends them. Raises KeyError for a market that is not listed and
        ValueError where a book has no room for a change.
        """
        self.now = now
        for fact in facts:
            for message in self._take(fact, subaccount):
                for hear in self._listeners:
                    hear(message)

    def _take(self, fact: Fact, subaccount: int) -> list[Message]:
        match fact:
            case Order() | Fill() | Position() | Settlement() | Cash() | Transfer():
                self.portfolio.add(subaccount, fact)
                return _own_messages(fact, subaccount)
            case Listed():
                return self._list(fact)
            case IndexValue():
                message = self.indices.setdefault(fact.index_id, Index()).tick(fact)
                return [message] if message else []
            case _:
                return [self._change(fact)]

    def _list(self, listed: Listed) -> list[Message]:
        events = {market.listed.event for market in self.markets.values()}
        self.markets[listed.ticker] = Market.of(listed)
        created = messages.lifecycle(listed)
        return [created] if listed.event in events else [messages.event_opened(listed), created]

    def _change(
        self,
        fact: Struck
        | Switched
        | Rescheduled
        | Resolved
        | Settled
        | BookChange
        | Quote
        | PublicTrade,
    ) -> Message:
        market = self.markets[fact.ticker]
        market.change(fact)
        match fact:
            case BookChange():
                return messages.delta(fact, market.listed.market_id)
            case Quote():
                return messages.ticker(fact)
            case PublicTrade():
                return messages.trade(fact)
            case _:
                return messages.lifecycle(fact)


def _own_messages(fact: Owned, subaccount: int) -> list[Message]:
    match fact:
        case Order():
            return [messages.order(fact, subaccount)]
        case Fill():
            return [messages.fill(fact, subaccount)]
        case Position():
            return [messages.position(fact, subaccount)]
        case _:
            return []
