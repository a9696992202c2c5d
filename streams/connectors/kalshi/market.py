"""The feed of market data: `kalshi-market`, one connection for all that is no order book.

Quotes, public trades, the life of the followed markets, and the index that they settle on. What a
connection missed, REST tells: trades since the last one, and what became of the markets. Quotes
are whole each time, and come anew with each subscription.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.connectors.base import Request, build
from streams.connectors.kalshi import (
    index_frames,
    lifecycle,
    market_frames,
    market_replies,
    quick,
    values,
)
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import Delivery, kept
from streams.connectors.kalshi.feed import Access, KalshiConnector
from streams.connectors.kalshi.following import Change, Following, after, pages
from streams.connectors.kalshi.market_memory import Memory, remembered
from streams.connectors.kalshi.parser import KalshiParser
from streams.connectors.kalshi.subscriptions import MARKETS, Place
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import (
    EncodedEvent,
    Event,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
    MarketUnparsed,
    PriceGap,
    PriceIndex,
)
from streams.settings import Endpoints

__all__ = ["KalshiMarketConnector", "KalshiMarketParser"]

_QUOTES = "ticker"
_TRADES = "trade"
_LIFECYCLE = "market_lifecycle_v2"
_INDEX = "cfbenchmarks_value"
#: The index of a series, by how its name begins.
_INDICES = {
    "KXBTC": "BRTI",
    "KXETH": "ETHUSD_RTI",
    "KXSOL": "SOLUSD_RTI",
    "KXXRP": "XRPUSD_RTI",
    "KXDOGE": "DOGEUSD_RTI",
}
#: How far back the results of markets are asked for at first. Seconds.
_RESULTS_OF = 86_400
_SECOND = 1_000_000
#: Results become known some time after they are dated. Seconds.
_RESULTS_LAG = 3600
#: REST lags behind the WebSocket: it is asked as much later. Microseconds.
_REST_LAGS = 3_000_000
#: Trades are asked for from as much earlier, for clocks differ. Seconds.
_OVERLAP = 60
#: After an answer that could not be read. Microseconds.
_ASK_AGAIN = 300_000_000
_PAGE = 1000

Life = MarketDescribed | MarketDetermined | MarketSettled


class KalshiMarketConnector(KalshiConnector):
    """The market data of all open markets of some series."""

    name = "kalshi-market"

    def __init__(
        self, owner: str, access: Access | None = None, series: Sequence[str] = ()
    ) -> None:
        super().__init__(owner, access, series)
        self._memory = Memory()

    async def prepare(self, endpoints: Endpoints) -> int:
        """Learn until when trades and the index are in the log: what came after that was missed.

        Also where this process produced before: what it could not deliver is not in the log.
        """
        self._memory, records = await remembered(
            endpoints, self.owner, self.lease(), self.series, self.indices
        )
        return records

    def parser(self, connection: str, opened: int) -> KalshiMarketParser:
        following = Following(self.series)
        self._memory.trades.connected()
        parser = KalshiMarketParser(
            self.venue, connection, self.owner, opened, following, self._memory
        )
        parser.start(self.indices)
        return parser

    @property
    def indices(self) -> list[str]:
        """The indices that the series settle on."""
        found = [index for name, index in _INDICES.items() if self._begins(name)]
        return list(dict.fromkeys(found))

    def _begins(self, name: str) -> bool:
        return any(series.startswith(name) for series in self.series)


@dataclass
class KalshiMarketParser(KalshiParser):
    """One connection's market data."""

    unread = MarketUnparsed
    following: Following
    memory: Memory
    _is_asked: bool = field(default=False, init=False)
    #: How many lists of markets are asked for and not at an end; whether one could not be read.
    _listings: int = field(default=0, init=False)
    _is_partial: bool = field(default=False, init=False)
    _asked: int = field(default=0, init=False)
    _subscribed: set[str] = field(default_factory=set, init=False)
    #: Indices whose last value was followed by the next: none is missing between the two.
    _unbroken: set[str] = field(default_factory=set, init=False)

    def start(self, indices: list[str]) -> None:
        """Ask for what needs no markets' names."""
        self.say(self.subscriptions.subscribe(self.opened, _LIFECYCLE))
        if indices:
            self.say(self.subscriptions.subscribe(self.opened, _INDEX, index_ids=indices))

    def tick(self, now: int) -> None:
        super().tick(now)
        self.memory.trades.confirm()
        self.complete_until = self.memory.trades.complete_until
        if self.subscriptions.sid_of(_LIFECYCLE) is not None and self.following.is_due(now):
            self._ask_markets(now)
        for ticker, since in self.memory.trades.to_ask(now):
            least = str(since // _SECOND - _OVERLAP)
            query = (("ticker", ticker), ("min_ts", least), ("limit", str(_PAGE)))
            self.say(Request("/markets/trades", query))

    def quick_record(
        self, frame: Item, data: bytes, received: int, trace: str
    ) -> EncodedEvent | None:
        if frame.get("type") != _QUOTES:
            return None
        return quick.ticker_record(frame, data, self.venue, received, trace)

    def fact(self, kind: str, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        match kind:
            case "ticker":
                return [market_frames.ticker(frame, delivery, kept(data.decode()))]
            case "trade":
                trade = market_frames.trade(frame, delivery, kept(data.decode()))
                self.memory.trades.arrived(trade.ticker, trade.time)
                return [trade]
            case "market_lifecycle_v2":
                return self._life(frame, data, delivery)
            case "cfbenchmarks_value":
                return self._value(index_frames.index(frame, delivery))
            case "event_lifecycle" | "event_fee_update" | "cfbenchmarks_value_indexlist":
                return []
            case _:
                raise FrameError(f"unknown message type {shown(kind)}")

    def reply(self, request: Request, reply: Item, delivery: Delivery) -> list[Event]:
        if request.path == "/markets/trades":
            return self._missed_trades(request, reply, delivery)
        try:
            said = lifecycle.markets(reply, delivery)
            if self.following.is_of(request):
                more = self._take_open(request, reply, delivery.received)
            else:
                more = self._page_after(request, reply)
                self._find_ended(said)
        except FrameError:
            self._is_partial = True
            self._end_list()
            raise
        self.say(*more)
        if not more:
            self._end_list()
        return self._news(said)

    def gap(self, frame: Item, place: Place, delivery: Delivery) -> list[Event]:
        """What REST has is asked for; of the index it has nothing, so the next value tells."""
        channel = self.subscriptions.channel_of(frame)
        if channel == _LIFECYCLE:
            self._ask_markets(delivery.received)
        elif channel == _TRADES:
            self.memory.trades.missed(self._due)
        elif channel == _INDEX:
            self._unbroken.clear()
        return []

    def answered(self, frame: Item, delivery: Delivery) -> None:
        """Lifecycle first: what begins after it is heard of; what began before, REST tells."""
        if frame.get("type") != "subscribed":
            if self.subscriptions.channel_of(frame) == _TRADES:
                self.memory.trades.in_order()
            return
        now, channel = delivery.received, message(frame).get("channel")
        if channel == _LIFECYCLE:
            self._ask_markets(now)
        elif channel in {_QUOTES, _TRADES}:
            self._subscribe(now)

    def _life(self, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        """The lifecycle channel tells of all markets there are."""
        if not self.following.concerns(message(frame).get("market_ticker")):
            return []
        event = lifecycle.frame(frame, delivery, kept(data.decode()))
        change = self.following.hear(frame)
        is_traded = message(frame).get("event_type") != "created"
        for ticker in change.added:
            self.memory.trades.begun(ticker, delivery.received, self._due, is_traded=is_traded)
        self._follow(change, delivery.received)
        return self._news([event])

    def _value(self, value: PriceIndex) -> list[Event]:
        """A value of an index, behind a gap that names the seconds that were missed before it."""
        symbol, last = value.symbol, self.memory.indices.get(value.symbol, value.time)
        self.memory.indices[symbol] = max(last, value.time)
        expected, got = last // _SECOND + 1, value.time // _SECOND
        is_next = symbol in self._unbroken or got <= expected
        self._unbroken.add(symbol)
        if is_next:
            return [value]
        gap = build(
            PriceGap,
            venue=value.venue,
            symbol=symbol,
            connection=self.connection,
            expected=expected,
            got=got,
            received=value.received,
        )
        return [gap, value]

    def _news(self, events: Sequence[Event]) -> list[Event]:
        """Those that say something else than was said before of the same market."""
        news: list[Event] = []
        for event in events:
            if isinstance(event, Life):
                said = event.model_dump(exclude={"time", "received", "raw"})
                about = event.ticker, event.name
                if self.memory.told.get(about) == said:
                    continue
                self.memory.told[about] = said
            news.append(event)
        return news

    def _ask_markets(self, now: int) -> None:
        """Which markets are open, and what became of those that were."""
        since = self._results_since(now)
        if not self._listings:
            self._asked = now
            self.memory.trades.listing()
        listings = self.following.ask(now)
        for series in self.following.series:
            listings += [pages(series, "closed"), pages(series, "settled", min_settled_ts=since)]
        self._listings += len(listings)
        self.say(*listings)

    def _take_open(self, request: Request, reply: Item, now: int) -> list[Request]:
        """Follow the open markets; returns the request for more of them."""
        change, more = self.following.read(request, reply)
        for ticker in change.added:
            self.memory.trades.listed(ticker, now, self._due)
        if self.following.is_listed():
            self.memory.trades.open_listed(now)
        self._follow(change, now)
        return more

    def _end_list(self) -> None:
        """Where one could not be read, markets may be overlooked until all are asked for again."""
        self._listings -= 1
        if not self._listings:
            if not self._is_partial:
                self.memory.asked = self._asked
                self.memory.trades.all_listed()
            self._is_partial = False

    def _follow(self, change: Change, now: int) -> None:
        if change.added:
            self._subscribe(now)
        for ticker in change.removed:
            self._subscribed.discard(ticker)
            self.memory.trades.ended(ticker)
        self._update("delete_markets", change.removed, now)

    def _subscribe(self, now: int) -> None:
        """Have quotes and trades sent of the markets that are followed and not subscribed to."""
        wanted = [ticker for ticker in self.following.tickers if ticker not in self._subscribed]
        if not wanted:
            return
        if self._is_subscribed():
            self._update("add_markets", wanted, now)
        elif not self._is_asked:
            wanted = wanted[:MARKETS]  # the rest, once this is acknowledged
            which = {"market_tickers": wanted, "send_initial_snapshot": True}
            self.say(self.subscriptions.subscribe(now, _QUOTES, _TRADES, **which))
            self._is_asked = True
        else:
            return
        self._subscribed.update(wanted)

    def _is_subscribed(self) -> bool:
        return None not in (self.subscriptions.sid_of(_QUOTES), self.subscriptions.sid_of(_TRADES))

    def _update(self, action: str, tickers: Sequence[str], now: int) -> None:
        for channel in (_QUOTES, _TRADES):
            self.say(*self.subscriptions.update(now, channel, action, tickers))

    @property
    def _due(self) -> int:
        """When to ask REST for trades that were missed just now."""
        return self.now + _REST_LAGS

    def _find_ended(self, said: Sequence[Event]) -> None:
        """Trades of markets that ended while nobody listened were missed too."""
        for event in said:
            if isinstance(event, MarketDescribed) and event.ticker not in self.following.tickers:
                self.memory.trades.found_ended(event.ticker, event.closes, self._due)

    def _results_since(self, now: int) -> int:
        """Which settled markets to ask for, in seconds: the results of a day, and all markets that
        may have ended since the last time or since a former process knew all trades."""
        if self.memory.asked is not None:
            return self.memory.asked // _SECOND - _RESULTS_LAG
        until = self.memory.trades.complete_until
        known = now if until is None else until
        return min(now // _SECOND - _RESULTS_OF, known // _SECOND - _RESULTS_LAG)

    def _missed_trades(self, request: Request, reply: Item, delivery: Delivery) -> list[Event]:
        ticker = dict(request.query)["ticker"]
        try:
            events = market_replies.trades(reply, delivery)
            more = self._page_after(request, reply)
        except FrameError:
            self.memory.trades.unanswered(ticker, self.now + _ASK_AGAIN)
            raise
        self.say(*more)
        if not more:
            self.memory.trades.answered(ticker)
        return events

    def _page_after(self, request: Request, reply: Item) -> list[Request]:
        cursor = values.words(reply, "cursor")
        return [] if cursor is None else [after(request, cursor)]
