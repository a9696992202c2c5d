"""Orders and their fills at the simulated venue: values without behaviour of their own. Pure.

Times are microseconds since 1970 UTC, money is dollars, counts are contracts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from streams.events.types import Side

__all__ = ["CENT", "HIGHEST_PRICE", "ONE", "ZERO", "Fill", "Order", "OrderError"]
__all__ += ["other", "taker_fee"]

ZERO, ONE, CENT = Decimal(0), Decimal(1), Decimal("0.01")
#: Of a contract; the venue gives it to a market order as the limit.
HIGHEST_PRICE = Decimal("0.99")
_FEE_RATE = Decimal("0.07")


class OrderError(Exception):
    """An order that the venue refuses; nothing changed. The message is the venue's error code."""


@dataclass(frozen=True, slots=True)
class Order:
    """The state of one order. `side` is acquired, for at most `limit` dollars a contract."""

    order_id: str
    client_order_id: str
    ticker: str
    side: Side
    kind: Literal["limit", "market"]
    limit: Decimal
    initial: Decimal
    created: int
    updated: int
    status: Literal["resting", "canceled", "executed"] = "resting"
    filled: Decimal = ZERO
    fills: int = 0
    #: How many of the remaining contracts are paid for by contracts held of the other side.
    covered: Decimal = ZERO
    taker_cost: Decimal = ZERO
    maker_cost: Decimal = ZERO
    taker_fees: Decimal = ZERO
    reason: str | None = None

    @property
    def remaining(self) -> Decimal:
        """Contracts that may still be filled; none of a canceled order."""
        return self.initial - self.filled if self.status == "resting" else ZERO

    @property
    def hold(self) -> Decimal:
        """Dollars that it keeps out of the available cash."""
        return (self.remaining - self.covered) * self.limit

    def after(self, fill: Fill) -> Order:
        """The order after one of its fills."""
        filled = self.filled + fill.count
        cost = fill.count * fill.price
        return replace(
            self,
            status="executed" if filled == self.initial else "resting",
            filled=filled,
            fills=self.fills + 1,
            covered=self.covered - min(self.covered, fill.count),
            taker_cost=self.taker_cost + (cost if fill.is_taker else ZERO),
            maker_cost=self.maker_cost + (ZERO if fill.is_taker else cost),
            taker_fees=self.taker_fees + fill.fee,
            updated=fill.time,
            reason="Trade",
        )


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; `price` is that of `side`, `post_position` the net position after it."""

    trade_id: str
    order_id: str
    client_order_id: str
    ticker: str
    side: Side
    price: Decimal
    count: Decimal
    fee: Decimal
    is_taker: bool
    post_position: Decimal
    time: int

    @property
    def yes_price(self) -> Decimal:
        """The price of the YES side, whichever was acquired."""
        return self.price if self.side == "yes" else ONE - self.price


def other(side: Side) -> Side:
    """The opposite outcome."""
    return "no" if side == "yes" else "yes"


def taker_fee(price: Decimal, count: Decimal) -> Decimal:
    """Dollars for one fill: 0.07 * count * p * (1 - p), rounded up to the next cent."""
    return (_FEE_RATE * count * price * (ONE - price)).quantize(CENT, ROUND_CEILING)
