"""A live connection kept up: connect, subscribe, stamp, parse, hand on, and connect again."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from streams.connectors.base import (
    Connector,
    ConnectorError,
    Frame,
    FrameParser,
    Sink,
    TradeNumbers,
)
from streams.events import Event, PriceGap, PriceUnparsed

__all__ = ["Backoff", "Counts", "listen", "run"]

log = structlog.get_logger(__name__)

#: Silence after which a connection counts as dead, seconds. Coinbase sends a heartbeat each
#: second, Binance a ping each 20 s and, for the main pairs, several book changes a second.
RECEIVE_TIMEOUT = 30.0
#: Larger frames than the venues send for these channels end the connection.
LARGEST_FRAME = 4 * 1024 * 1024


@dataclass
class Counts:
    """What a connector has seen since it started."""

    frames: int = 0
    events: int = 0
    gaps: int = 0
    unparsed: int = 0
    reconnects: int = 0

    def add(self, events: list[Event]) -> None:
        """Count one frame and its events."""
        self.frames += 1
        self.events += len(events)
        for event in events:
            self.gaps += isinstance(event, PriceGap)
            self.unparsed += isinstance(event, PriceUnparsed)


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


async def run(
    connector: Connector, sink: Sink, counts: Counts, backoff: Backoff | None = None
) -> None:
    """Send a venue's events to the sink until cancelled. Raises only what the sink raises.

    A sink that waits slows the reading down; nothing is dropped here. If it waits for so long that
    the venue ends the connection, what was missed shows as a gap after the next one.
    """
    async with aclosing(listen(connector, counts, backoff)) as frames:
        async for _, events in frames:
            for event in events:
                await sink.send(event)


async def listen(
    connector: Connector, counts: Counts, backoff: Backoff | None = None
) -> AsyncGenerator[tuple[Frame, list[Event]], None]:
    """Every frame of a venue with its events, over any number of connections, for ever.

    Whatever ends a connection (network, venue, silence) is logged and followed by a new one, after
    a pause. Close the generator (`aclosing`) or cancel its task to stop.
    """
    backoff = backoff or Backoff()
    trades = TradeNumbers()
    while True:
        connection = uuid.uuid4().hex[:12]
        logger = log.bind(venue=connector.venue, connection=connection)
        try:
            parser = connector.parser(connection, trades)
            async with aclosing(_connection(connector, parser)) as frames:
                async for frame, events in frames:
                    counts.add(events)
                    if any(not isinstance(event, PriceUnparsed) for event in events):
                        backoff.reset()
                    _report(logger, events)
                    yield frame, events
        except ConnectorError as error:
            reason, tell = str(error), logger.error
        except (OSError, WebSocketException) as error:
            reason, tell = f"{type(error).__name__}: {error}", logger.warning
        counts.reconnects += 1
        pause = backoff.pause()
        tell("connection lost", reason=reason, again_in_s=round(pause, 2))
        await asyncio.sleep(pause)


async def _connection(
    connector: Connector, parser: FrameParser
) -> AsyncGenerator[tuple[Frame, list[Event]], None]:
    """The frames of one connection, until it ends with an exception."""
    # A new connect() each time: the library's own retry would reuse what it was first given.
    async with connect(connector.url, max_size=LARGEST_FRAME, close_timeout=1) as socket:
        for request in connector.subscribe():
            await socket.send(request)
        log.info("connected", venue=connector.venue, connection=parser.connection)
        while True:
            data = await _receive(socket)
            received = time.time_ns() // 1000
            frame = Frame(received, connector.venue, parser.connection, data)
            try:
                events = parser.parse(data, received)
            except ConnectorError:
                yield frame, []  # a recording keeps the refusal too
                raise
            yield frame, events


async def _receive(socket: ClientConnection) -> bytes:
    try:
        async with asyncio.timeout(RECEIVE_TIMEOUT):
            return await socket.recv(decode=False)
    except TimeoutError:
        raise TimeoutError(f"nothing received for {RECEIVE_TIMEOUT:g} s") from None


def _report(logger: structlog.typing.FilteringBoundLogger, events: list[Event]) -> None:
    for event in events:
        if isinstance(event, PriceGap):
            missed = event.got - event.expected
            logger.warning("trades missed", symbol=event.symbol, first=event.expected, count=missed)
        elif isinstance(event, PriceUnparsed):
            logger.warning("frame not read", arrival=event.arrival, error=event.error)
