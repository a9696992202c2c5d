"""The simulated exchange: opens markets, quotes, matches, settles. Seeded, without a clock. Pure.

Whoever drives it gives the time and the price of bitcoin. What happens comes back as changes, each
of the account at a millisecond of its own, in the order in which they happened.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.account import Account
from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Cash, Change, Deposit, Resolved, Settled
from streams.simulated.kalshi.markets import SECOND, Market, due
from streams.simulated.kalshi.orders import (
    CENT,
    HIGHEST_PRICE,
    ZERO,
    Order,
    OrderError,
    taker_fee,
)

__all__ = ["Exchange"]

_MILLISECOND = 1000
_QUOTE_EVERY = SECOND // 2
#: From the close to the result, and to the payment.
_DETERMINED_AFTER = SECOND
_SETTLED_AFTER = 2 * SECOND
_DEPOSIT = Decimal(1000)
#: With less cash than this the account gets another deposit.
_LEAST_CASH = Decimal(200)


class Exchange:
    """The markets and one account. The same seed, times, prices and orders: the same changes."""

    def __init__(self, seed: int, opened: int) -> None:
        """An account without cash is `opened`, at least a second before the first `advance`."""
        self.account = Account()
        #: Those that are not settled yet.
        self.markets: dict[str, Market] = {}
        self._random = random.Random(seed)
        self._time = opened
        self._last_close = opened
        self._seen: Decimal | None = None

    def advance(self, now: int, price: Decimal) -> list[Change]:
        """What happens up to `now`, microseconds since 1970 UTC, at this price of bitcoin."""
        changes: list[Change] = [*self._see(), *self._open(now, price)]
        for market in list(self.markets.values()):
            changes += self._step(market, now, price)
        if self.account.cash < _LEAST_CASH:
            self.account.deposit(_DEPOSIT)
            changes.append(Deposit(self._id(), _DEPOSIT, self._tick(now)))
        return [*changes, *self._see()]

    def place(
        self,
        now: int,
        ticker: str,
        side: Side,
        count: Decimal,
        limit: Decimal | None,
        client_order_id: str,
    ) -> list[Change]:
        """Take an order; its states, the first as it was created, with its fills and positions.

        What is left of an order with a limit rests. One without takes what there is, and what is
        left is canceled. Raises OrderError, with nothing changed.
        """
        market = self._check(now, ticker, count, limit, client_order_id)
        taken = market.book.within(side, limit or HIGHEST_PRICE, count)
        created = self._tick(now)
        order = Order(
            order_id=self._id(),
            client_order_id=client_order_id,
            ticker=ticker,
            side=side,
            kind="market" if limit is None else "limit",
            limit=limit or HIGHEST_PRICE,
            initial=count,
            created=created,
            updated=created,
        )
        order = self.account.place(order, sum((taker_fee(*level) for level in taken), ZERO))
        market.book.take(side, taken)
        changes: list[Change] = [order]
        for level in taken:
            changes += self._fill(market, order.order_id, level, now, is_taker=True)
        order = self.account.orders[order.order_id]
        if order.kind == "market" and order.status == "resting":
            changes.append(self.account.cancel(order, self._tick(now), None))
        return [*changes, *self._see()]

    def cancel(self, now: int, order_id: str) -> list[Change]:
        """End an order that rests; nothing changes where none of this id does."""
        order = self.account.orders.get(order_id)
        if order is None or order.status != "resting":
            return []
        return [self.account.cancel(order, self._tick(now), None), *self._see()]

    def _check(
        self, now: int, ticker: str, count: Decimal, limit: Decimal | None, client_order_id: str
    ) -> Market:
        if self.account.knows(client_order_id):
            raise OrderError("order_already_exists")
        market = self.markets.get(ticker)
        if market is None:
            raise OrderError("market_not_found")
        if market.status != "active" or now >= market.closes:
            raise OrderError("market_closed")
        if count % CENT or count <= 0:
            raise OrderError("invalid_count")
        if limit is not None and (limit % CENT or not CENT <= limit <= HIGHEST_PRICE):
            raise OrderError("invalid_price")
        return market

    def _open(self, now: int, price: Decimal) -> Iterator[Change]:
        for event, strike, closes in list(due(now, self._last_close, price)):
            market = Market(event, strike, closes, self._id())
            self.markets[market.ticker] = market
            self._last_close = closes
            yield market.opened(self._tick(now))

    def _step(self, market: Market, now: int, price: Decimal) -> list[Change]:
        """One step of a market's life, if it is time for one."""
        if market.status == "active":
            if now >= market.closes:
                market.close(price)
                return self._cancel_all(market.ticker, now)
            return self._trade(market, now, price) if now >= market.quote_due else []
        if market.status == "closed" and now >= market.closes + _DETERMINED_AFTER:
            market.status = "determined"
            return [Resolved(market.ticker, market.result, self._tick(now))]
        if market.status == "determined" and now >= market.closes + _SETTLED_AFTER:
            return self._settle(market, now)
        return []

    def _trade(self, market: Market, now: int, price: Decimal) -> list[Change]:
        """Quote anew; what rests is filled where the new offers reach it."""
        market.quote_due = now + _QUOTE_EVERY
        market.book.quote(market.fair_cents(now, price), self._random)
        market.traded(market.book.yes_bid.price, Decimal(self._random.randint(0, 9)))
        changes: list[Change] = [market.quote(self._tick(now))]
        for order in self.account.resting(market.ticker):
            changes += self._reach(market, order, now)
        return changes

    def _reach(self, market: Market, order: Order, now: int) -> list[Change]:
        """Fill an order that rests, if an offer reaches it: at first by half, then the rest."""
        offer = market.book.best(order.side)
        if offer is None or offer.price > order.limit:
            return []
        half = (order.remaining / 2).quantize(CENT)
        count = order.remaining if order.fills or not half else half
        if self.account.cash + self.account.effect(order, order.limit, count, ZERO) < 0:
            return [self.account.cancel(order, self._tick(now), "MarginCancel")]
        return self._fill(market, order.order_id, Level(order.limit, count), now, is_taker=False)

    def _fill(
        self, market: Market, order_id: str, level: Level, now: int, *, is_taker: bool
    ) -> list[Change]:
        fill, order, position = self.account.fill(
            self.account.orders[order_id],
            level.price,
            level.size,
            is_taker=is_taker,
            trade_id=self._id(),
            time=self._tick(now),
        )
        market.traded(fill.yes_price, fill.count)
        return [fill, order, position]

    def _cancel_all(self, ticker: str, now: int) -> list[Change]:
        return [
            self.account.cancel(order, self._tick(now), "CloseCancel")
            for order in self.account.resting(ticker)
        ]

    def _settle(self, market: Market, now: int) -> list[Change]:
        time = self._tick(now)
        del self.markets[market.ticker]
        settlement = self.account.settle(market.ticker, market.event, market.result, time)
        changes: list[Change] = [Settled(market.ticker, time)]
        if settlement is not None:
            changes += [settlement, settlement.after]
        return changes

    def _tick(self, now: int) -> int:
        """A millisecond that nothing else of the account happened in."""
        earliest = self._time // _MILLISECOND * _MILLISECOND + _MILLISECOND
        self._time = max(earliest, now // _MILLISECOND * _MILLISECOND)
        return self._time

    def _see(self) -> list[Change]:
        """The cash, where it is not what was seen last."""
        if self.account.cash == self._seen:
            return []
        self._seen = self.account.cash
        return [Cash(self.account.cash, self._portfolio(), self._time)]

    def _portfolio(self) -> Decimal:
        """What could be had for all that is held."""
        held = (
            (position, self.markets[ticker]) for ticker, position in self.account.positions.items()
        )
        return sum((market.value(position.net) for position, market in held), ZERO)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
