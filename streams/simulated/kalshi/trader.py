"""A simulated trader: seeded commands that bring about whatever may happen to a trade. Pure.

A plan is what it means to do with one ticket. It is written as a generator of commands and of
pauses, so that each command is made when it is due, at the prices of that moment.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

from streams.events import CancelTrade, CloseTrade, OpenTrade, TradeCommand
from streams.events.types import Side
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.markets import SECOND, Market
from streams.simulated.kalshi.orders import CENT, HIGHEST_PRICE, other

__all__ = ["Trader"]

#: Seconds between the tickets; the pauses within a plan are fractions of a market's life.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.6, 1.4
#: A market that closes sooner is not entered, microseconds.
_LEAST_TIME_LEFT = 4 * SECOND
_CHANCE_OF_REPEAT = 0.1
#: What costs less is not bought, dollars.
_LEAST_PRICE = Decimal("0.05")
_SIZES = ("1", "2", "5", "10", "20", "2.50", "0.75")
_SIDES: tuple[Side, ...] = ("yes", "no")
_TAG = "0123456789abcdefghijklmnopqrstuvwxyz"

_Plan = Iterator[TradeCommand | float]


@dataclass(frozen=True)
class _Deal:
    """One ticket: what is to be bought and sold again."""

    ticket_id: str
    market: Market
    side: Side
    count: Decimal


class Trader:
    """Asks for trades of one account. The same seed and times, and the same market: the same."""

    def __init__(self, account: str, exchange: Exchange, seed: int) -> None:
        self._account = account
        self._exchange = exchange
        self._random = random.Random(seed)
        self._now = 0
        self._next_ticket = 0
        #: When each plan goes on; the number decides between those of one time.
        self._plans: list[tuple[int, int, _Plan]] = []
        self._numbers = count()

    def commands(self, now: int) -> list[TradeCommand]:
        """What it asks for by `now`, microseconds since 1970 UTC."""
        self._now = now
        if now >= self._next_ticket:
            self._next_ticket = now + self._seconds(_SHORTEST_PAUSE, _LONGEST_PAUSE)
            if (deal := self._deal()) is not None:
                self._go_on_at(now, self._choose()(deal))
        commands: list[TradeCommand] = []
        while self._plans and self._plans[0][0] <= now:
            _, _, plan = heapq.heappop(self._plans)
            commands += self._proceed(plan)
        return commands

    def _proceed(self, plan: _Plan) -> list[TradeCommand]:
        """The commands of a plan up to its next pause."""
        commands: list[TradeCommand] = []
        for step in plan:
            if isinstance(step, float):
                self._go_on_at(self._now + round(step * SECOND), plan)
                break
            commands += [step] * (2 if self._random.random() < _CHANCE_OF_REPEAT else 1)
        return commands

    def _go_on_at(self, time: int, plan: _Plan) -> None:
        heapq.heappush(self._plans, (time, next(self._numbers), plan))

    def _choose(self) -> Callable[[_Deal], _Plan]:
        plans: dict[Callable[[_Deal], _Plan], int] = {
            self._hold: 6,
            self._buy_and_sell: 6,
            self._at_any_price: 2,
            self._scale_out: 3,
            self._wait_for_a_price: 3,
            self._sweep: 2,
            self._too_much: 1,
            self._too_late: 1,
            self._badly_priced_close: 1,
            self._close_twice: 1,
        }
        return self._random.choices(list(plans), list(plans.values()))[0]

    def _hold(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=2)

    def _buy_and_sell(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=2)
        yield self._random.uniform(1.5, 4.0)
        yield self._close(deal, above=2)

    def _at_any_price(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=None)
        yield self._random.uniform(1.0, 3.0)
        yield self._close(deal, above=None)

    def _scale_out(self, deal: _Deal) -> _Plan:
        """Half of it by a close that rests a while, the other half at any price."""
        yield self._open(deal, above=3)
        yield 1.0
        yield self._close(deal, above=-3, part=(deal.count / 2).quantize(CENT))
        yield 1.5
        yield self._cancel(deal, "not filled in time")
        yield 0.3
        yield self._close(deal, above=None)

    def _wait_for_a_price(self, deal: _Deal) -> _Plan:
        """An order below the market: filled, filled in part, or not at all."""
        yield self._open(deal, above=-4)
        yield self._random.uniform(1.5, 3.0)
        yield self._cancel(deal, "not filled in time")

    def _sweep(self, deal: _Deal) -> _Plan:
        """More than there is at that price: filled in part, at several prices, then canceled."""
        yield self._open(deal, above=2, times=8)
        yield 0.3
        yield self._cancel(deal, "enough")

    def _too_much(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=2, times=100_000)

    def _too_late(self, deal: _Deal) -> _Plan:
        yield (deal.market.closes - self._now) / SECOND
        yield self._open(deal, above=None)

    def _badly_priced_close(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=2)
        yield 1.0
        yield self._close(deal, above=Decimal("0.5"))
        yield 1.0
        yield self._close(deal, above=2)

    def _close_twice(self, deal: _Deal) -> _Plan:
        yield self._open(deal, above=2)
        yield 1.5
        yield self._close(deal, above=None)
        yield 0.8
        yield self._close(deal, above=None)

    def _deal(self) -> _Deal | None:
        """A ticket for a market that has time left, and offers of a side that is undecided."""
        latest = self._now + _LEAST_TIME_LEFT
        chances = [
            (market, side)
            for market in self._exchange.markets.values()
            for side in _SIDES
            if market.closes >= latest
            and (offer := market.book.best(side)) is not None
            and offer.price >= _LEAST_PRICE
        ]
        if not chances:
            return None
        market, side = self._random.choice(chances)
        tag = "".join(self._random.choices(_TAG, k=9))
        ticket_id = f"TICKET-{tag}-{self._now // 1000}"
        return _Deal(ticket_id, market, side, Decimal(self._random.choice(_SIZES)))

    def _open(self, deal: _Deal, above: int | None, times: int = 1) -> OpenTrade:
        market = deal.market
        guess = _limit(market, deal.side, self._random.randint(-4, 8)) * 100
        return OpenTrade(
            **self._common(deal),
            side=deal.side,
            count=deal.count * times,
            price=None if above is None else _limit(market, deal.side, above),
            symbol="BTC",
            market="Kalshi (simulated)",
            strategy="Simulated",
            contract=market.subtitle,
            strike=Decimal(market.strike),
            prob=guess,
            entry_method="auto",
        )

    def _close(
        self, deal: _Deal, above: int | Decimal | None, part: Decimal | None = None
    ) -> CloseTrade:
        side = other(deal.side)
        return CloseTrade(
            **self._common(deal),
            side=side,
            count=part,
            price=None if above is None else _limit(deal.market, side, above),
            close_method="auto",
        )

    def _cancel(self, deal: _Deal, reason: str) -> CancelTrade:
        return CancelTrade(**self._common(deal), reason=reason)

    def _common(self, deal: _Deal) -> dict[str, Any]:
        return {
            "command_id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "ticket_id": deal.ticket_id,
            "account": self._account,
            "ticker": deal.market.ticker,
            "time": self._now,
            "origin": "native",
        }

    def _seconds(self, shortest: float, longest: float) -> int:
        return round(self._random.uniform(shortest, longest) * SECOND)


def _limit(market: Market, side: Side, above: int | Decimal) -> Decimal:
    """So many cents above the best offer, within what the venue allows."""
    best = market.book.best(side)
    price = (best.price if best else HIGHEST_PRICE) + above * CENT
    return min(HIGHEST_PRICE, max(CENT, price))
