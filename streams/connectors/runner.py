"""A feed kept up: connect, subscribe, stamp, parse, recover, hand on, and connect again."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from streams.backoff import Backoff
from streams.connectors.base import (
    Connector,
    ConnectorError,
    Frame,
    FrameParser,
    RecordSink,
    Request,
    Rest,
    Sink,
    UpgradeReply,
    parse,
)
from streams.events import EncodedEvent, Event, MarketGap, PriceGap, Unparsed
from streams.heartbeat import Pulse
from streams.tracing import traceparent

__all__ = ["Parsed", "Teller", "into", "listen", "run"]

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


def _misses(event: Event) -> bool:
    """Whether it tells of messages that never came, and not of a book that ends with its market."""
    return isinstance(event, PriceGap) or (
        isinstance(event, MarketGap) and event.expected is not None
    )


class Parsed(NamedTuple):
    """A frame, its traceparent, and its events; without a frame, what a connection's end tells."""

    frame: Frame | None
    trace: str | None
    events: list[Event]
    #: Instead of events, if they are asked for and of the commonest kinds.
    records: Sequence[EncodedEvent] = ()


#: Takes what was parsed, in order; what it raises ends the feed.
Handle = Callable[[Parsed], Awaitable[None]]


async def run(
    connector: Connector, sink: Sink, pulse: Pulse, backoff: Backoff | None = None
) -> None:
    """Send a feed's events to the sink until cancelled. Raises only what the sink raises.

    A sink that waits slows the reading down; nothing is dropped here. If it waits for so long that
    the venue ends the connection, what was missed shows as a gap after the next one.
    """
    handle, as_records = into(sink)
    await listen(connector, handle, pulse, backoff, as_records=as_records)


def into(sink: Sink) -> tuple[Handle, bool]:
    """What hands events on to the sink, and whether it takes records as well."""

    async def send(parsed: Parsed) -> None:
        for event in parsed.events:
            await sink.send(event, parsed.trace)

    if not isinstance(sink, RecordSink):
        return send, False
    takes_records = sink

    async def send_records(parsed: Parsed) -> None:
        for record in parsed.records:
            await takes_records.send_record(record)
        if parsed.events:
            await send(parsed)

    return send_records, True


async def listen(
    connector: Connector,
    handle: Handle,
    pulse: Pulse,
    backoff: Backoff | None = None,
    *,
    as_records: bool = False,
) -> None:
    """Hand on all frames of a feed with their events, over any number of connections, for ever.

    Whatever ends a connection (network, venue, silence) is logged and followed by a new one, after
    a pause. Raises what `handle` raises; stops when its task is cancelled, after having told of
    the end of the connection. `as_records` is for a `handle` that takes records.
    """
    backoff = backoff or Backoff()
    async with connector.rest() as rest:
        while True:
            connection = uuid.uuid4().hex[:12]
            logger = log.bind(feed=connector.feed, connection=connection)
            started = time.monotonic()
            pulse.turn("connecting", _now(), pulse.detail)
            try:
                parser = connector.parser(connection, _now())
                teller = Teller(
                    connector.feed, parser, handle, pulse, backoff, logger, as_records=as_records
                )
                await _connection(connector, teller, rest)
            except ConnectorError as error:
                reason, tell = str(error), logger.error
            except (OSError, WebSocketException) as error:
                reason, tell = f"{type(error).__name__}: {error}", logger.warning
            pulse.reconnects += 1
            pulse.turn("connecting", _now(), reason)
            if time.monotonic() - started >= _LONG_LIFE:
                backoff.reset()
            pause = backoff.pause()
            tell("connection lost", reason=reason, again_in_s=round(pause, 2))
            await asyncio.sleep(pause)


