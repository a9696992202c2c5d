"""The simulated Kalshi whole: exchange, executor and trader, told to the venue that serves it.

Without a clock and without a network: whoever drives it gives the times and the price of bitcoin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

from streams.events import Event, TradeCommand, TradeEvent
from streams.live import Live
from streams.simulated.kalshi.changes import Settled
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.executor import Executor
from streams.simulated.kalshi.markets import SECOND
from streams.simulated.kalshi.trader import Trader
from streams.simulated.kalshi.venue import Venue
from streams.simulated.kalshi.venue.facts import Fact, IndexValue

__all__ = ["Simulation"]

#: The index that the markets settle on, of which the simulated price is taken for one value each
#: second.
_INDEX = "BRTI"
#: What was quoted and traded in a market is kept as long after its settlement, microseconds.
_KEPT = 600 * SECOND


class Simulation:
    """One account, `venue/mode/name/0`, its trader and its markets, from `now` on (microseconds).

    `venue` is told of everything that happens.
    """

    def __init__(self, live: Live, account: str, seed: int, now: int) -> None:
        self.exchange = Exchange(seed, now - SECOND)
        self.venue = Venue(now)
        self._account = account
        self._executor = Executor(live, account, self.exchange)
        self._trader = Trader(account, self.exchange, seed)
        self._asked: set[str] = set()
        self._second = now // SECOND
        self._settled: deque[Settled] = deque()

    @property
    def unanswered(self) -> int:
        """How many of the trader's commands have not come back to be executed."""
        return len(self._asked)

    def advance(self, now: int, price: Decimal) -> None:
        """Let happen what happens up to `now`, at this price of bitcoin."""
        self._publish(now, self.exchange.advance(now, price))
        if now // SECOND > self._second:
            self._second = now // SECOND
            self._publish(now, [IndexValue(_INDEX, price, self._second * SECOND)])
        self._forget(now)

    def trade(self, now: int) -> Sequence[TradeCommand]:
        """What the trader asks for by `now`; to be given to `execute`, once or more often."""
        commands = self._trader.commands(now)
        self._asked.update(command.command_id for command in commands)
        return commands

    def execute(self, command: TradeCommand, now: int) -> list[TradeEvent]:
        """The outcomes of a command that the venue does not tell; none for another account."""
        if command.account != self._account:
            return []
        self._asked.discard(command.command_id)
        outcomes: list[TradeEvent] = []
        facts: list[Fact] = []
        for one in self._executor.execute(command, now):
            if isinstance(one, Event):
                outcomes.append(one)
            else:
                facts.append(one)
        self._publish(now, facts)
        return outcomes

    def _publish(self, now: int, facts: Iterable[Fact]) -> None:
        """Tell the venue, which never knows of what is later than its own time."""
        facts = list(facts)
        self.venue.publish(max(now, self.exchange.time), facts)
        self._settled += [one for one in facts if isinstance(one, Settled)]

    def _forget(self, now: int) -> None:
        while self._settled and self._settled[0].time < now - _KEPT:
            market = self.venue.markets[self._settled.popleft().ticker]
            market.quotes.clear()
            market.trades.clear()
