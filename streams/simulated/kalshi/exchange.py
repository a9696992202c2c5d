"""The simulated exchange: opens markets, quotes, matches, settles. Seeded, without a clock. Pure.

Whoever drives it gives the time and the price of bitcoin. What happens comes back as facts, in the
order in which they happened; each of the account, and of a market's life, at a millisecond of its
own. Strangers trade with each other and with what of the account rests.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from decimal import Decimal

from streams.events.types import Side
from streams.simulated.kalshi.account import Account
from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Cash, Resolved, Settled
from streams.simulated.kalshi.markets import SECOND, Market, due
from streams.simulated.kalshi.orders import (
    CENT,
    HIGHEST_PRICE,
    ONE,
    ZERO,
    Order,
    OrderError,
    other,
    taker_fee,
)
from streams.simulated.kalshi.venue.facts import Fact, Switched, Transfer

__all__ = ["Exchange"]

_MILLISECOND = 1000
_QUOTE_EVERY = SECOND // 2
#: From the close to the result, and to the payment.
_DETERMINED_AFTER = SECOND
_SETTLED_AFTER = 2 * SECOND
_DEPOSIT = Decimal(1000)
#: With less cash than this the account gets another deposit.
_LEAST_CASH = Decimal(200)
_CHANCE_OF_STRANGERS = 0.4
_LARGEST_TRADE = 9


class Exchange:
    """The markets and one account. The same seed, times, prices and orders: the same facts."""

    def __init__(self, seed: int, opened: int) -> None:
        """An account without cash is `opened`, at least a second before the first `advance`."""
        self.account = Account()
        #: Those that are not settled yet.
        self.markets: dict[str, Market] = {}
        #: When the last of what happened did, microseconds since 1970 UTC.
        self.time = opened
        self._random = random.Random(seed)
        self._last_close = opened
        self._seen: Decimal | None = None

    def advance(self, now: int, price: Decimal) -> list[Fact]:
        """What happens up to `now`, microseconds since 1970 UTC, at this price of bitcoin."""
        facts: list[Fact] = [*self._see(), *self._open(now, price)]
        for market in list(self.markets.values()):
            facts += self._step(market, now, price)
        if self.account.cash < _LEAST_CASH:
            facts.append(self._deposit(now))
        return [*facts, *self._see()]

    def place(
        self,
        now: int,
        ticker: str,
        side: Side,
        count: Decimal,
        limit: Decimal | None,
        client_order_id: str,
    ) -> list[Fact]:
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
        facts: list[Fact] = [order]
        facts += market.changes(market.book.take(side, taken), created)
        for level in taken:
            facts.append(market.traded(self._id(), side, level, self.time))
            facts += self._fill(order.order_id, level, now, is_taker=True)
        facts += self._rest(market, self.account.orders[order.order_id], now)
        return [*facts, *self._see()]

    def cancel(self, now: int, order_id: str) -> list[Fact]:
        """End an order that rests; nothing changes where none of this id does."""
        order = self.account.orders.get(order_id)
        if order is None or order.status != "resting":
            return []
        return [*self._withdraw(self.markets[order.ticker], order, None, now), *self._see()]

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

    def _open(self, now: int, price: Decimal) -> Iterator[Fact]:
        for event, strike, closes in list(due(now, self._last_close, price)):
            market = Market(event, strike, closes, self._id())
            self.markets[market.ticker] = market
            self._last_close = closes
            yield market.listed(self._tick(now))
            yield Switched(market.ticker, active=True, time=self._tick(now))

    def _step(self, market: Market, now: int, price: Decimal) -> list[Fact]:
        """One step of a market's life, if it is time for one."""
        if market.status == "active":
            if now >= market.closes:
                market.close(price)
                return self._withdraw_all(market, now)
            return self._trade(market, now, price) if now >= market.quote_due else []
        if market.status == "closed" and now >= market.closes + _DETERMINED_AFTER:
            market.status = "determined"
            return [Resolved(market.ticker, market.result, self._tick(now))]
        if market.status == "determined" and now >= market.closes + _SETTLED_AFTER:
            return self._settle(market, now)
        return []

    def _trade(self, market: Market, now: int, price: Decimal) -> list[Fact]:
        """Strangers bid anew and trade; what of the account rests is filled where they reach it."""
        is_quoted = market.quote_due > 0
        market.quote_due = now + _QUOTE_EVERY
        time = self._tick(now)
        deltas = market.book.quote(market.fair_cents(now, price), self._random)
        facts: list[Fact] = [*market.changes(deltas, time)]
        for order in self.account.resting(market.ticker):
            facts += self._reach(market, order, now)
        if is_quoted and self._random.random() < _CHANCE_OF_STRANGERS:
            facts += self._trade_of_strangers(market, time)
        return [*facts, market.quote(self.time)]

    def _trade_of_strangers(self, market: Market, time: int) -> list[Fact]:
        side: Side = self._random.choice(("yes", "no"))
        wanted = Decimal(self._random.randint(1, _LARGEST_TRADE))
        taken = market.book.within(side, HIGHEST_PRICE, wanted)
        changes = market.changes(market.book.take(side, taken), time)
        return [*changes, *(market.traded(self._id(), side, level, time) for level in taken)]

    def _reach(self, market: Market, order: Order, now: int) -> list[Fact]:
        """Fill an order that rests, if an offer reaches it: at first by half, then the rest."""
        offered = market.book.offered.get(order.side)
        if offered is None or offered > order.limit:
            return []
        half = (order.remaining / 2).quantize(CENT)
        count = order.remaining if order.fills or not half else half
        if self.account.cash + self.account.effect(order, order.limit, count, ZERO) < 0:
            return self._withdraw(market, order, "MarginCancel", now)
        level, taker = Level(order.limit, count), other(order.side)
        fill, *states = self._fill(order.order_id, level, now, is_taker=False)
        sold = Level(ONE - order.limit, count)
        trade = market.traded(self._id(), taker, sold, self.time)
        return [*self._bid(market, order, -count), trade, fill, *states]

    def _fill(self, order_id: str, level: Level, now: int, *, is_taker: bool) -> list[Fact]:
        fill, order, position = self.account.fill(
            self.account.orders[order_id],
            level.price,
            level.size,
            is_taker=is_taker,
            trade_id=self._id(),
            time=self._tick(now),
        )
        return [fill, order, position]

    def _rest(self, market: Market, order: Order, now: int) -> list[Fact]:
        """What becomes of what is left of a new order."""
        if order.status != "resting":
            return []
        if order.kind == "market":
            return [self.account.cancel(order, self._tick(now), None)]
        if order.limit >= market.book.own_offer(order.side):
            return [self.account.cancel(order, self._tick(now), "SelfTradeCancel")]
        return self._bid(market, order, order.remaining)

    def _bid(self, market: Market, order: Order, size: Decimal) -> list[Fact]:
        """The account bids for so much more, or less, by an order."""
        delta = market.book.bid(order.side, order.limit, size)
        return [*market.changes([delta], self.time, order.client_order_id)]

    def _withdraw(self, market: Market, order: Order, reason: str | None, now: int) -> list[Fact]:
        canceled = self.account.cancel(order, self._tick(now), reason)
        return [*self._bid(market, order, -order.remaining), canceled]

    def _withdraw_all(self, market: Market, now: int) -> list[Fact]:
        facts: list[Fact] = []
        for order in self.account.resting(market.ticker):
            facts += self._withdraw(market, order, "CloseCancel", now)
        return facts

    def _deposit(self, now: int) -> Transfer:
        self.account.deposit(_DEPOSIT)
        time = self._tick(now)
        return Transfer("deposit", self._id(), _DEPOSIT, ZERO, "applied", time, time)

    def _settle(self, market: Market, now: int) -> list[Fact]:
        time = self._tick(now)
        del self.markets[market.ticker]
        settlement = self.account.settle(market.ticker, market.event, market.result, time)
        facts: list[Fact] = [Settled(market.ticker, time)]
        if settlement is not None:
            facts += [settlement, settlement.after]
        return facts

    def _tick(self, now: int) -> int:
        """A millisecond that nothing else of the account happened in."""
        earliest = self.time // _MILLISECOND * _MILLISECOND + _MILLISECOND
        self.time = max(earliest, now // _MILLISECOND * _MILLISECOND)
        return self.time

    def _see(self) -> list[Fact]:
        """The cash, where it is not what was seen last."""
        if self.account.cash == self._seen:
            return []
        self._seen = self.account.cash
        return [Cash(self.account.cash, self._portfolio(), self.time)]

    def _portfolio(self) -> Decimal:
        """What could be had for all that is held."""
        held = (
            (position, self.markets[ticker]) for ticker, position in self.account.positions.items()
        )
        return sum((market.value(position.net) for position, market in held), ZERO)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
