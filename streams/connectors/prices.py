"""What the feeds of spot prices share: symbols, addresses, and their trades' numbers.

A venue numbers the trades of a symbol by one, so a number that never came is a trade that was
missed. It is told by a PriceGap at once, and then asked of the venue's REST API.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import structlog
from aiokafka import ConsumerRecord

from streams.connectors.base import (
    Connector,
    ConnectorError,
    FrameParser,
    Request,
    Rest,
    build,
    json_object,
    unparsed,
)
from streams.connectors.missed import (
    MOST_RECOVERED,
    Missed,
    Recovery,
    Skipped,
    Told,
    TradeNumbers,
)
from streams.connectors.rest import PublicRest
from streams.connectors.tail import is_told, tail
from streams.connectors.values import FrameError
from streams.events import DecodeError, Event, PriceGap, PriceTrade, PriceUnparsed, decode
from streams.events.price import TOPIC
from streams.settings import Endpoints, Settings

__all__ = ["LONGEST_PAGE", "PriceConnector", "PriceParser", "json_list"]

log = structlog.get_logger(__name__)

#: Trades in one reply; each of the venues gives as many.
LONGEST_PAGE = 1_000
#: How long before a gap was noticed its trades may have been, where no trade before it is known.
#: Microseconds.
_BEFORE_A_GAP = 3_600_000_000


@dataclass
class PriceConnector(Connector):
    """A feed of spot prices; subclasses give the defaults of what has none here."""

    #: Canonical symbols to follow: `BTC-USD`.
    symbols: tuple[str, ...]
    #: The WebSocket's address.
    url: str
    #: The REST API's base address; None where there is none to recover trades by.
    rest_url: str | None
    feed: str
    venue: str
    #: How many requests a second the REST API is asked at most.
    rest_rate: float = 4.0
    trades: TradeNumbers = field(default_factory=TradeNumbers, init=False)
    recovery: Recovery = field(default_factory=Recovery, init=False)

    @classmethod
    def live(cls, settings: Settings) -> Self:
        connector = cls.recorded("")
        connector.symbols = settings.symbols or connector.symbols
        connector.url = settings.websocket_urls.get(connector.feed, connector.url)
        connector.rest_url = settings.rest_urls.get(connector.feed, connector.rest_url)
        return connector

    async def prepare(self, endpoints: Endpoints) -> int:
        """Go on from the newest trades in the log: what came after them and is not there is missed.

        So is what gaps there name and nobody has told since, and what this process was still asking
        for. What it could not deliver is not in the log.
        """
        self.trades = TradeNumbers()
        told = Told()
        for missed in self.recovery.open():
            told.gap(missed)
        keys = {f"{self.venue}:{symbol}".encode() for symbol in self.symbols}

        def take(record: ConsumerRecord[bytes, bytes]) -> None:
            if record.key not in keys or not is_told(record, self.venue, PriceTrade, PriceGap):
                return
            with suppress(DecodeError, ValueError):  # it is not of ours
                event = decode(record.value, record.headers)
                if isinstance(event, PriceTrade):
                    series, number = self.number(event)
                    self.trades.exist(series, number)
                    if series == self.series(event.symbol):
                        told.trade(event.symbol, number, event.time)
                elif isinstance(event, PriceGap):
                    since = event.received - _BEFORE_A_GAP
                    told.gap(Missed(event.symbol, event.expected, event.got, since))

        count = await tail(endpoints, TOPIC, take, keys)
        self.recovery = Recovery(told)
        return count

    def number(self, trade: PriceTrade) -> tuple[str, int]:
        """The series of a trade, and its number there. Raises ValueError where it has none."""
        return trade.symbol, int(trade.trade_id)

    def series(self, symbol: str) -> str:
        """The series of the symbol's trades whose gaps are told and asked for."""
        return symbol

    def lease(self) -> str:
        return ".".join([self.feed, *sorted(self.symbols)])

    def rest(self) -> AbstractAsyncContextManager[Rest]:
        if self.rest_url is None:
            return super().rest()
        return PublicRest(self.rest_url, self.rest_rate)

    def parser(self, connection: str, opened: int) -> PriceParser:
        recovery = None if self.rest_url is None else self.recovery
        parser = self.price_parser(connection, opened, recovery)
        if recovery is not None:
            parser.say(*recovery.waiting())
            parser.ask(recovery.missing())
        return parser

    @abstractmethod
    def price_parser(self, connection: str, opened: int, recovery: Recovery | None) -> PriceParser:
        """As `parser`; it has said the subscriptions."""


