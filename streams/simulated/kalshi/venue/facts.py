"""What a driver tells the venue, beside what `changes` of the package above knows: values. Pure.

Times are microseconds since 1970 UTC, money is dollars, counts are contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from streams.events.types import Side
from streams.simulated.kalshi.changes import Cash, Quote, Resolved, Settled
from streams.simulated.kalshi.orders import Fill, Order
from streams.simulated.kalshi.positions import Position, Settlement

__all__ = ["BookChange", "Fact", "IndexValue", "Listed", "Owned", "PublicFact", "PublicTrade"]
__all__ += ["Rescheduled", "Struck", "Switched", "Transfer"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A market exists; it is traded once it is switched on. The strike may follow later."""

    ticker: str
    event: str
    series: str
    market_id: str
    title: str
    subtitle: str
    #: What the price must be greater than for YES to pay.
    floor_strike: Decimal | None
    opens: int
    closes: int
    time: int


@dataclass(frozen=True, slots=True)
class Struck:
    """The strike of a market became known."""

    ticker: str
    floor_strike: Decimal
    subtitle: str
    time: int


@dataclass(frozen=True, slots=True)
class Switched:
    """A market may be traded from now on, or may not."""

    ticker: str
    active: bool
    time: int


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """A market closes at another time than was said before."""

    ticker: str
    closes: int
    time: int


@dataclass(frozen=True, slots=True)
class BookChange:
    """`delta` more contracts are bid for at a price of `side`; none are left below a sum of zero.

    Several changes by one action have one clock; clocks of a market never fall.
    `client_order_id` and `subaccount` tell of an order of the account that made it.
    """

    ticker: str
    clock: int
    side: Side
    price: Decimal
    delta: Decimal
    time: int
    client_order_id: str | None = None
    subaccount: int | None = None


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade that everyone sees; `taker` is the side that the taker acquired."""

    trade_id: str
    ticker: str
    yes_price: Decimal
    count: Decimal
    taker: Side
    time: int


@dataclass(frozen=True, slots=True)
class IndexValue:
    """A value of a reference index, such as BRTI, of a second."""

    index_id: str
    value: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Cash that came in or went out, in its present state. The venue's times are whole seconds."""

    kind: Literal["deposit", "withdrawal"]
    transfer_id: str
    amount: Decimal
    fee: Decimal
    status: Literal["pending", "applied", "failed", "returned"]
    created: int
    finalized: int | None


PublicFact = (
    Listed
    | Struck
    | Switched
    | Rescheduled
    | Resolved
    | Settled
    | BookChange
    | Quote
    | PublicTrade
    | IndexValue
)
#: Of a subaccount.
Owned = Order | Fill | Position | Settlement | Cash | Transfer
Fact = PublicFact | Owned
