"""One account at the simulated venue: cash, positions, orders. Exact, and without a clock. Pure.

The cash is the *available* cash: what resting orders hold is not in it. The rules of holds and
pairs are those that docs/trades.md states for `cash_flows`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.orders import ZERO, Fill, Order, OrderError, other, taker_fee
from streams.simulated.kalshi.positions import Position, Settlement

__all__ = ["Account"]


class Account:
    """Cash in dollars, the open markets' positions, and their orders. Cash is never negative."""

    def __init__(self) -> None:
        self.cash = ZERO
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, Order] = {}
        self._client_orders: set[str] = set()

    def deposit(self, amount: Decimal) -> None:
        """Take `amount` dollars in."""
        self.cash += amount

    def position(self, ticker: str) -> Position:
        """The position in a market; an empty one if there is none."""
        return self.positions.get(ticker) or Position(ticker)

    def knows(self, client_order_id: str) -> bool:
        """Whether an order of this id was ever placed, also in a market that is gone."""
        return client_order_id in self._client_orders

    def resting(self, ticker: str) -> list[Order]:
        """The orders that rest in a market, oldest first."""
        return [
            order
            for order in self.orders.values()
            if order.ticker == ticker and order.status == "resting"
        ]

    def place(self, order: Order, fees: Decimal) -> Order:
        """Take a new order and hold what it may cost; returns it with its covered contracts.

        `fees` are those of the fills that it will get at once. Raises OrderError, with nothing
        changed, when the cash does not suffice for hold and fees.
        """
        position = self.position(order.ticker)
        relied = sum(
            (one.covered for one in self.resting(order.ticker) if one.side == order.side), ZERO
        )
        free = max(ZERO, position.held(other(order.side)) - relied)
        order = replace(order, covered=min(order.initial, free))
        if order.hold + fees > self.cash:
            raise OrderError("insufficient_balance")
        self.cash -= order.hold
        self._keep(order)
        return order

    def effect(self, order: Order, price: Decimal, count: Decimal, fee: Decimal) -> Decimal:
        """By how many dollars a fill would move the cash: price, pairs, fee, released hold."""
        uncovered = count - min(count, order.covered)
        closed = min(count, self.position(order.ticker).held(other(order.side)))
        return uncovered * order.limit - count * price + closed - fee

    def fill(
        self,
        order: Order,
        price: Decimal,
        count: Decimal,
        *,
        is_taker: bool,
        trade_id: str,
        time: int,
    ) -> tuple[Fill, Order, Position]:
        """Execute `count` of an order at `price`: the fill, and what order and position became."""
        fee = taker_fee(price, count) if is_taker else ZERO
        self.cash += self.effect(order, price, count, fee)
        before = self.position(order.ticker)
        fill = Fill(
            trade_id=trade_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            ticker=order.ticker,
            side=order.side,
            price=price,
            count=count,
            fee=fee,
            is_taker=is_taker,
            post_position=before.net + (count if order.side == "yes" else -count),
            time=time,
        )
        order = order.after(fill)
        self._keep(order)
        self.positions[order.ticker] = position = before.after(fill)
        return fill, order, position

    def cancel(self, order: Order, time: int, reason: str | None) -> Order:
        """End an order that rests; what it held is available again."""
        self.cash += order.hold
        order = replace(order, status="canceled", covered=ZERO, updated=time, reason=reason)
        self._keep(order)
        return order

    def settle(self, ticker: str, event: str, result: Side, time: int) -> Settlement | None:
        """Pay one dollar for each net winning contract, and forget the market.

        None where nothing was ever traded. No order may rest there any more.
        """
        assert not self.resting(ticker)
        self.orders = {key: order for key, order in self.orders.items() if order.ticker != ticker}
        before = self.positions.pop(ticker, None)
        if before is None:
            return None
        revenue = before.held(result)
        self.cash += revenue
        return Settlement(ticker, event, result, revenue, before, time)

    def _keep(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self._client_orders.add(order.client_order_id)
