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

from streams.connectors import VENUES
from streams.connectors.base import BulkSink, ConnectorError, Frame, FrameParser, Sink, TradeNumbers
from streams.errors import UserError
from streams.events import Event, PriceGap, PriceQuote, PriceTrade, PriceUnparsed

__all__ = ["Summary", "parse_speed", "parsed", "replay"]

log = structlog.get_logger(__name__)

_SPEED = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)x")


@dataclass
class Summary:
    """What a replay has sent so far."""

    frames: int = 0
    trades: int = 0
    quotes: int = 0
    gaps: int = 0
    unparsed: int = 0

    def add(self, event: Event) -> None:
        """Count one event."""
        self.trades += isinstance(event, PriceTrade)
        self.quotes += isinstance(event, PriceQuote)
        self.gaps += isinstance(event, PriceGap)
        self.unparsed += isinstance(event, PriceUnparsed)


def parse_speed(text: str) -> float | None:
    """ "10x" → 10.0, "max" → None. Raises UserError for anything else."""
    if text == "max":
        return None
    match = _SPEED.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise UserError(f"speed {text!r} is neither a multiple such as 1x or 10x, nor max")
    return float(match[1])


def parsed(frames: Iterable[Frame]) -> Iterator[tuple[Frame, list[Event]]]:
    """Each frame with its events, by one parser per connection, as they were received."""
    parsers: dict[tuple[str, str], FrameParser] = {}
    trades: dict[str, TradeNumbers] = {}
    for frame in frames:
        parser = parsers.get((frame.venue, frame.connection))
        if parser is None:
            numbers = trades.setdefault(frame.venue, TradeNumbers())
            parser = VENUES[frame.venue]().parser(frame.connection, numbers)
            parsers[frame.venue, frame.connection] = parser
        try:
            events = parser.parse(frame.data, frame.received)
        except ConnectorError as error:
            log.warning("an error that the venue sent", reason=str(error), received=frame.received)
            events = []
        yield frame, events


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
    if speed is None:
        events = _counted(frames, summary, advanced)
        if isinstance(sink, BulkSink):
            await sink.send_all(events)
        else:
            for event in events:
                await sink.send(event)
        return
    started: float | None = None
    first = 0
    for frame, found in parsed(frames):
        if started is None:
            started, first = time.monotonic(), frame.received
        due = started + (frame.received - first) / 1e6 / speed
        if (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        summary.frames += 1
        for event in found:
            await sink.send(event)
            summary.add(event)
        advanced()


def _counted(
    frames: Iterable[Frame], summary: Summary, advanced: Callable[[], None]
) -> Iterator[Event]:
    for _, events in parsed(frames):
        summary.frames += 1
        for event in events:
            summary.add(event)
            yield event
        advanced()