@dataclass
class PriceParser(FrameParser):
    """Turns the frames of one connection into events of `price.ticks`."""

    trades: TradeNumbers
    #: None where missed trades cannot be asked for.
    recovery: Recovery | None

    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        try:
            if request is None:
                return self.events(self.json_object(frame), received)
            return self._recovered(frame, request, received)
        except FrameError as error:
            where = (self.venue, self.connection, arrival)
            return [unparsed(PriceUnparsed, *where, frame, str(error), received)]

    def json_object(self, frame: bytes) -> Mapping[str, Any]:
        """The JSON object of a frame. Raises as `events`."""
        return json_object(frame)

    @abstractmethod
    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """The events of a frame. Raises FrameError or ConnectorError, and nothing else."""

    def request(self, missed: Missed) -> Request:
        """Asks for the first of the missed trades, as many as fit a page.

        A feed with a `rest_url` has this and `page`.
        """
        raise NotImplementedError

    def page(self, reply: bytes, symbol: str, received: int) -> dict[int, PriceTrade] | None:
        """The trades of a REST reply by their numbers; None where it is to be asked for again.

        Raises FrameError, and ConnectorError where it says that the venue refuses the request.
        """
        raise NotImplementedError

    def gap(self, symbol: str, skipped: Skipped, received: int) -> list[Event]:
        """A PriceGap for skipped trade numbers: `expected` is missing, `got` is the next after."""
        if skipped is None:
            return []
        expected, got = skipped
        return [
            build(
                PriceGap,
                venue=self.venue,
                symbol=symbol,
                connection=self.connection,
                expected=expected,
                got=got,
                received=received,
            )
        ]

    def arrived(self, trades: Iterable[tuple[int, PriceTrade]], received: int) -> list[Event]:
        """The trades of a frame, given with their numbers: each behind the gap before it."""
        events: list[Event] = []
        for number, trade in sorted(trades, key=lambda one: one[0]):
            skipped = self.trades.arrived(trade.symbol, number)
            events += [*self.missed(trade.symbol, skipped, received), trade]
            if self.recovery is not None:
                self.recovery.seen(trade.symbol, trade.time)
        return events

    def is_next(self, symbol: str, number: int, time: int) -> bool:
        """Whether a trade is the one after the last, so that nothing else is to be told."""
        if not self.trades.is_next(symbol, number):
            return False
        if self.recovery is not None:
            self.recovery.seen(symbol, time)
        return True

    def missed(self, symbol: str, skipped: Skipped, received: int) -> list[Event]:
        """As `gap`, and has the REST API asked for the trades."""
        gap = self.gap(symbol, skipped, received)
        if skipped is not None and self.recovery is not None:
            missed = Missed(symbol, *skipped, self.recovery.newest(symbol))
            if missed.end - missed.first > MOST_RECOVERED:
                self._left(missed, f"more than {MOST_RECOVERED} trades are not asked for")
            else:
                self._ask(missed)
        return gap

    def ask(self, missing: Iterable[Missed]) -> None:
        """Have the REST API asked for what the log says is missing."""
        for missed in missing:
            self._ask(missed)

    def refused(self, request: Request, error: ConnectorError) -> None:
        """The trades stay missing, as their PriceGap has told."""
        missed = self.recovery and self.recovery.answered(request)
        if missed:
            self._left(missed, str(error))

    def _ask(self, missed: Missed) -> None:
        if self.recovery is not None:
            request = self.request(missed)
            if self.recovery.asks(request, missed):
                self.say(request)

    def _recovered(self, reply: bytes, request: Request, received: int) -> list[Event]:
        """Those of the missed trades that a reply holds; asks for the ones after them."""
        missed = self.recovery and self.recovery.answered(request)
        if not missed:
            raise FrameError(f"a reply to what was not asked: GET {ascii(str(request))[:200]}")
        try:
            page = self.page(reply, missed.symbol, received)
        except FrameError as error:
            self._left(missed, f"the reply cannot be read: {error}")
            raise
        except ConnectorError as error:
            self._left(missed, str(error))
            return []
        if page is None:
            self._ask(missed)
            return []
        if page and (newest := max(page)) < missed.first and page[newest].time > missed.since:
            self._ask(missed._replace(since=page[newest].time))  # it began too early
            return []
        found = [number for number in sorted(page) if missed.first <= number < missed.end]
        last = found[-1] if found else missed.end - 1
        if absent := last + 1 - missed.first - len(found):
            self._left(missed, f"the venue's REST API did not give {absent} of them")
        if last + 1 < missed.end:
            self._ask(missed._replace(first=last + 1, since=page[last].time))
        return [page[number] for number in found]

    def _left(self, missed: Missed, reason: str) -> None:
        log.warning(
            "trades not recovered",
            venue=self.venue,
            connection=self.connection,
            symbol=missed.symbol,
            first=missed.first,
            count=missed.end - missed.first,
            reason=reason,
        )


def json_list(reply: bytes) -> list[Mapping[str, Any]]:
    """The JSON objects of a list. Raises FrameError where it is none of them."""
    try:
        value = orjson.loads(reply)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"not JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FrameError("not a list of JSON objects")
    return value
