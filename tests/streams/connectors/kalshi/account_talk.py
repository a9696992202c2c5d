"""A parser of the account feed in talk with the fake venue, without sockets and without a clock.

What happens next is the test's choice: the world goes on, a frame arrives, a request is answered,
the connection is lost. Replies may come in small pages, and know the account only up to a while
ago.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from urllib.parse import urlencode

from streams.connectors.base import ConnectorError, Frame, Request
from streams.connectors.kalshi.account import AccountParser, KalshiAccountConnector
from streams.events import (
    Balance,
    Event,
    Fill,
    Order,
    Position,
    Settlement,
    SnapshotFinished,
    Transfer,
)
from streams.simulated.kalshi.venue import session
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.rest import answer
from tests.venue.world import SECOND, World

OWNER = "kalshi/prod/main"
FINAL = ("canceled", "executed")
#: What may happen next; twice as often where it stands twice.
_ACTS = (
    *("world", "frame", "frame", "frame", "reply", "reply"),
    *("again", "lose", "wait", "cut"),
)


class Talk:
    """A feed over any number of connections; `events` is all that it produced."""

    def __init__(self, world: World, page: int = 1000) -> None:
        self.world = world
        self.events: list[Event] = []
        #: Requests that the venue refuses.
        self.refused: set[str] = set()
        self.requests: list[Request] = []
        #: What a recorder would have kept.
        self.recording: list[Frame] = []
        self.frames: list[session.Frame] = []
        self.asked: list[Request] = []
        self.connections = 0
        self._page = page
        self._connector = KalshiAccountConnector(OWNER)
        world.venue.listen(self._hear)
        self.connect()

    def connect(self) -> None:
        """A new connection; frames and replies of the one before are lost."""
        self.connections += 1
        self.frames, self.asked = [], []
        self.session = session.Session(self.world.venue)
        self.parser: AccountParser = self._connector.parser(
            f"c{self.connections}", self.world.venue.now
        )
        self._speak()

    def receive(self, place: int = 0, *, keep: bool = False) -> None:
        """One of the frames on their way arrives; it may come again."""
        if self.frames:
            frame = self.frames[place % len(self.frames)]
            if not keep:
                self.frames.remove(frame)
            self.take(frame.data)

    def lose(self, place: int = 0) -> None:
        """One of the frames on their way does not arrive, unless it answers a command."""
        facts = [frame for frame in self.frames if frame.sid is not None]
        if facts:
            self.frames.remove(facts[place % len(facts)])

    def reply(self) -> None:
        """The request that was asked first is answered."""
        if not self.asked:
            return
        request = self.asked.pop(0)
        self.requests.append(request)
        small = [
            (name, str(min(int(value), self._page)) if name == "limit" else value)
            for name, value in request.query
        ]
        reply = answer(self.world.venue, request.path, urlencode(small))
        if reply.status != 200 or request.path in self.refused:
            self.parser.refused(request, ConnectorError("refused"))
            self._speak()
        else:
            self.take(reply.body, request)

    def take(self, data: bytes, request: Request | None = None) -> list[Event]:
        """A frame or a reply arrives."""
        parser, now = self.parser, self.world.venue.now
        self.recording.append(Frame(now, self._connector.feed, parser.connection, data, request))
        events = parser.parse(data, now, request)
        self.events += events
        self._speak()
        return events

    def wait(self, seconds: float) -> None:
        """Time passes in which nothing happens at the venue."""
        venue = self.world.venue
        venue.publish(venue.now + round(seconds * SECOND), [])
        self.world.now = max(self.world.now, venue.now)
        self.parser.tick(venue.now)
        self._speak()

    def finish(self) -> None:
        """All that is on its way arrives."""
        while self.frames or self.asked:
            self.receive()
            self.reply()

    def finished(self) -> list[SnapshotFinished]:
        return [one for one in self.events if isinstance(one, SnapshotFinished)]

    def _hear(self, message: Message) -> None:
        self.frames += self.session.hear(message)

    def _speak(self) -> None:
        for what in self.parser.outgoing():
            if isinstance(what, Request):
                self.asked.append(what)
            else:
                self.frames += self.session.handle(what)


def number(event: Fill | Order | Position | Settlement | Balance) -> int:
    return int(event.account.rpartition("/")[2])


def newest(events: Sequence[Event]) -> dict[str, object]:
    """What tables say of these events, by the rules of docs/trades.md."""
    fills = {(number(e), e.trade_id): e for e in events if isinstance(e, Fill)}
    settlements = {(number(e), e.ticker): e.revenue for e in events if isinstance(e, Settlement)}
    orders: dict[tuple[int, str], tuple[tuple[Decimal, bool, int], Order]] = {}
    positions: dict[tuple[int, str], Position] = {}
    cash: dict[int, Decimal] = {}
    for event in events:
        match event:
            case Order():
                rank = (event.fill_count, event.status in FINAL, (event.updated or 0) // 1000)
                key = number(event), event.order_id
                if key not in orders or rank >= orders[key][0]:
                    orders[key] = rank, event
            case Position():
                place = number(event), event.ticker
                if place not in positions or event.time > positions[place].time:
                    positions[place] = event
            case Balance():
                cash[number(event)] = event.balance
    return {
        "fills": {key: (e.side, e.yes_price, e.count, e.fee) for key, e in fills.items()},
        "orders": {
            key: (e.status, e.fill_count, e.remaining_count) for key, (_, e) in orders.items()
        },
        "positions": {key: (e.position, e.cost) for key, e in positions.items() if e.position},
        "settlements": settlements,
        "cash": cash,
        "transfers": {e.transfer_id: e.status for e in events if isinstance(e, Transfer)},
    }


def truth(world: World) -> dict[str, object]:
    """The same of what happened."""
    true = world.truth
    return {
        "fills": {key: (e.side, e.yes_price, e.count, e.fee) for key, e in true.fills.items()},
        "orders": {
            key: (states[-1].status, states[-1].filled, states[-1].remaining)
            for key, states in true.orders.items()
        },
        # One that came and went unseen is none.
        "positions": {
            key: (states[-1].net, states[-1].cost)
            for key, states in true.positions.items()
            if states[-1].net
        },
        "settlements": {key: one.revenue for key, one in true.settlements.items()},
        "cash": {key: states[-1].cash for key, states in true.cash.items()},
        "transfers": {key: one.status for key, one in true.transfers.items()},
    }


def mixed(talk: Talk, seed: int, steps: int) -> None:
    """Anything in any order, by a seed: repeats, another order, losses, disconnections."""
    chance = random.Random(seed)
    for _ in range(steps):
        match chance.choice(_ACTS):
            case "world":
                talk.world.step(seconds=chance.choice((0.01, 0.3, 1.0, 5.0)))
            case "frame":
                talk.receive(chance.randrange(4))
            case "again":
                talk.receive(chance.randrange(4), keep=True)
            case "lose" if chance.random() < 0.3:
                talk.lose(chance.randrange(4))
            case "reply":
                talk.reply()
            case "wait" if chance.random() < 0.2:
                talk.finish()
                talk.wait(chance.choice((2, 30, 61, 301)))
            case "cut" if chance.random() < 0.2:
                talk.connect()
