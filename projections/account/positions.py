"""Contracts held, their cost and what they realized, from fills and settlements alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from projections.account.market import Fill, MarketFacts
from projections.account.matching import Fee
from projections.account.values import ZERO, rounded


class Step(NamedTuple):
    """A fill and what it did: `pairs` are the contracts of the other side that it closed; after
    it, `net` contracts are held (YES positive) at `cost`, and `realized` was gained with it."""

    fill: Fill
    pairs: Decimal
    net: Decimal
    cost: Decimal
    realized: Decimal


def walk(fills: Iterable[Fill]) -> Iterator[Step]:
    """The fills one after the other. A fill against the side held closes pairs at mean cost."""
    net, cost = ZERO, ZERO
    for fill in fills:
        held = -net if fill.side == "yes" else net
        pairs = min(fill.count, max(held, ZERO))
        released = cost if pairs == held else cost * pairs / held if pairs else ZERO
        realized = pairs - pairs * fill.price - released if pairs else ZERO
        bought = (fill.count - pairs) * fill.price
        cost = cost - (released if pairs else ZERO) + bought
        net += fill.count if fill.side == "yes" else -fill.count
        yield Step(fill, pairs, net, cost, realized)


def position_row(
    facts: MarketFacts, steps: list[Step], fees: Mapping[str, Fee]
) -> dict[str, Any] | None:
    """The position as it is now; None where there is neither a fill nor a settlement."""
    settlement = facts.settlement
    if not steps and facts.last_settlement is None:
        return None
    net, cost = (steps[-1].net, steps[-1].cost) if steps else (ZERO, ZERO)
    realized = sum((step.realized for step in steps), ZERO)
    payout = None
    if settlement is not None:
        payout = abs(net) * settlement.pays("yes" if net > 0 else "no") if net else ZERO
        realized += payout - cost
        net = cost = ZERO
    times = [step.fill.time for step in steps] + [one.settled_time for one in facts.settlements]
    return {
        "account": facts.market.account,
        "ticker": facts.market.ticker,
        "position": rounded(net),
        "cost": rounded(cost),
        "realized_pnl": rounded(realized),
        "fees_paid": rounded(sum((fee.amount for fee in fees.values()), ZERO)),
        "volume": rounded(sum((step.fill.count for step in steps), ZERO)),
        "settled_at": None if facts.last_settlement is None else facts.last_settlement.settled_time,
        "payout": None if payout is None else rounded(payout),
        "updated_at": max(times),
    }
