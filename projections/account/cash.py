"""How fills, fees, settlements and resting orders move the available cash."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from projections.account.market import FINAL, Fill, MarketFacts, OrderState, price_of
from projections.account.matching import Fee
from projections.account.positions import Step
from projections.account.values import ZERO, rounded


class Flow(NamedTuple):
    """Dollars into the available balance, or out of it."""

    kind: str
    ref: str
    time: datetime
    amount: Decimal


def cash_rows(
    facts: MarketFacts, steps: Sequence[Step], fees: Mapping[str, Fee]
) -> list[dict[str, Any]]:
    """The rows of `cash_flows`; zero amounts are left out."""
    account, ticker = facts.market
    parts: Counter[tuple[str, str]] = Counter()
    rows = []
    flows = chain(_trading(steps, fees), _settled(facts), Holds(facts, steps).flows())
    for kind, ref, time, amount in flows:
        if not amount:
            continue
        rows.append(
            {
                "account": account,
                "ticker": ticker,
                "kind": kind,
                "ref": ref,
                "part": parts[kind, ref],
                "time": time,
                "amount": rounded(amount),
            }
        )
        parts[kind, ref] += 1
    return rows


def _trading(steps: Iterable[Step], fees: Mapping[str, Fee]) -> Iterator[Flow]:
    for fill, pairs, *_ in steps:
        yield Flow("fill", fill.trade_id, fill.time, pairs - fill.count * fill.price)
        yield Flow("fee", fill.trade_id, fill.time, -fees[fill.trade_id].amount)


def _settled(facts: MarketFacts) -> Iterator[Flow]:
    for one in facts.settlements:
        yield Flow("settlement", one.settled_time.isoformat(), one.settled_time, one.revenue)


class _Hold(NamedTuple):
    """An order's hold: its limit price, and how many of its contracts are covered."""

    side: str
    price: Decimal
    covered: Decimal
    left: Decimal

    @property
    def amount(self) -> Decimal:
        """Dollars that are not available because of it."""
        return (self.left - self.covered) * self.price

    def without(self, count: Decimal) -> _Hold:
        """After so many of its contracts were filled or given up: covered ones go first."""
        count = min(count, self.left)
        return self._replace(covered=max(ZERO, self.covered - count), left=self.left - count)


class Holds:
    """Goes through orders and fills in time, and tells what orders hold and release.

    An order holds its limit for each contract that is not covered by contracts of the other side:
    those held when it was created, less those that other resting orders already rely on.
    """

    def __init__(self, facts: MarketFacts, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._orders = [one for one in facts.orders.values() if _can_be_told(one)]
        self._holds: dict[str, _Hold] = {}
        #: Contracts of each side that resting orders of the other rely on.
        self._relied_on = {"yes": ZERO, "no": ZERO}
        #: Orders that are over at a time.
        self._ending: dict[datetime, list[str]] = defaultdict(list)
        #: Fills stamped before their order's creation, which count at its creation.
        self._early: dict[str, list[Fill]] = defaultdict(list)

    def flows(self) -> Iterator[Flow]:
        """The holds (negative) and releases (positive), in order."""
        net = ZERO
        for time, turn, order_id, what in sorted(self._timeline(), key=itemgetter(0, 1, 2)):
            if isinstance(what, Step):
                net = what.net
                if (order := what.fill.order_id) in self._holds and order is not None:
                    yield self._change(order, time, self._holds[order].without(what.fill.count))
                elif order is not None:
                    self._early[order].append(what.fill)
            elif turn == 0:
                yield self._begin(what, time, net)
                for fill in self._early.pop(order_id, ()):
                    if order_id in self._holds:
                        after = self._holds[order_id].without(fill.count)
                        yield self._change(order_id, time, after)
            elif order_id in self._holds:
                hold = self._holds[order_id]
                yield self._change(order_id, time, hold.without(hold.left))

    def _timeline(self) -> Iterator[tuple[datetime, int, str, Step | OrderState]]:
        """At one time: created before filled before ended; fills keep their order."""
        for order in self._orders:
            assert order.created is not None
            yield order.created, 0, order.order_id, order
            if (end := _end(order)) is not None:
                yield end, 2, order.order_id, order
        for step in self._steps:
            yield step.fill.time, 1, step.fill.trade_id, step

    def _begin(self, order: OrderState, time: datetime, net: Decimal) -> Flow:
        assert order.yes_price is not None
        for fill in self._early.get(order.order_id, ()):  # one may contradict its side
            net -= fill.count if fill.side == "yes" else -fill.count
        held = max(ZERO, -net if order.side == "yes" else net)
        covered = min(order.initial_count, max(ZERO, held - self._relied_upon(order.side, time)))
        price = price_of(order.side, order.yes_price)
        hold = _Hold(order.side, price, covered, order.initial_count)
        self._holds[order.order_id] = hold
        self._relied_on[order.side] += covered
        if (end := _end(order)) is not None:
            self._ending[end].append(order.order_id)
        return Flow("hold", order.order_id, time, -hold.amount)

    def _relied_upon(self, side: str, time: datetime) -> Decimal:
        """Without the orders that are over at this very time: those rely on nothing any more."""
        ending = (self._holds[one] for one in self._ending.get(time, ()) if one in self._holds)
        over = sum((one.covered for one in ending if one.side == side), ZERO)
        return self._relied_on[side] - over

    def _change(self, order_id: str, time: datetime, after: _Hold) -> Flow:
        before = self._holds.pop(order_id)
        self._relied_on[before.side] -= before.covered - after.covered
        if after.left:
            self._holds[order_id] = after
        return Flow("hold", order_id, time, before.amount - after.amount)


def _end(order: OrderState) -> datetime | None:
    """When an order was over, never before its creation; None while it rests."""
    if order.status not in FINAL or order.updated is None or order.created is None:
        return None
    return max(order.updated, order.created)


def _can_be_told(order: OrderState) -> bool:
    """Whether creation, limit and, if it is over, the end are known."""
    is_bounded = order.status == "resting" or _end(order) is not None
    return order.created is not None and order.yes_price is not None and is_bounded
