"""A seeded world that drives the venue: hourly markets on bitcoin, strangers, and an account.

Its time moves by steps of a test, never by a clock. The same seed and the same steps say the same.
What it said is in `truth`.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from streams.events.tickers import EASTERN
from streams.events.types import Side, moment
from streams.simulated.kalshi.account import Account
from streams.simulated.kalshi.book import Level
from streams.simulated.kalshi.changes import Cash, Resolved, Settled
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
from streams.simulated.kalshi.venue.facts import (
    BookChange,
    Fact,
    IndexValue,
    Listed,
    Struck,
    Switched,
    Transfer,
)
from streams.simulated.kalshi.venue.limits import Limits
from streams.simulated.kalshi.venue.state import Venue
from tests.venue.market import Market
from tests.venue.truth import Truth

#: 2026-11-22T21:59:30Z: half a minute before markets close.
START = 1_795_384_770_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND

_SERIES = "KXBTCD"
_MILLISECOND = 1_000
_LISTED_BEFORE = HOUR + 600 * SECOND
_SIDES: tuple[Side, ...] = ("yes", "no")


class World:
    """Markets of two hours at a time, `strikes` for each; and subaccounts with 1,000 dollars."""

    def __init__(
        self,
        seed: int = 0,
        *,
        start: int = START,
        strikes: int = 3,
        subaccounts: tuple[int, ...] = (0, 1),
        portfolio_lag: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.now = start
        self.truth = Truth()
        self.venue = Venue(start, portfolio_lag=portfolio_lag, limits=limits)
        #: Those that are traded.
        self.markets: dict[str, Market] = {}
        self._random = random.Random(seed)
        self._strikes = strikes
        self._price = Decimal(92_000)
        self._last_close = start
        self._unsettled: list[tuple[Listed, Side]] = []
        self._tick_time = start
        self._accounts = {number: Account() for number in subaccounts}
        self._pending: list[Transfer] = []
        self.transfer("deposit", Decimal(1_000) * len(subaccounts))
        self._list_markets()

    def step(self, steps: int = 1, seconds: float = 1.0) -> None:
        """Let so many times so much time pass, in each of which everyone acts."""
        for _ in range(steps):
            self.now += round(seconds * SECOND)
            self._move_price()
            self._finish_transfers()
            self._settle()
            self._close()
            self._list_markets()
            self._open()
            for market in list(self.markets.values()):
                self._strangers(market)
            for number in self._accounts:
                self._trade(number)

    def until_close(self) -> None:
        """Step to the next close of markets and over it, until they are settled."""
        close = min(one.listed.closes for one in self.markets.values())
        self.step(2, (close - self.now) / SECOND / 2)
        self.step(3)

    def transfer(self, kind: Literal["deposit", "withdrawal"], amount: Decimal) -> None:
        """Begin a deposit to subaccount 0, or a withdrawal from it; the next step applies it."""
        fee = ZERO if kind == "deposit" else CENT
        begun = Transfer(kind, self._id(), amount, fee, "pending", self._tick(), None)
        self._pending.append(begun)
        self._say([begun])
        if kind == "withdrawal":
            self._accounts[0].cash -= amount
            self._see(0)

    def place(
        self, number: int, ticker: str, side: Side, count: Decimal, limit: Decimal
    ) -> str | None:
        """Have the account order something; its order's id, or None where it is refused."""
        market, account = self.markets[ticker], self._accounts[number]
        created = self._tick()
        taken = market.reach(side, limit, count)
        order = Order(
            order_id=self._id(),
            client_order_id=self._id(),
            ticker=ticker,
            side=side,
            kind="limit",
            limit=limit,
            initial=count,
            created=created,
            updated=created,
        )
        try:
            order = account.place(order, sum((taker_fee(*level) for level in taken), ZERO))
        except OrderError:
            return None
        self._say([order], number)
        self._change(market, market.take(side, taken, market.tick(self._random), created))
        for level in taken:
            self._say([market.traded(self._id(), side, level, self._tick())])
            self._fill(number, order.order_id, level, is_taker=True)
        self._rest(number, market, account.orders[order.order_id])
        self._see(number)
        return order.order_id

    def cancel(self, number: int, order_id: str, reason: str | None = None) -> None:
        """End an order that rests."""
        account = self._accounts[number]
        order = account.orders[order_id]
        self._lift(number, order, order.remaining)
        self._say([account.cancel(order, self._tick(), reason)], number)
        self._see(number)

    def _strangers(self, market: Market) -> None:
        for _ in range(self._random.randint(1, 3)):
            self._change(market, market.stir(self._random, self._tick()))
        if self._random.random() < 0.5:
            self._strangers_trade(market)
        self._say([market.quote(self._tick())])

    def _strangers_trade(self, market: Market) -> None:
        """One sweeps up to several levels at once: several changes of one clock."""
        side = self._random.choice(_SIDES)
        count = Decimal(self._random.randint(1, 40_000)).scaleb(-2)
        taken = market.reach(side, HIGHEST_PRICE, count)
        if not taken:
            return
        time = self._tick()
        self._change(market, market.take(side, taken, market.tick(self._random), time))
        self._say([market.traded(self._id(), side, level, time) for level in taken])

    def _trade(self, number: int) -> None:
        """The account orders at random, cancels, and is filled by strangers."""
        for order in [one for one in self._accounts[number].orders.values() if one.remaining]:
            if self._random.random() < 0.3:
                self._filled_by_stranger(number, order)
            elif self._random.random() < 0.1:
                self.cancel(number, order.order_id)
        if not self.markets or self._random.random() < 0.5:
            return
        market = self._random.choice(list(self.markets.values()))
        side = self._random.choice(_SIDES)
        best = ONE - market.best(other(side)).price
        limit = min(HIGHEST_PRICE, max(CENT, best + CENT * self._random.randint(-6, 2)))
        # It never trades with itself.
        if all(limit + price < ONE for price, size in market.own[other(side)].items() if size):
            count = Decimal(self._random.choice(("1", "2", "5", "10", "25", "2.50", "0.75")))
            self.place(number, market.listed.ticker, side, count, limit)

    def _filled_by_stranger(self, number: int, order: Order) -> None:
        """In half or whole, at its own price, as far as the cash suffices."""
        market, account = self.markets[order.ticker], self._accounts[number]
        half = (order.remaining / 2).quantize(CENT)
        count = order.remaining if order.fills or not half else half
        if account.cash + account.effect(order, order.limit, count, ZERO) < 0:
            self.cancel(number, order.order_id, "MarginCancel")
            return
        self._lift(number, order, count)
        level = Level(order.limit, count)
        taker = other(order.side)
        self._say([market.traded(self._id(), taker, Level(ONE - order.limit, count), self._tick())])
        self._fill(number, order.order_id, level, is_taker=False)
        self._see(number)

    def _rest(self, number: int, market: Market, order: Order) -> None:
        if order.remaining:
            self._own_change(number, market, order, order.remaining)

    def _lift(self, number: int, order: Order, count: Decimal) -> None:
        self._own_change(number, self.markets[order.ticker], order, -count)

    def _own_change(self, number: int, market: Market, order: Order, delta: Decimal) -> None:
        clock, owner = market.tick(self._random), (order.client_order_id, number)
        change = market.change(order.side, order.limit, delta, clock, self._tick(), owner)
        self._change(market, [change])

    def _fill(self, number: int, order_id: str, level: Level, *, is_taker: bool) -> None:
        account = self._accounts[number]
        fill, order, position = account.fill(
            account.orders[order_id],
            level.price,
            level.size,
            is_taker=is_taker,
            trade_id=self._id(),
            time=self._tick(),
        )
        self._say([fill, order, position], number)

    def _move_price(self) -> None:
        self._price += Decimal(self._random.randint(-2_000, 2_000)).scaleb(-2)
        second = self.now // SECOND * SECOND
        self._say([IndexValue("BRTI", self._price, second)])

    def _list_markets(self) -> None:
        """Those of the hours that begin within ten minutes; the strike of one is told later."""
        close = self._last_close // HOUR * HOUR
        while (close := close + HOUR) <= self.now + _LISTED_BEFORE:
            if close > self._last_close:
                self._last_close = close
                for number in range(self._strikes):
                    self._list(close, number)

    def _list(self, close: int, number: int) -> None:
        strike = (round(self._price / 250) + number - self._strikes // 2) * 250
        floor = strike - CENT
        event = f"{_SERIES}-{moment(close).astimezone(EASTERN):%y%b%d%H}".upper()
        listed = Listed(
            ticker=f"{event}-T{floor}",
            event=event,
            series=_SERIES,
            market_id=self._id(),
            title="Bitcoin price?",
            subtitle=f"${strike:,} or above" if number else "",
            floor_strike=floor if number else None,
            opens=close - HOUR,
            closes=close,
            time=self._tick(),
        )
        self._say([listed])
        if not number:
            self._say([Struck(listed.ticker, floor, f"${strike:,} or above", self._tick())])

    def _open(self) -> None:
        for ticker, listed in self.truth.listed.items():
            if listed.opens <= self.now < listed.closes and ticker not in self.markets:
                self.markets[ticker] = Market(listed, clock=self._random.randint(1, 10**7))
                self._say([Switched(ticker, active=True, time=self._tick())])

    def _close(self) -> None:
        for ticker, market in list(self.markets.items()):
            if self.now < market.listed.closes:
                continue
            for number, account in self._accounts.items():
                for order in account.resting(ticker):
                    self.cancel(number, order.order_id, "CloseCancel")
            del self.markets[ticker]
            floor = self.truth.listed[ticker].floor_strike or self.truth.struck[ticker].floor_strike
            result: Side = "yes" if self._price > floor else "no"
            self._say([Resolved(ticker, result, self._tick())])
            self._unsettled.append((market.listed, result))

    def _settle(self) -> None:
        """What was determined at an earlier step is paid."""
        for listed, result in self._unsettled:
            time = self._tick()
            self._say([Settled(listed.ticker, time)])
            for number, account in self._accounts.items():
                settlement = account.settle(listed.ticker, listed.event, result, time)
                if settlement is not None:
                    self._say([settlement, settlement.after], number)
                    self._see(number)
        self._unsettled.clear()

    def _finish_transfers(self) -> None:
        """The first deposit is shared by the subaccounts."""
        for begun in self._pending:
            done = replace(begun, status="applied", finalized=self._tick())
            self._say([done])
            if done.kind == "deposit":
                self._share(done.amount)
        self._pending.clear()

    def _share(self, amount: Decimal) -> None:
        """Between those that have nothing, else to subaccount 0; that is no transfer."""
        poor = [number for number, account in self._accounts.items() if not account.cash] or [0]
        for number in poor:
            self._accounts[number].deposit(amount / len(poor))
            self._see(number)

    def _change(self, market: Market, changes: list[BookChange]) -> None:
        self._say(changes)
        if changes:
            self.truth.books[market.listed.ticker][changes[-1].clock] = market.state

    def _see(self, number: int) -> None:
        """The cash of a subaccount, and what could be had for what it holds."""
        account = self._accounts[number]
        value = ZERO
        for ticker, position in account.positions.items():
            if (market := self.markets.get(ticker)) is not None:
                side: Side = "yes" if position.net > 0 else "no"
                value += abs(position.net) * market.best(side).price
        self._say([Cash(account.cash, value, self._tick())], number)

    def _say(self, facts: Sequence[Fact], subaccount: int = 0) -> None:
        self.truth.record(facts, subaccount)
        self.venue.publish(max(self.now, self._tick_time), facts, subaccount)

    def _tick(self) -> int:
        """A millisecond that nothing else happened in."""
        self._tick_time = max(self._tick_time + _MILLISECOND, self.now)
        return self._tick_time

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
