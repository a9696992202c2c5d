"""What the venue keeps of the account, by subaccount, and what of it REST shows already. Pure.

Portfolio reads lag behind the matching engine (about a second is normal), so every state is kept
with its time, and a read sees the states up to its `as_of`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from streams.simulated.kalshi.changes import Cash
from streams.simulated.kalshi.orders import Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement
from streams.simulated.kalshi.venue.facts import Owned, Transfer

__all__ = ["Held", "Portfolio"]

T = TypeVar("T")


class Held(NamedTuple, Generic[T]):
    """A fact, and the subaccount that it is of."""

    subaccount: int
    fact: T


class _Versions(Generic[T]):
    """The states of things by key and time."""

    def __init__(self, time: Callable[[T], int]) -> None:
        self._time = time
        self._states: dict[tuple[int, str], list[T]] = {}

    def add(self, subaccount: int, key: str, state: T) -> None:
        states = self._states.setdefault((subaccount, key), [])
        states.insert(bisect_right(states, self._time(state), key=self._time), state)

    def seen(self, as_of: int) -> list[Held[T]]:
        """The newest state of each at that time."""
        found = []
        for (subaccount, _), states in self._states.items():
            if place := bisect_right(states, as_of, key=self._time):
                found.append(Held(subaccount, states[place - 1]))
        return found


class Portfolio:
    """The account's orders, fills, positions, settlements, transfers and cash."""

    def __init__(self) -> None:
        self.orders: _Versions[Order] = _Versions(lambda order: order.updated)
        self.fills: _Versions[Fill] = _Versions(lambda fill: fill.time)
        self.positions: _Versions[Position] = _Versions(lambda position: position.updated)
        self.settlements: _Versions[Settlement] = _Versions(lambda one: one.time)
        self.transfers: _Versions[Transfer] = _Versions(
            lambda one: one.created if one.finalized is None else one.finalized
        )
        self.cash: _Versions[Cash] = _Versions(lambda cash: cash.time)

    def add(self, subaccount: int, fact: Owned) -> None:
        """Keep what happened to a subaccount."""
        match fact:
            case Order():
                self.orders.add(subaccount, fact.order_id, fact)
            case Fill():
                self.fills.add(subaccount, fact.trade_id, fact)
            case Position():
                self.positions.add(subaccount, fact.ticker, fact)
            case Settlement():
                self.settlements.add(subaccount, fact.ticker, fact)
            case Transfer():
                self.transfers.add(subaccount, fact.transfer_id, fact)
            case Cash():
                self.cash.add(subaccount, "", fact)
