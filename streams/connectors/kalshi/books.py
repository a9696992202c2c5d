"""The feed of order books: `kalshi-books`, a connection of its own for the channel orderbook_delta.

A message that is missing makes every book of its subscription suspect, because they share its
numbers: each gets a gap event, and is not spoken of again until its fresh snapshot came.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from streams.connectors.base import ConnectorError, Request, build
from streams.connectors.kalshi import book_frames, quick, values
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.book import Book
from streams.connectors.kalshi.delivery import Delivery, kept
from streams.connectors.kalshi.feed import Access, KalshiConnector
from streams.connectors.kalshi.following import Change, Following
from streams.connectors.kalshi.parser import KalshiParser
from streams.connectors.kalshi.subscriptions import MARKETS, Place
from streams.connectors.kalshi.values import Item
from streams.connectors.tail import is_told, tail
from streams.connectors.values import FrameError, shown
from streams.events import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    EncodedEvent,
    Event,
    MarketGap,
    MarketUnparsed,
    decode,
)
from streams.events.kalshi_market import TOPIC
from streams.settings import Endpoints

__all__ = ["KalshiBooksConnector", "KalshiBooksParser"]

_BOOKS = "orderbook_delta"
_LIFECYCLE = "market_lifecycle_v2"
#: A snapshot that does not come is asked for again, so many times. Microseconds.
_SNAPSHOT_WITHIN = 10_000_000
_SNAPSHOT_TRIES = 3


class KalshiBooksConnector(KalshiConnector):
    """The books of all open markets of some series."""

    name = "kalshi-books"

    def __init__(
        self, owner: str, access: Access | None = None, series: Sequence[str] = ()
    ) -> None:
        super().__init__(owner, access, series)
        self._left: dict[str, str] = {}

    async def prepare(self, endpoints: Endpoints) -> int:
        """Learn which books were left valid: whoever told of them died without a word."""
        newest: dict[bytes | None, ConsumerRecord[bytes, bytes]] = {}

        def take(record: ConsumerRecord[bytes, bytes]) -> None:
            if is_told(record, self.venue, BookDelta, BookSnapshot, MarketGap):
                newest[record.key] = record

        records = await tail(endpoints, TOPIC, take)
        self._left = {}
        for record in newest.values():
            with suppress(DecodeError):  # the projection says of its book that it is not valid
                event = decode(record.value, record.headers)
                if isinstance(event, BookSnapshot | BookDelta):
                    self._left[event.ticker] = event.connection
        return records

    def parser(self, connection: str, opened: int) -> KalshiBooksParser:
        parser = KalshiBooksParser(
            self.venue, connection, self.owner, opened, Following(self.series), self._left
        )
        parser.say(parser.subscriptions.subscribe(opened, _LIFECYCLE))
        return parser


@dataclass
class KalshiBooksParser(KalshiParser):
    """One connection's books. Its lifecycle frames say which markets to follow, and no more."""

    unread = MarketUnparsed
    following: Following
    #: Books that are to be told to be invalid first, with the connections that told of them.
    left: dict[str, str] = field(default_factory=dict)
    #: The books that are known to be right.
    books: dict[str, Book] = field(default_factory=dict, init=False)
    #: Snapshots on their way: when they were last asked for, and how often.
    _awaited: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _is_asked: bool = field(default=False, init=False)

    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        before = [
            self._gap(ticker, connection, "its producer ended without a word", received)
            for ticker, connection in self.left.items()
        ]
        self.left.clear()
        return [*before, *super().read(frame, arrival, received, request)]

    def tick(self, now: int) -> None:
        super().tick(now)
        if self.subscriptions.sid_of(_LIFECYCLE) is not None and self.following.is_due(now):
            self.say(*self.following.ask(now))
        late = [one for one, (asked, _) in self._awaited.items() if now - asked > _SNAPSHOT_WITHIN]
        for ticker in late:
            tries = self._awaited[ticker][1] + 1
            if tries > _SNAPSHOT_TRIES:
                raise ConnectorError(f"no snapshot of the book of {ticker} comes")
            self._awaited[ticker] = now, tries
        self._update("get_snapshot", late, now)

    def lost(self, now: int) -> list[Event]:
        return self._invalid(list(self.books), "the connection ended", now)

    def quick_record(
        self, frame: Item, data: bytes, received: int, trace: str
    ) -> EncodedEvent | None:
        if frame.get("type") != "orderbook_delta":
            return None
        delta = quick.delta_of(frame)
        book = self.books.get(delta.ticker) if delta else None
        if delta is None or book is None:
            return None
        record = delta.record(data, self.venue, self.connection, received, book.seq, trace)
        if record is None or not book.change(delta.side, delta.price, delta.delta, delta.seq):
            return None
        return record

    def fact(self, kind: str, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        match kind:
            case "orderbook_delta":
                return self._delta(frame, data, delivery)
            case "orderbook_snapshot":
                return self._snapshot(frame, data, delivery)
            case "market_lifecycle_v2":
                return self._follow(self.following.hear(frame), delivery.received)
            case "event_lifecycle" | "event_fee_update":
                return []
            case _:
                raise FrameError(f"unknown message type {shown(kind)}")

    def reply(self, request: Request, reply: Item, delivery: Delivery) -> list[Event]:
        change, more = self.following.read(request, reply)
        self.say(*more)
        return self._follow(change, delivery.received)

    def gap(self, frame: Item, place: Place, delivery: Delivery) -> list[Event]:
        if frame.get("sid") == self.subscriptions.sid_of(_LIFECYCLE):
            self.say(*self.following.ask(delivery.received))
            return []
        reason = f"message {place.expected} of the subscription did not come before {place.got}"
        return self._doubt(list(self.books), reason, delivery, frame.get("sid"), place)

    def unreadable(self, delivery: Delivery) -> list[Event]:
        return self._doubt(list(self.books), "a frame could not be read", delivery)

    def answered(self, frame: Item, delivery: Delivery) -> None:
        """Lifecycle first: what begins after it is heard of; what began before, REST tells."""
        now = delivery.received
        if frame.get("type") == "subscribed":
            if message(frame).get("channel") == _LIFECYCLE:
                self.say(*self.following.ask(now))
            else:
                self._subscribe(now)

    def _snapshot(self, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        event = book_frames.snapshot(frame, delivery, kept(data.decode()), self.opened)
        if event.ticker not in self.following.tickers:
            return []
        self._awaited.pop(event.ticker, None)
        self.books[event.ticker] = Book(event)
        return [event]

    def _delta(self, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        book = self.books.get(values.words(message(frame), "market_ticker") or "")
        if book is None:
            return []  # its snapshot is on its way, and holds this
        event = book_frames.delta(frame, delivery, kept(data.decode()), book.seq)
        if not book.change(event.side, event.price, event.delta, event.seq):
            return self._doubt([event.ticker], "a level became negative", delivery)
        return [event]

    def _doubt(
        self,
        tickers: list[str],
        reason: str,
        delivery: Delivery,
        sid: int | None = None,
        place: Place | None = None,
    ) -> list[Event]:
        """These books may not be right any more: fresh snapshots are asked for."""
        now = delivery.received
        events = self._invalid(tickers, reason, now, sid, place)
        self._awaited.update(dict.fromkeys(tickers, (now, 1)))
        self._update("get_snapshot", tickers, now)
        return events

    def _follow(self, change: Change, now: int) -> list[Event]:
        if change.added:
            self._subscribe(now)
        for ticker in change.removed:
            self._awaited.pop(ticker, None)
        self._update("delete_markets", change.removed, now)
        held = [ticker for ticker in change.removed if ticker in self.books]
        return self._invalid(held, "the market is not open any more", now)

    def _invalid(
        self,
        tickers: list[str],
        reason: str,
        now: int,
        sid: int | None = None,
        place: Place | None = None,
    ) -> list[Event]:
        """A gap event for each of these books, which are forgotten."""
        for ticker in tickers:
            del self.books[ticker]
        return [self._gap(ticker, self.connection, reason, now, sid, place) for ticker in tickers]

    def _gap(
        self,
        ticker: str,
        connection: str,
        reason: str,
        now: int,
        sid: int | None = None,
        place: Place | None = None,
    ) -> MarketGap:
        return build(
            MarketGap,
            venue=self.venue,
            ticker=ticker,
            connection=connection,
            sid=sid,
            expected=place and place.expected,
            got=place and place.got,
            reason=reason,
            received=now,
        )

    def _subscribe(self, now: int) -> None:
        """Have the books sent that are followed and not on their way yet."""
        known = self.books.keys() | self._awaited.keys()
        wanted = [ticker for ticker in self.following.tickers if ticker not in known]
        if self.subscriptions.sid_of(_BOOKS) is not None:
            self._update("add_markets", wanted, now)
        elif wanted and not self._is_asked:
            wanted = wanted[:MARKETS]  # the rest, once this is acknowledged
            which = {"market_tickers": wanted, "use_yes_price": False}
            self.say(self.subscriptions.subscribe(now, _BOOKS, **which))
            self._is_asked = True
        else:
            return
        self._awaited.update(dict.fromkeys(wanted, (now, 1)))

    def _update(self, action: str, tickers: list[str], now: int) -> None:
        self.say(*self.subscriptions.update(now, _BOOKS, action, tickers))
