"""What every feed's connector is made of: a Connector and its FrameParser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import parse_qsl, urlencode

import orjson
from pydantic import ValidationError

from streams.connectors.values import FrameError
from streams.events import EncodedEvent, Event, Unparsed
from streams.settings import Endpoints, Settings

__all__ = [
    "Address",
    "BulkSink",
    "Connector",
    "ConnectorError",
    "Frame",
    "FrameParser",
    "NoRest",
    "Outgoing",
    "RecordSink",
    "Request",
    "Rest",
    "Sink",
    "UpgradeReply",
    "build",
    "is_cut",
    "json_object",
    "parse",
    "unparsed",
]

#: As base64 it must fit a record of the codec (1 MiB) with room for the other fields.
LARGEST_KEPT_FRAME = 700_000
_CUT = "bytes are kept)"

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
    feed: str
    connection: str
    data: bytes
    request: Request | None = None


#: A message for the WebSocket, or a request for the REST API.
Outgoing = str | Request


class Sink(Protocol):
    """Where events go; the Kafka producer is one."""

    async def send(self, event: Event, trace: str | None = None) -> None:
        """Take one event, and the traceparent of its frame; waits while there is no room."""


@runtime_checkable
class RecordSink(Sink, Protocol):
    """A sink that takes records as well."""

    async def send_record(self, record: EncodedEvent) -> None:
        """Take one record; waits while there is no room."""


@runtime_checkable
class BulkSink(Sink, Protocol):
    """A sink with a faster path for many events at once."""

    async def send_records(self, records: Iterable[EncodedEvent]) -> None:
        """Take the records as they are drawn from the iterable."""


@dataclass
class FrameParser(ABC):
    """The state of one connection: frames in, events out, and what to send or to ask next.

    No I/O, no clock: what it makes is a function of what it was given, so a live connection, the
    replay of a recording and a test all run the same code.
    """

    venue: str
    connection: str
    #: How many frames have come; the number of the next one.
    arrivals: int = field(default=0, init=False)
    #: When a recent frame came, and when the venue sent it; None where frames do not say.
    sent: tuple[int, int] | None = field(default=None, init=False)
    #: The venue's time up to which nothing is missing that is yet to be asked for; None if unknown.
    complete_until: int | None = field(default=None, init=False)
    #: The newest time that is known, of a frame or a tick; 0 before the first.
    now: int = field(default=0, init=False)
    _outbox: list[Outgoing] = field(default_factory=list, init=False)

    def parse(self, frame: bytes, received: int, request: Request | None = None) -> list[Event]:
        """The events of one frame, in order; none for frames that hold no fact of ours.

        A frame that cannot be read becomes one Unparsed. `received` is in microseconds since 1970
        UTC, within the accepted event times; `request` is what a REST reply answers. Raises
        ConnectorError when the frame says that the venue refused something, and nothing else.
        """
        arrival = self.arrivals
        self.arrivals += 1
        self.now = max(self.now, received)
        return self.read(frame, arrival, received, request)

    @abstractmethod
    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        """As `parse`, for the frame of this number."""

    def records(self, frame: bytes, received: int, trace: str) -> list[EncodedEvent] | None:
        """The records of a frame of the commonest kinds, as `parse` and `encode` would make them.

        None where in doubt: the frame is to be parsed then, and nothing has changed.
        """
        found = self.quick(frame, received, trace)
        if found is not None:
            self.arrivals += 1
            self.now = max(self.now, received)
        return found

    def quick(self, frame: bytes, received: int, trace: str) -> list[EncodedEvent] | None:
        """As `records`; a feed of few frames has nothing to gain by it."""
        return None

    def say(self, *what: Outgoing) -> None:
        """Have messages sent over the WebSocket, and requests asked of the REST API, in order."""
        self._outbox += what

    def outgoing(self) -> list[Outgoing]:
        """What is to be sent and asked since the last call; at first, the subscriptions."""
        waiting, self._outbox = self._outbox, []
        return waiting

    def tick(self, now: int) -> None:
        """Time passes; called about once a second while connected, `now` in microseconds."""
        self.now = max(self.now, now)

    def refused(self, request: Request, error: ConnectorError) -> None:
        """The venue refused a request for good. Raises the error where it cannot do without."""
        raise error

    def lost(self, now: int) -> list[Event]:
        """The connection is over: what must be told of it, such as gaps."""
        return []


class Rest(Protocol):
    """A venue's REST API."""

    async def get(self, request: Request) -> bytes:
        """The reply's body. Waits and tries again as long as that may help.

        Raises ConnectorError when the venue refuses the request.
        """


