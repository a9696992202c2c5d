"""What the feeds of spot prices share: symbols, addresses, and the numbers of their trades."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from streams.connectors.base import Connector, FrameParser, Request, build, json_object, unparsed
from streams.connectors.values import FrameError
from streams.events import Event, PriceGap, PriceUnparsed
from streams.settings import Settings

__all__ = ["PriceConnector", "PriceParser", "Skipped", "TradeNumbers"]

#: Half-open range of trade numbers that never came, or None.
Skipped = tuple[int, int] | None


class TradeNumbers:
    """The highest trade number seen of each series, to notice the ones that never came.

    Outlives a connection, so that what was missed between two of them is noticed as well.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def arrived(self, series: str, number: int) -> Skipped:
        """Record that trade `number` arrived.

        Returns the numbers skipped before it, once; None when there are none, for the first
        number of a series, and for a repeat or a late arrival.
        """
        return self._advance(series, number, number)

    def exist(self, series: str, last: int) -> Skipped:
        """Record that the venue has made all trades up to `last`, as a heartbeat says.

        Returns those of them that have not arrived, once.
        """
        return self._advance(series, last, last + 1)

    def _advance(self, series: str, highest: int, present: int) -> Skipped:
        seen = self._highest.get(series)
        if seen is None or highest > seen:
            self._highest[series] = highest
        return None if seen is None or present <= seen + 1 else (seen + 1, present)


@dataclass
class PriceConnector(Connector):
    """A feed of spot prices; subclasses give the defaults of all but `trades`."""

    #: Canonical symbols to follow: `BTC-USD`.
    symbols: tuple[str, ...]
    #: The WebSocket's address.
    url: str
    feed: str
    venue: str
    trades: TradeNumbers = field(default_factory=TradeNumbers, init=False)

    @classmethod
    def live(cls, settings: Settings, symbols: Sequence[str]) -> Self:
        connector = cls.recorded("")
        if symbols:
            connector.symbols = tuple(symbols)
        connector.url = settings.websocket_urls.get(connector.feed, connector.url)
        return connector

    def lease(self) -> str:
        return ".".join([self.feed, *sorted(self.symbols)])


@dataclass
class PriceParser(FrameParser):
    """Turns the frames of one connection into events of `price.ticks`."""

    trades: TradeNumbers

    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        try:
            return self.events(json_object(frame), received)
        except FrameError as error:
            where = (self.venue, self.connection, arrival)
            return [unparsed(PriceUnparsed, *where, frame, str(error), received)]

    @abstractmethod
    def events(self, frame: Mapping[str, Any], received: int) -> list[Event]:
        """The events of a frame. Raises FrameError or ConnectorError, and nothing else."""

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
