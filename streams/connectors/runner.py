"""A feed kept up: connect, subscribe, stamp, parse, recover, hand on, and connect again."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from streams.connectors.base import (
    Connector,
    ConnectorError,
    Frame,
    FrameParser,
    Request,
    Rest,
    Sink,
)
from streams.events import Event, MarketGap, PriceGap, Unparsed
from streams.tracing import traceparent

__all__ = ["Backoff", "Counts", "Parsed", "listen", "run"]

log = structlog.get_logger(__name__)

#: Larger frames than the venues send for these channels end the connection.
LARGEST_FRAME = 4 * 1024 * 1024
#: The library pings as often, and gives up where no answer comes within as long. Seconds.
_PING_EVERY = 10.0
_TICK_EVERY = 1.0
#: How long a stop waits for the end of a connection to be told. Seconds.
_LAST_WORDS = 3.0
#: A connection that lived so long did work, whatever it said. Seconds.
_LONG_LIFE = 60.0


@dataclass
class Counts:
    """What a feed has seen since it started."""

    frames: int = 0
    events: int = 0
    gaps: int = 0
    unparsed: int = 0
    reconnects: int = 0

    def add(self, events: list[Event]) -> None:
        """Count the events of a frame."""
        self.events += len(events)
        for event in events:
            self.gaps += isinstance(event, PriceGap | MarketGap)
            self.unparsed += isinstance(event, Unparsed)


@dataclass
class Backoff:
    """Pauses that double from `first` to `cap` seconds, each drawn from its upper half.

    Jittered, so that many clients that lost one venue do not come back in step.
    """

    first: float = 0.5
    cap: float = 30.0
    failures: int = 0

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        longest = min(self.cap, self.first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return random.uniform(longest / 2, longest)

    def reset(self) -> None:
        """The connection works: start over with short pauses."""
        self.failures = 0


class Parsed(NamedTuple):
    """A frame, its traceparent, and its events; without a frame, what a connection's end tells."""

    frame: Frame | None
    trace: str | None
    events: list[Event]


#: Takes what was parsed, in order; what it raises ends the feed.
Handle = Callable[[Parsed], Awaitable[None]]


async def run(
    connector: Connector, sink: Sink, counts: Counts, backoff: Backoff | None = None
) -> None:
    """Send a feed's events to the sink until cancelled. Raises only what the sink raises.

    A sink that waits slows the reading down; nothing is dropped here. If it waits for so long that
    the venue ends the connection, what was missed shows as a gap after the next one.
    """

    async def send(parsed: Parsed) -> None:
        for event in parsed.events:
            await sink.send(event, parsed.trace)

    await listen(connector, send, counts, backoff)


async def listen(
    connector: Connector, handle: Handle, counts: Counts, backoff: Backoff | None = None
) -> None:
    """Hand on all frames of a feed with their events, over any number of connections, for ever.

    Whatever ends a connection (network, venue, silence) is logged and followed by a new one, after
    a pause. Raises what `handle` raises; stops when its task is cancelled, after having told of
    the end of the connection.
    """
    backoff = backoff or Backoff()
    async with connector.rest() as rest:
        while True:
            connection = uuid.uuid4().hex[:12]
            logger = log.bind(feed=connector.feed, connection=connection)
            started = time.monotonic()
            try:
                parser = connector.parser(connection, _now())
                teller = _Teller(connector.feed, parser, handle, counts, backoff, logger)
                await _connection(connector, teller, rest)
            except ConnectorError as error:
                reason, tell = str(error), logger.error
            except (OSError, WebSocketException) as error:
                reason, tell = f"{type(error).__name__}: {error}", logger.warning
            counts.reconnects += 1
            if time.monotonic() - started >= _LONG_LIFE:
                backoff.reset()
            pause = backoff.pause()
            tell("connection lost", reason=reason, again_in_s=round(pause, 2))
            await asyncio.sleep(pause)


