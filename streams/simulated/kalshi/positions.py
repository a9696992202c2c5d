"""What an account holds of a market at the simulated venue, and what the market paid. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.orders import ONE, ZERO, Fill, other

__all__ = ["Position", "Settlement"]

#: The venue gives costs in millionths of a dollar.
_COST_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Position:
    """A market: what was acquired in all, and `net`, what is held (YES positive, NO negative).

    `cost` is of what is held, by mean cost; `realized_pnl` is before fees.
    """

    ticker: str
    yes_count: Decimal = ZERO
    yes_cost: Decimal = ZERO
    no_count: Decimal = ZERO
    no_cost: Decimal = ZERO
    net: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    updated: int = 0

    @property
    def volume(self) -> Decimal:
        """Contracts traded."""
        return self.yes_count + self.no_count

    def held(self, side: Side) -> Decimal:
        """Contracts held of a side."""
        return max(ZERO, self.net if side == "yes" else -self.net)

    def after(self, fill: Fill) -> Position:
        """The position after a fill. One against the side held closes pairs at mean cost."""
        cost = fill.count * fill.price
        held = self.held(other(fill.side))
        closed = min(fill.count, held)
        released = (self.cost * closed / held).quantize(_COST_STEP) if closed else ZERO
        is_yes = fill.side == "yes"
        return replace(
            self,
            yes_count=self.yes_count + (fill.count if is_yes else ZERO),
            yes_cost=self.yes_cost + (cost if is_yes else ZERO),
            no_count=self.no_count + (ZERO if is_yes else fill.count),
            no_cost=self.no_cost + (ZERO if is_yes else cost),
            net=fill.post_position,
            cost=self.cost - released + (fill.count - closed) * fill.price,
            realized_pnl=self.realized_pnl + closed * (ONE - fill.price) - released,
            fees=self.fees + fill.fee,
            updated=fill.time,
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """A market paid `revenue` dollars for the position `before`, and ended it."""

    ticker: str
    event: str
    result: Side
    revenue: Decimal
    before: Position
    time: int

    @property
    def after(self) -> Position:
        """The position that it leaves: nothing is held."""
        gained = self.revenue - self.before.cost
        realized = self.before.realized_pnl + gained
        return replace(self.before, net=ZERO, cost=ZERO, realized_pnl=realized, updated=self.time)
