"""What every venue's connector is made of. A venue is one module: a Connector and its FrameParser.

A parser is pure: frames and receive times in, events out. So a live connection, the replay of a
recording and a test all run the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import parse_qsl, urlencode

import orjson
from pydantic import ValidationError

from streams.connectors.values import FrameError
from streams.events import Event, PriceGap, PriceUnparsed, Unparsed

__all__ = [
    "BulkSink",
    "Connector",
    "ConnectorError",
    "Frame",
    "FrameParser",
    "Request",
    "Sink",
    "TradeNumbers",
    "build",
    "json_object",
    "unparsed",
]

#: As base64 it must fit a record of the codec (1 MiB) with room for the other fields.
LARGEST_KEPT_FRAME = 700_000

E = TypeVar("E", bound=Event)
U = TypeVar("U", bound=Unparsed)


class ConnectorError(Exception):
    """The venue refused something or ends the connection: connect anew, after a pause."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET of a venue's REST API, below its base address: path and query, in order."""

    path: str
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @classmethod
    def of(cls, text: str) -> Request:
        """The request that is written so."""
        path, _, query = text.partition("?")
        return cls(path, tuple(parse_qsl(query, keep_blank_values=True)))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it came: receive time in microseconds since 1970 UTC, and its bytes.

    `request` is None for a frame of the WebSocket, else what a REST reply answers.
    """

    received: int
    venue: str
    connection: str
    data: bytes
    request: Request | None = None


class Sink(Protocol):
    """Where events go; the Kafka producer is one."""

    async def send(self, event: Event) -> None:
        """Take one event; waits while there is no room for it."""


@runtime_checkable
class BulkSink(Sink, Protocol):
    """A sink with a faster path for many events at once."""

    async def send_all(self, events: Iterable[Event]) -> None:
        """Take the events as they are drawn from the iterable."""


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
class FrameParser(ABC):
    """Turns the frames of one connection into events. No I/O, no clock."""

    venue: str
    connection: str
    trades: TradeNumbers
    arrivals: int = field(default=0, init=False)

    def parse(self, frame: bytes, received: int) -> list[Event]:
        """The events of one frame, in order; none for frames that are not about prices.

        A frame that cannot be read becomes one PriceUnparsed. `received` is in microseconds since
        1970 UTC, within the accepted event times. Raises ConnectorError when the frame says that
        the venue refused something, and nothing else.
        """
        arrival = self.arrivals
        self.arrivals += 1
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


class Connector(Protocol):
    """One venue's feed: where it is, what to send after connecting, how to read it."""

    @property
    def venue(self) -> str:
        """The canonical venue name, part of every key."""

    @property
    def url(self) -> str:
        """The WebSocket address."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Canonical symbols to follow: `BTC-USD`."""

    def subscribe(self) -> list[str]:
        """The frames to send right after connecting."""

    def parser(self, connection: str, trades: TradeNumbers) -> FrameParser:
        """A parser for one connection; `trades` goes from one connection to the next."""


def build(model: type[E], **fields: object) -> E:
    """The event of these fields. Raises FrameError when they do not fit the model."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FrameError(f"{where}: {first['msg']}") from error


def unparsed(
    model: type[U],
    venue: str,
    connection: str,
    arrival: int,
    frame: bytes,
    error: str,
    received: int,
) -> U:
    """The event of a frame that could not be read: as it came, and why.

    A frame too long for a record is cut, and `error` says so.
    """
    if len(frame) > LARGEST_KEPT_FRAME:
        error = f"{error} (the first {LARGEST_KEPT_FRAME} of {len(frame)} bytes are kept)"
    return model(
        venue=venue,
        connection=connection,
        arrival=arrival,
        frame=b64encode(frame[:LARGEST_KEPT_FRAME]),
        error=error,
        received=received,
    )


def json_object(frame: bytes) -> Mapping[str, Any]:
    """The JSON object that the frame holds. Raises FrameError where it holds none."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FrameError(f"not a JSON object but {type(value).__name__}")
    return value
