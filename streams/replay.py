"""Replaying recordings through the parsers of the live connectors.

The same file gives the same events with the same ids each time: a replay that is repeated, or that
repeats what was produced live, changes no table.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from streams.connectors import recorded
from streams.connectors.base import (
    BulkSink,
    Connector,
    ConnectorError,
    Frame,
    FrameParser,
    Sink,
    parse,
)
from streams.connectors.runner import Parsed
from streams.errors import UserError
from streams.events import (
    Event,
    MarketGap,
    MarketTicker,
    MarketTrade,
    PriceGap,
    PriceQuote,
    PriceTrade,
    Unparsed,
    encode,
)
from streams.tracing import traceparent

__all__ = ["Summary", "parse_speed", "parsed", "replay"]

log = structlog.get_logger(__name__)

_SPEED = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)x")


@dataclass
class Summary:
    """What a replay has sent so far."""

    frames: int = 0
    trades: int = 0
    quotes: int = 0
    others: int = 0
    gaps: int = 0
    unparsed: int = 0

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case PriceTrade() | MarketTrade():
                self.trades += 1
            case PriceQuote() | MarketTicker():
                self.quotes += 1
            case PriceGap() | MarketGap():
                self.gaps += 1
            case Unparsed():
                self.unparsed += 1
            case _:
                self.others += 1


def parse_speed(text: str) -> float | None:
    """ "10x" → 10.0, "max" → None. Raises UserError for anything else."""
    if text == "max":
        return None
    match = _SPEED.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise UserError(f"speed {text!r} is neither a multiple such as 1x or 10x, nor max")
    return float(match[1])


def parsed(frames: Iterable[Frame]) -> Iterator[Parsed]:
    """Each frame with its events, by one parser per connection, as they were received.

    Where a feed goes on by another connection, and at the end, comes what the end of the one
    before tells.
    """
    feeds: dict[str, _Feed] = {}
    received = 0
    for frame in frames:
        received = frame.received
        feed = feeds.get(frame.feed)
        if feed is None:
            feed = feeds[frame.feed] = _Feed(recorded(frame.feed))
        yield from feed.read(frame)
    for feed in feeds.values():
        yield from feed.end(received)


class _Feed:
    """The connections of one feed in a recording; they may overlap."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._parsers: dict[str, FrameParser] = {}

    def read(self, frame: Frame) -> Iterator[Parsed]:
        """The frame with its events."""
        parser = self._parsers.get(frame.connection)
        if parser is None:
            parser = self._connector.parser(frame.connection, frame.received)
            self._parsers[frame.connection] = parser
        trace = traceparent(frame.connection, parser.arrivals)
        try:
            events = parse(parser, frame)
        except ConnectorError as error:
            log.warning("an error that the venue sent", reason=str(error), received=frame.received)
            events = []
        parser.outgoing()  # what was to be asked then was asked, and its replies follow
        yield Parsed(frame, trace, events)

    def end(self, received: int) -> Iterator[Parsed]:
        """What the end of the connections tells."""
        for parser in self._parsers.values():
            events = parser.lost(received)
            if events:
                yield Parsed(None, None, events)


async def replay(
    frames: Iterable[Frame],
    sink: Sink,
    speed: float | None,
    summary: Summary,
    advanced: Callable[[], None] = lambda: None,
) -> None:
    """Send a recording's events to the sink, counting them in `summary`.

    `speed` paces by receive times (1.0 as they came); None sends as fast as the sink takes them,
    in bulk where it can. `advanced` is called after each frame. Raises UserError for what is wrong
    with the recording, and what the sink raises.
    """
    counted = _counted(parsed(frames), summary, advanced)
    if speed is None and isinstance(sink, BulkSink):
        await sink.send_records(encode(event, one.trace) for one in counted for event in one.events)
        return
    pace = _Pace(speed)
    for one in counted:
        if one.frame is not None:
            await pace.wait(one.frame.received)
        for event in one.events:
            await sink.send(event, one.trace)


class _Pace:
    """Waits until as much time has passed since the first frame as the recording says."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._started: float | None = None
        self._first = 0

    async def wait(self, received: int) -> None:
        if self._speed is None:
            return
        if self._started is None:
            self._started, self._first = time.monotonic(), received
        due = self._started + (received - self._first) / 1e6 / self._speed
        if (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(pause)


def _counted(
    found: Iterable[Parsed], summary: Summary, advanced: Callable[[], None]
) -> Iterator[Parsed]:
    for one in found:
        summary.frames += one.frame is not None
        for event in one.events:
            summary.add(event)
        yield one
        advanced()
