"""A real feed of Kalshi connected to the fake venue, and what became of what the venue said."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal

from streams.backoff import Backoff
from streams.connectors.kalshi.environment import Environment
from streams.connectors.kalshi.feed import Access, KalshiConnector
from streams.connectors.kalshi.keys import Key
from streams.connectors.runner import run
from streams.events import BookDelta, BookSnapshot, Event, MarketGap
from streams.heartbeat import Pulse
from tests.venue.fake import FakeKalshi
from tests.venue.keys import ApiKey, api_key
from tests.venue.truth import BookState

OWNER = "kalshi/prod/main"
SERIES = ("KXBTCD",)


class ListSink(list[Event]):
    async def send(self, event: Event, trace: str | None = None) -> None:
        self.append(event)


def access(venue: FakeKalshi, key: ApiKey | None = None) -> Access:
    """How to connect to the fake venue."""
    own = key or api_key()
    return Access(
        Environment("prod", venue.rest_url, venue.websocket_url), Key(own.id, own.private)
    )


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(connector: KalshiConnector) -> AsyncIterator[tuple[ListSink, Pulse]]:
    """Run the feed; what it produces, and its counts."""
    sink, counts = ListSink(), Pulse("producer/test", 0)
    task = asyncio.create_task(run(connector, sink, counts, Backoff(first=0.02, cap=0.05)))
    try:
        yield sink, counts
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass
class Books:
    """The books that events make, by the plainest fold there is; None where one is not valid."""

    states: dict[str, BookState | None] = field(default_factory=dict)
    #: Each valid state with its market and the exchange's clock.
    seen: list[tuple[str, int | None, BookState]] = field(default_factory=list)
    _sizes: dict[str, dict[str, dict[Decimal, Decimal]]] = field(default_factory=dict)
    _last: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Books:
        books = cls()
        for event in events:
            match event:
                case BookSnapshot():
                    books._snapshot(event)
                case BookDelta():
                    books._delta(event)
                case MarketGap():
                    books.states[event.ticker] = None
        return books

    def _snapshot(self, event: BookSnapshot) -> None:
        self._sizes[event.ticker] = {"yes": dict(event.yes), "no": dict(event.no)}
        self._see(event)

    def _delta(self, event: BookDelta) -> None:
        assert self.states[event.ticker] is not None, (
            f"a delta to a book that is not valid: {event}"
        )
        assert self._last[event.ticker] == (event.connection, event.sid, event.previous)
        side = self._sizes[event.ticker].setdefault(event.side, defaultdict(Decimal))
        side[event.price] = side.get(event.price, Decimal(0)) + event.delta
        assert side[event.price] >= 0
        self._see(event)

    def _see(self, event: BookSnapshot | BookDelta) -> None:
        state = BookState.of(self._sizes[event.ticker])
        self.states[event.ticker] = state
        self._last[event.ticker] = event.connection, event.sid, event.seq
        self.seen.append((event.ticker, event.clock, state))
