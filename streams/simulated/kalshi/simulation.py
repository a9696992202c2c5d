"""The simulated account whole: exchange, executor and trader, and what our connector reads of it.

All that the exchange says goes through the converters of `streams.connectors.kalshi`, as a frame or
reply in Kalshi's own JSON. Without a clock and without a network: whoever drives it gives both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import orjson

from streams.connectors.kalshi import account_replies
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.frames import frame_events
from streams.events import Event, TradeCommand
from streams.simulated.kalshi.changes import Change
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.executor import Executor
from streams.simulated.kalshi.frames import Frames, Said
from streams.simulated.kalshi.markets import SECOND
from streams.simulated.kalshi.trader import Trader

__all__ = ["Simulation"]


class Simulation:
    """One account, `venue/mode/name/0`, and its trader, from `now` on (microseconds)."""

    def __init__(self, account: str, seed: int, now: int) -> None:
        self.exchange = Exchange(seed, now - SECOND)
        self._account = account
        self._executor = Executor(account, self.exchange)
        self._trader = Trader(account, self.exchange, seed)
        self._frames = Frames()
        self._arrivals = 0
        self._asked: set[str] = set()

    @property
    def unanswered(self) -> int:
        """How many of the trader's commands have not come back to be executed."""
        return len(self._asked)

    def advance(self, now: int, price: Decimal) -> list[Event]:
        """What the venue says up to `now`, at this price of bitcoin."""
        return self._read(self.exchange.advance(now, price), now)

    def trade(self, now: int) -> Sequence[TradeCommand]:
        """What the trader asks for by `now`; to be given to `execute`, once or more often."""
        commands = self._trader.commands(now)
        self._asked.update(command.command_id for command in commands)
        return commands

    def execute(self, command: TradeCommand, now: int) -> list[Event]:
        """What comes of a command; nothing of one for another account."""
        if command.account != self._account:
            return []
        self._asked.discard(command.command_id)
        return self._read(self._executor.execute(command, now), now)

    def _read(self, changes: Iterable[Change | Event], now: int) -> list[Event]:
        events: list[Event] = []
        for change in changes:
            if isinstance(change, Event):
                events.append(change)
                continue
            for said in self._frames.say(change):
                events += self._convert(said, now)
        return events

    def _convert(self, said: Said, now: int) -> list[Event]:
        self._arrivals += 1
        delivery = Delivery(
            account=self._account.rpartition("/")[0],
            origin="native",
            connection="simulated",
            arrival=self._arrivals,
            received=now,
        )
        match said.kind:
            case "balance":
                return [account_replies.balance(orjson.loads(said.data), delivery)]
            case "settlements":
                return account_replies.settlements(orjson.loads(said.data), delivery)
            case "deposits":
                return account_replies.transfers(orjson.loads(said.data), "deposit", delivery)
            case _:
                return frame_events(said.data, delivery)