class NoRest:
    """The REST API of a feed that asks for nothing."""

    async def get(self, request: Request) -> bytes:
        raise ConnectorError(f"this feed has no REST API to ask for {request}")


class Address(NamedTuple):
    """Where to connect by WebSocket, and the headers to send with it."""

    url: str
    headers: Mapping[str, str] = {}


class UpgradeReply(NamedTuple):
    """What a venue answers instead of opening a WebSocket; header names in small letters, times of
    asking and of the answer in microseconds since 1970 UTC."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: int
    received: int


class Connector(ABC):
    """One feed of a venue: how to connect, how to parse, how to recover.

    It holds what outlives a connection. `connect` says where to, `parser` gives the state of one
    connection, which says by itself what it needs to recover, and `rest` is whom to ask for it.
    """

    #: Names the feed and, after an @, whose it is: `coinbase`, `kalshi-account@kalshi/prod/main`.
    feed: str
    #: The canonical venue name, part of every key.
    venue: str
    #: Silence after which a connection counts as dead, seconds.
    silence: float = 30.0

    @classmethod
    @abstractmethod
    def live(cls, settings: Settings) -> Self:
        """One that can connect. Raises UserError where the settings lack something."""

    @classmethod
    def recorded(cls, owner: str) -> Self:
        """One that reads recordings; `owner` is what follows the @ in the feed's name."""
        if owner:
            raise LookupError(f"{cls.__name__} reads no recordings of {owner}")
        return cls()

    async def prepare(self, endpoints: Endpoints) -> int:
        """Learn from the log what was produced before, where that matters; before each `run`.

        Returns how many records that were. Raises UserError where the broker is out of reach.
        """
        return 0

    @abstractmethod
    def connect(self) -> Address:
        """Where to connect now; asked anew for each attempt, because signatures are dated."""

    def refusal(self, reply: UpgradeReply) -> ConnectorError | None:
        """What such an answer means, where the venue's are known."""
        return None

    @abstractmethod
    def parser(self, connection: str, opened: int) -> FrameParser:
        """The state of a connection opened at this time, in microseconds since 1970 UTC."""

    @abstractmethod
    def lease(self) -> str:
        """Names what only one process may produce at a time: the feed and what it follows."""

    def rest(self) -> AbstractAsyncContextManager[Rest]:
        """The REST API that parsers ask, for as long as the context lasts."""
        return nullcontext(NoRest())


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
        error = f"{error} (the first {LARGEST_KEPT_FRAME} of {len(frame)} {_CUT}"
    return model(
        venue=venue,
        connection=connection,
        arrival=arrival,
        frame=b64encode(frame[:LARGEST_KEPT_FRAME]),
        error=error,
        received=received,
    )


def is_cut(event: Unparsed) -> bool:
    """Whether `unparsed` kept only the beginning of the frame."""
    return len(event.frame) == LARGEST_KEPT_FRAME and event.error.endswith(_CUT)


def parse(parser: FrameParser, frame: Frame) -> list[Event]:
    """The events of a frame, as `FrameParser.parse`; an Unparsed names the feed of the frame.

    One of a REST reply does not: it says nothing without what was asked. Raises as
    `FrameParser.parse`.
    """
    events = parser.parse(frame.data, frame.received, frame.request)
    if frame.request is not None:
        return events
    return [
        event.model_copy(update={"feed": frame.feed}) if isinstance(event, Unparsed) else event
        for event in events
    ]


def json_object(frame: bytes) -> Mapping[str, Any]:
    """The JSON object that the frame holds. Raises FrameError where it holds none."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FrameError(f"not a JSON object but {type(value).__name__}")
    return value