class _Teller:
    """Parses what comes by one connection, one frame at a time, and hands it on."""

    def __init__(
        self,
        feed: str,
        parser: FrameParser,
        handle: Handle,
        counts: Counts,
        backoff: Backoff,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.parser = parser
        self._feed = feed
        self._handle = handle
        self._counts = counts
        self._backoff = backoff
        self._logger = logger

    async def frame(self, data: bytes, request: Request | None = None) -> None:
        """Stamp, parse and hand on one frame. Raises ConnectorError as its parser does."""
        parser = self.parser
        received = _now()
        frame = Frame(received, self._feed, parser.connection, data, request)
        trace = traceparent(parser.connection, parser.arrivals)
        self._counts.frames += 1
        try:
            events = parser.parse(data, received, request)
        except ConnectorError:
            await self._handle(Parsed(frame, trace, []))  # a recording keeps the refusal too
            raise
        await self._tell(Parsed(frame, trace, events))

    async def end(self) -> None:
        """Hand on what the end of the connection tells."""
        events = self.parser.lost(_now())
        if events:
            await self._tell(Parsed(None, None, events))

    async def _tell(self, parsed: Parsed) -> None:
        self._counts.add(parsed.events)
        for event in parsed.events:
            self._report(event)
            if parsed.frame is not None and not isinstance(event, Unparsed):
                self._backoff.reset()
        await self._handle(parsed)

    def _report(self, event: Event) -> None:
        match event:
            case PriceGap():
                missed = event.got - event.expected
                self._logger.warning(
                    "trades missed", symbol=event.symbol, first=event.expected, count=missed
                )
            case MarketGap():
                self._logger.warning("book not valid", ticker=event.ticker, reason=event.reason)
            case Unparsed():
                self._logger.warning("frame not read", arrival=event.arrival, error=event.error)


async def _connection(connector: Connector, teller: _Teller, rest: Rest) -> None:
    """One connection until it ends with an exception."""
    # A new connect() each time: the library's own retry would reuse what it was first given.
    address = connector.connect()
    async with connect(
        address.url,
        additional_headers=address.headers,
        max_size=LARGEST_FRAME,
        close_timeout=1,
        ping_interval=_PING_EVERY,
        ping_timeout=_PING_EVERY,
    ) as socket:
        log.info("connected", feed=connector.feed, connection=teller.parser.connection)
        try:
            await _Conversation(socket, rest, teller, connector.silence).run()
        except asyncio.CancelledError:
            async with asyncio.timeout(_LAST_WORDS):  # a stop does not wait for a broker for ever
                await teller.end()
            raise
        except (ConnectorError, OSError, WebSocketException):
            await teller.end()
            raise


class _Conversation:
    """What goes on over one connection: frames, REST replies and ticks, one at a time."""

    def __init__(
        self, socket: ClientConnection, rest: Rest, teller: _Teller, silence: float
    ) -> None:
        self._socket = socket
        self._rest = rest
        self._teller = teller
        self._silence = silence
        self._turn = asyncio.Lock()
        self._requests: asyncio.Queue[Request] = asyncio.Queue()

    async def run(self) -> None:
        """Until the first of its parts ends, with its exception."""
        await self._speak()
        parts = [asyncio.create_task(part) for part in (self._read(), self._ask(), self._tick())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            data = await self._receive()
            async with self._turn:
                await self._teller.frame(data)
                await self._speak()

    async def _receive(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence):
                return await self._socket.recv(decode=False)
        except TimeoutError:
            raise TimeoutError(f"nothing received for {self._silence:g} s") from None

    async def _ask(self) -> None:
        while True:
            request = await self._requests.get()
            try:
                reply = await self._rest.get(request)
            except ConnectorError as error:
                async with self._turn:
                    self._teller.parser.refused(request, error)
                    await self._speak()
                continue
            async with self._turn:
                await self._teller.frame(reply, request)
                await self._speak()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_EVERY)
            async with self._turn:
                self._teller.parser.tick(_now())
                await self._speak()

    async def _speak(self) -> None:
        for what in self._teller.parser.outgoing():
            if isinstance(what, Request):
                self._requests.put_nowait(what)
            else:
                await self._socket.send(what)


def _now() -> int:
    return time.time_ns() // 1000
