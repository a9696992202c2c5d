"""The reference's positions, and how each fill, fee, settlement and order moves the cash.

Quotations are from docs/trades.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from tests.projections.account.reference_facts import Row
from tests.projections.account.reference_links import OTHER, Market
from tests.projections.account.reference_trades import (
    Fee,
    fees,
    last_settlement,
    payout,
    price_of,
    rounded,
)

ZERO = Fraction(0)


@dataclass
class Holding:
    """What is held of one market: contracts of one side, and what they cost in all."""

    side: str = "yes"
    count: Fraction = ZERO
    cost: Fraction = ZERO
    realized: Fraction = ZERO
    #: The pairs that each fill closed.
    pairs: dict[str, Fraction] = field(default_factory=dict)

    def take(self, fill: Row) -> None:
        """Rule: "A fill against the side held closes pairs: each returns one dollar at once,
        realizing that, less the price of the fill and the mean cost of the contracts closed".
        """
        count = Fraction(fill["count"])
        price = price_of(fill["side"], fill["yes_price"])
        closed = min(count, self.count) if fill["side"] != self.side else ZERO
        if closed:
            mean = self.cost / self.count
            self.realized += closed * (1 - price - mean)
            self.count -= closed
            self.cost -= closed * mean
        if count > closed:
            self.side = fill["side"]
            self.count += count - closed
            self.cost += (count - closed) * price
        self.pairs[fill["trade_id"]] = closed


def holding(fills: list[Row]) -> Holding:
    """Rule: "fills in the order of (time, trade id)"."""
    held = Holding()
    for fill in fills:
        held.take(fill)
    return held


def positions(market: Market) -> list[Row]:
    """Rule: "`positions` comes from fills and settlements alone. A row exists where there is a
    fill or a settlement".
    """
    times = [fill["time"] for fill in market.fills]
    times += [settlement["settled_time"] for settlement in market.settlements]
    if not times:
        return []
    held = holding(market.fills)
    settlement = last_settlement(market)
    each = payout(settlement, held.side)
    paid = None if each is None else held.count * each
    if paid is not None:
        # "The settlement realizes the rest."
        held = Holding(realized=held.realized + paid - held.cost)
    count = Fraction(sum(Fraction(fill["count"]) for fill in market.fills))
    fee = sum((fee.amount for fee in fees(market).values()), ZERO)
    return [
        {
            "account": market.account,
            "ticker": market.ticker,
            "position": rounded(held.count if held.side == "yes" else -held.count),
            "cost": rounded(held.cost),
            "realized_pnl": rounded(held.realized),
            "fees_paid": rounded(fee),
            "volume": rounded(count),
            "settled_at": settlement["settled_time"] if settlement else None,
            "payout": None if paid is None else rounded(paid),
            "updated_at": max(times),
        }
    ]


# Cash


@dataclass(frozen=True)
class Flow:
    """One entry: how much, when, and what goes first among those of one time."""

    time: datetime
    turn: int
    amount: Fraction


def cash_flows(market: Market) -> list[Row]:
    """Rule: "how the available balance moves"; "Entries of zero are left out"."""
    reckoned = fees(market)
    pairs = holding(market.fills).pairs
    rows = []
    for fill in market.fills:
        rows += rows_of(market, "fill", fill["trade_id"], [of_fill(fill, pairs)])
        rows += rows_of(market, "fee", fill["trade_id"], [of_fee(fill, reckoned)])
    for settlement in market.settlements:
        ref = settlement["settled_time"].isoformat()
        rows += rows_of(market, "settlement", ref, [of_settlement(settlement)])
    for order_id, flows in holds(market).items():
        rows += rows_of(market, "hold", order_id, flows)
    return rows


def rows_of(market: Market, kind: str, ref: str, flows: list[Flow]) -> list[Row]:
    """The entries of one thing, its fills in their order.

    Rule: "`part` numbers the entries of one ref: by time, at one time the creation, then fills in
    the order of (time, trade id), then the end".
    """
    ordered = sorted(flows, key=lambda flow: (flow.time, flow.turn))
    moving = [flow for flow in ordered if rounded(flow.amount)]
    return [
        {
            "account": market.account,
            "ticker": market.ticker,
            "kind": kind,
            "ref": ref,
            "part": part,
            "time": flow.time,
            "amount": rounded(flow.amount),
        }
        for part, flow in enumerate(moving)
    ]


def of_fill(fill: Row, pairs: dict[str, Fraction]) -> Flow:
    """Rule: "- count * price + one dollar for each pair closed"."""
    price = price_of(fill["side"], fill["yes_price"])
    amount = pairs[fill["trade_id"]] - Fraction(fill["count"]) * price
    return Flow(fill["time"], 0, amount)


def of_fee(fill: Row, reckoned: dict[str, Fee]) -> Flow:
    """Rule: "- the fee, where there is one"."""
    return Flow(fill["time"], 0, -reckoned[fill["trade_id"]].amount)


def of_settlement(settlement: Row) -> Flow:
    """Rule: "the revenue that the venue reported"."""
    return Flow(settlement["settled_time"], 0, Fraction(settlement["revenue"]))


def end_of(order: Row) -> datetime | None:
    """When an order ended; None while it rests. Rule: "never before its creation"."""
    if order["status"] == "resting" or order["updated"] is None:
        return None
    ended: datetime = max(order["updated"], order["created"])
    return ended


def can_hold(order: Row) -> bool:
    """Rule: "An order without a creation time, a limit or an end that is known holds nothing"; one
    that rests has no end yet."""
    if order["created"] is None or order["yes_price"] is None or order["status"] == "unknown":
        return False
    return order["status"] == "resting" or order["updated"] is not None


def holds(market: Market) -> dict[str, list[Flow]]:
    """The entries of each order: what it holds, and what releases that."""
    able = [order for order in market.orders.values() if can_hold(order)]
    able.sort(key=lambda order: (order["created"], order["order_id"]))
    covered: dict[str, Fraction] = {}
    for at, order in enumerate(able):
        free = held_before(market, OTHER[order["side"]], order)
        for other in able[:at]:
            free -= relied_on(market, other, covered[other["order_id"]], order)
        covered[order["order_id"]] = min(Fraction(order["initial_count"]), max(free, ZERO))
    return {order["order_id"]: hold(market, order, covered[order["order_id"]]) for order in able}


def held_before(market: Market, side: str, order: Row) -> Fraction:
    """Contracts of a side that were held when an order was created, "without its own fills"."""
    held = holding(
        [
            fill
            for fill in market.fills
            if fill["time"] < order["created"] and fill["order_id"] != order["order_id"]
        ]
    )
    return held.count if held.side == side else ZERO


def relied_on(market: Market, other: Row, covered: Fraction, order: Row) -> Fraction:
    """Rule: "less those that other resting orders already rely on. Fills use up the covered ones
    first"."""
    end = end_of(other)
    if other["side"] != order["side"] or (end is not None and end <= order["created"]):
        return ZERO
    filled = sum(
        (
            Fraction(fill["count"])
            for fill in market.fills_of(other["order_id"])
            if fill["time"] < order["created"]
        ),
        ZERO,
    )
    return max(covered - filled, ZERO)


def hold(market: Market, order: Row, covered: Fraction) -> list[Flow]:
    """Rule: "- what the order holds, when it was created; + what each of its fills and its end
    release". It "holds its limit price for each contract that is not covered"."""
    limit = price_of(order["side"], order["yes_price"])
    held = Fraction(order["initial_count"]) - covered
    flows = [Flow(order["created"], 0, -held * limit)]
    filled = released = ZERO
    end = end_of(order)
    for fill in market.fills_of(order["order_id"]):
        # Rule: "those after its end are part of that".
        if end is not None and fill["time"] > end:
            continue
        filled += Fraction(fill["count"])
        now = min(max(filled - covered, ZERO), held)
        # Rule: "fills stamped before it count at its creation".
        time = max(fill["time"], order["created"])
        flows.append(Flow(time, 1, (now - released) * limit))
        released = now
    if end is not None:
        flows.append(Flow(end, 2, (held - released) * limit))
    return flows
