"""What the venue really said: the record that tables and recordings are compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from streams.simulated.kalshi.changes import Cash, Quote, Resolved, Settled
from streams.simulated.kalshi.orders import Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement
from streams.simulated.kalshi.venue.facts import (
    BookChange,
    Fact,
    IndexValue,
    Listed,
    PublicTrade,
    Struck,
    Switched,
    Transfer,
)

Levels = tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True)
class BookState:
    """A whole book: price and size of the bids of both sides, the cheapest first."""

    yes: Levels = ()
    no: Levels = ()

    @classmethod
    def of(cls, sizes: dict[str, dict[Decimal, Decimal]]) -> BookState:
        """The book of these sizes; levels without one are none."""
        yes, no = (
            tuple(sorted((price, size) for price, size in sizes[side].items() if size))
            for side in ("yes", "no")
        )
        return cls(yes, no)


@dataclass
class Truth:
    """All that happened, by what it happened to. Accounts' things are keyed by subaccount first."""

    listed: dict[str, Listed] = field(default_factory=dict)
    struck: dict[str, Struck] = field(default_factory=dict)
    switched: dict[str, list[Switched]] = field(default_factory=lambda: defaultdict(list))
    resolved: dict[str, Resolved] = field(default_factory=dict)
    settled: dict[str, Settled] = field(default_factory=dict)
    #: Market → clock → the book after all changes of that clock.
    books: dict[str, dict[int, BookState]] = field(default_factory=lambda: defaultdict(dict))
    changes: dict[str, list[BookChange]] = field(default_factory=lambda: defaultdict(list))
    quotes: dict[str, list[Quote]] = field(default_factory=lambda: defaultdict(list))
    trades: dict[str, PublicTrade] = field(default_factory=dict)
    index: list[IndexValue] = field(default_factory=list)
    fills: dict[tuple[int, str], Fill] = field(default_factory=dict)
    #: Every state, the oldest first.
    orders: dict[tuple[int, str], list[Order]] = field(default_factory=lambda: defaultdict(list))
    positions: dict[tuple[int, str], list[Position]] = field(
        default_factory=lambda: defaultdict(list)
    )
    settlements: dict[tuple[int, str], Settlement] = field(default_factory=dict)
    #: In its newest state; the venue does not say of which subaccount.
    transfers: dict[str, Transfer] = field(default_factory=dict)
    cash: dict[int, list[Cash]] = field(default_factory=lambda: defaultdict(list))

    def book(self, ticker: str) -> BookState:
        """A market's book now; an empty one if nothing was ever bid."""
        states = self.books[ticker]
        return states[max(states)] if states else BookState()

    def record(self, facts: Iterable[Fact], subaccount: int) -> None:
        """Keep what is published. Books are kept by their owner: see `books`."""
        for fact in facts:
            self._record_public(fact)
            self._record_own(fact, subaccount)

    def _record_public(self, fact: Fact) -> None:
        match fact:
            case Listed():
                self.listed[fact.ticker] = fact
            case Struck():
                self.struck[fact.ticker] = fact
            case Switched():
                self.switched[fact.ticker].append(fact)
            case Resolved():
                self.resolved[fact.ticker] = fact
            case Settled():
                self.settled[fact.ticker] = fact
            case BookChange():
                self.changes[fact.ticker].append(fact)
            case Quote():
                self.quotes[fact.ticker].append(fact)
            case PublicTrade():
                self.trades[fact.trade_id] = fact
            case IndexValue():
                self.index.append(fact)

    def _record_own(self, fact: Fact, subaccount: int) -> None:
        match fact:
            case Fill():
                self.fills[subaccount, fact.trade_id] = fact
            case Order():
                self.orders[subaccount, fact.order_id].append(fact)
            case Position():
                self.positions[subaccount, fact.ticker].append(fact)
            case Settlement():
                self.settlements[subaccount, fact.ticker] = fact
            case Transfer():
                self.transfers[fact.transfer_id] = fact
            case Cash():
                self.cash[subaccount].append(fact)