class Teller:
    """Parses what comes by one connection, one frame at a time, and hands it on."""

    def __init__(
        self,
        feed: str,
        parser: FrameParser,
        handle: Handle,
        pulse: Pulse,
        backoff: Backoff,
        logger: structlog.typing.FilteringBoundLogger,
        *,
        as_records: bool,
    ) -> None:
        self.parser = parser
        self._as_records = as_records
        self._feed = feed
        self._handle = handle
        self._pulse = pulse
        self._backoff = backoff
        self._logger = logger

    async def frame(self, data: bytes, request: Request | None = None) -> None:
        """Stamp, parse and hand on one frame. Raises ConnectorError as its parser does."""
        parser = self.parser
        received = _now()
        frame = Frame(received, self._feed, parser.connection, data, request)
        trace = traceparent(parser.connection, parser.arrivals)
        if self._as_records and request is None:
            records = parser.records(data, received, trace)
            if records is not None:
                self._pulse.took(received, events=len(records))
                self._backoff.reset()
                await self._handle(Parsed(frame, trace, [], records))
                return
        self._pulse.took(received)
        try:
            events = parse(parser, frame)
        except ConnectorError:
            await self._handle(Parsed(frame, trace, []))  # a recording keeps the refusal too
            raise
        await self._tell(Parsed(frame, trace, events))

    def connected(self) -> None:
        """The connection is open."""
        self._logger.info("connected")
        self._pulse.turn("connected", _now())

    def tick(self) -> None:
        """Time passes. Raises ConnectorError as the parser does."""
        now = _now()
        self.parser.tick(now)
        if self.parser.sent:
            self._pulse.skew.add(*self.parser.sent)
        self._pulse.parsed_until = self.parser.complete_until

    async def end(self) -> None:
        """Hand on what the end of the connection tells."""
        events = self.parser.lost(_now())
        if events:
            await self._tell(Parsed(None, None, events))

    async def _tell(self, parsed: Parsed) -> None:
        self._pulse.events += len(parsed.events)
        for event in parsed.events:
            self._pulse.gaps += _misses(event)
            self._pulse.unparsed += isinstance(event, Unparsed)
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


async def _connection(connector: Connector, teller: Teller, rest: Rest) -> None:
    """One connection until it ends with an exception."""
    asked = _now()
    try:
        await _open_connection(connector, teller, rest)
    except InvalidStatus as error:
        answer = error.response
        headers = {name.lower(): value for name, value in answer.headers.raw_items()}
        reply = UpgradeReply(answer.status_code, headers, bytes(answer.body or b""), asked, _now())
        raise connector.refusal(reply) or error from error


async def _open_connection(connector: Connector, teller: Teller, rest: Rest) -> None:
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
        teller.connected()
        try:
            await _Conversation(socket, rest, teller, connector.silence).run()
        except asyncio.CancelledError:
            with suppress(TimeoutError):  # a stop does not wait for a broker for ever
                async with asyncio.timeout(_LAST_WORDS):
                    await teller.end()
            raise
        except (ConnectorError, OSError, WebSocketException):
            await teller.end()
            raise


class _Conversation:
    """What goes on over one connection: frames, REST replies and ticks, one at a time."""

    def __init__(
        self, socket: ClientConnection, rest: Rest, teller: Teller, silence: float
    ) -> None:
        self._socket = socket
        self._rest = rest
        self._teller = teller
        self._silence = silence
        self._turn = asyncio.Lock()
        #: None while a frame is handed on, however long that takes.
        self._waits_since: float | None = None
        self._requests: asyncio.Queue[Request] = asyncio.Queue()

    async def run(self) -> None:
        """Until the first of its parts ends, with its exception."""
        await self._speak()
        works = (self._read(), self._watch(), self._ask(), self._tick())
        parts = [asyncio.create_task(work) for work in works]
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
            self._waits_since = time.monotonic()
            data = await self._socket.recv(decode=False)
            self._waits_since = None
            async with self._turn:
                await self._teller.frame(data)
                await self._speak()

    async def _watch(self) -> None:
        """Raises TimeoutError once `_read` has waited too long for a frame.

        A timeout around each frame would cost more than taking the frame from the socket.
        """
        while True:
            since = self._waits_since
            left = self._silence if since is None else since + self._silence - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing received for {self._silence:g} s")
            await asyncio.sleep(left)

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
                self._teller.tick()
                await self._speak()

    async def _speak(self) -> None:
        for what in self._teller.parser.outgoing():
            if isinstance(what, Request):
                self._requests.put_nowait(what)
            else:
                await self._socket.send(what)


def _now() -> int:
    return time.time_ns() // 1000
