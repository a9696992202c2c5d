"""What the simulated exchange says of markets and cash: values without behaviour.

Times are microseconds since 1970 UTC, money is dollars, counts are contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.book import Level

__all__ = ["Cash", "Quote", "Resolved", "Settled"]


@dataclass(frozen=True, slots=True)
class Quote:
    """What the venue shows of a market; prices and sizes are those of YES."""

    ticker: str
    market_id: str
    bid: Level
    ask: Level
    last: Level
    volume: Decimal
    open_interest: Decimal
    time: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """The result of a market is known."""

    ticker: str
    result: Side
    time: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A market paid out, to whoever held something of it."""

    ticker: str
    time: int


@dataclass(frozen=True, slots=True)
class Cash:
    """The available cash, and the value of what is held, as they are at `time`."""

    cash: Decimal
    portfolio: Decimal
    time: int
