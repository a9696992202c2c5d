"""The real connectors run against the fake venues, and what they made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from streams.backoff import Backoff
from streams.connectors.binance import BinanceConnector, BinanceUsConnector
from streams.connectors.coinbase import CoinbaseConnector
from streams.connectors.coinbase_advanced import AdvancedConnector
from streams.connectors.kraken import KrakenConnector
from streams.connectors.prices import PriceConnector
from streams.connectors.runner import run
from streams.events import Event, PriceGap, PriceQuote, PriceTrade
from streams.heartbeat import Pulse
from tests.venue.faults import Faults
from tests.venue.spot.binance import FakeBinance, symbol_of
from tests.venue.spot.coinbase import FakeAdvanced, FakeCoinbase
from tests.venue.spot.kraken import FakeKraken
from tests.venue.spot.venue import SpotVenue
from tests.venue.spot.world import SYMBOLS, Quote, Trade, World

__all__ = ["FEEDS", "PATIENCE", "PROTOCOLS", "Feed", "Watch", "until", "watching"]

#: Nothing that should come takes nearly as long. Seconds.
PATIENCE = 60.0


@dataclass(frozen=True)
class Feed:
    """A connector, the fake of its venue, and what that calls frames of trades and of quotes."""

    connector: type[PriceConnector]
    fake: type[SpotVenue]
    trades: str
    quotes: str
    #: The world's symbol → the connector's.
    symbol: Callable[[str], str] = str
    #: The trade's number → its id.
    trade_id: Callable[[int], str] = str
    #: How fine the venue's times are. Microseconds.
    precision: int = 1


def _aggregate(number: int) -> str:
    return f"a{number}"


FEEDS = {
    "binance": Feed(
        *(BinanceConnector, FakeBinance, "aggTrade", "bookTicker"), symbol_of, _aggregate, 1_000
    ),
    "binance-us": Feed(
        *(BinanceUsConnector, FakeBinance, "aggTrade", "bookTicker"), symbol_of, _aggregate, 1_000
    ),
    "coinbase": Feed(CoinbaseConnector, FakeCoinbase, "match", "ticker"),
    "coinbase-advanced": Feed(AdvancedConnector, FakeAdvanced, "update", "ticker"),
    "kraken": Feed(KrakenConnector, FakeKraken, "trade update", "book update"),
}

#: One feed of each protocol.
PROTOCOLS = sorted(FEEDS.keys() - {"binance-us"})


@dataclass
class Watch:
    """A feed that runs, and what it has produced."""

    feed: Feed
    venue: SpotVenue
    connector: PriceConnector
    counts: Pulse = field(default_factory=lambda: Pulse("producer/test", 0))
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trades: dict[str, dict[int, Trade]] = {symbol: {} for symbol in SYMBOLS}
        self._symbols = {self.feed.symbol(symbol): symbol for symbol in SYMBOLS}

    async def send(self, event: Event, trace: str | None = None) -> None:
        """It is the sink. The same trade is the same each time, however it comes."""
        self.events.append(event)
        if isinstance(event, PriceTrade):
            trade = self._as_recorded(event)
            assert self._trades[trade.symbol].setdefault(trade.number, trade) == trade

    def trades(self, symbol: str) -> dict[int, Trade]:
        """What was produced of the world's symbol, by number, as the world records it."""
        return self._trades[symbol]

    def quote(self, symbol: str) -> Quote | None:
        """The last quote that was produced, by its time and sequence."""
        name = self.feed.symbol(symbol)
        found = [event for event in self.events if isinstance(event, PriceQuote)]
        mine = [event for event in found if event.symbol == name]
        if not mine:
            return None
        last = max(mine, key=lambda quote: (quote.time, quote.sequence or 0))
        texts = (last.bid, last.bid_size, last.ask, last.ask_size)
        return Quote(*(str(text) for text in texts))

    def gaps(self, symbol: str) -> set[int]:
        """The numbers that gaps have named."""
        name = self.feed.symbol(symbol)
        found = [event for event in self.events if isinstance(event, PriceGap)]
        return {
            number for gap in found if gap.symbol == name for number in range(gap.expected, gap.got)
        }

    def is_told(self, symbol: str) -> bool:
        """Whether all that happened since the first trade that was produced was produced."""
        found, step = self._trades[symbol], self.feed.precision
        first = min(found, default=0)
        happened = [one for one in self.venue.world.trades[symbol] if one.number >= first]
        return len(found) == len(happened) and all(
            found.get(one.number) == replace(one, time=one.time - one.time % step)
            for one in happened
        )

    def is_complete(self) -> bool:
        """Whether what was produced is what happened, and the last quotes are those of now."""
        world = self.venue.world
        return all(
            self.is_told(symbol) and self.quote(symbol) == world.quotes[symbol]
            for symbol in SYMBOLS
        )

    async def completed(self) -> None:
        """Let the world go on, a little at a time, until all that was said has been produced."""
        async with asyncio.timeout(PATIENCE):
            while not await self._settled():
                await self.venue.step(4)
                await self.venue.beat()

    async def _settled(self) -> bool:
        """Whether all is produced that will be without another step."""
        for _ in range(10):
            if self.venue.world.quotes.keys() == set(SYMBOLS) and self.is_complete():
                return True
            await asyncio.sleep(0.005)
        return False

    def _as_recorded(self, event: PriceTrade) -> Trade:
        number = int(event.trade_id.removeprefix("a"))
        assert self.feed.trade_id(number) == event.trade_id
        return Trade(
            symbol=self._symbols[event.symbol],
            number=number,
            price=f"{event.price:.2f}",
            size=f"{event.size:.8f}",
            side=event.side,
            time=event.time,
        )


@asynccontextmanager
async def watching(name: str, faults: Faults, seed: int = 5) -> AsyncIterator[Watch]:
    """A feed that runs against the fake of its venue, and has begun to produce."""
    feed = FEEDS[name]
    async with feed.fake(World(seed), faults) as venue:
        connector = feed.connector.recorded("")
        connector.symbols = tuple(feed.symbol(symbol) for symbol in SYMBOLS)
        connector.url, connector.rest_url = venue.websocket_url, venue.rest_url
        connector.rest_rate = 1_000.0
        watch = Watch(feed, venue, connector)
        task = asyncio.create_task(run(connector, watch, watch.counts, Backoff(0.02, 0.1)))
        try:
            await watch.completed()
            yield watch
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
