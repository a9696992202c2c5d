"""Heartbeats: what each feed and each worker tells of itself in `system.health`.

A feed keeps its Pulse, which costs additions only; `keep_beating` makes events of it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

import psutil
import structlog

from streams.events.system_health import Heartbeat, State

__all__ = ["EVERY", "Process", "ProcessMeter", "Pulse", "Skew", "beat", "keep_beating", "printable"]

log = structlog.get_logger(__name__)

#: Seconds between two heartbeats, if nothing happens.
EVERY = 5.0
#: Seconds that the last heartbeat of a feed may take.
_LAST = 1.0
_SECOND = 1_000_000
_WINDOW_SECONDS = 60
_LONGEST_TEXT = 2000
_LONGEST_HOST = 150


class Skew:
    """The least of received minus venue time over the last minute, by whole seconds.

    The least, because the way of a frame only ever adds to the difference of the clocks.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[int, int]] = deque(maxlen=_WINDOW_SECONDS)

    def add(self, received: int, venue_time: int) -> None:
        """A frame's two times, in microseconds since 1970 UTC."""
        second, found = received // _SECOND, received - venue_time
        if not self._least or self._least[-1][0] != second:
            self._least.append((second, found))
        elif found < self._least[-1][1]:
            self._least[-1] = (second, found)

    def least(self, now: int) -> int | None:
        """Microseconds, of either sign; None where the last minute gave none."""
        second = now // _SECOND
        return min(
            (found for at, found in self._least if second - _WINDOW_SECONDS < at <= second),
            default=None,
        )


@dataclass
class Pulse:
    """How one feed does, kept by itself. Times are microseconds since 1970 UTC, counts since then.

    `service` is `producer/coinbase` or `worker/prices`.
    """

    service: str
    since: int
    state: State = "starting"
    detail: str | None = None
    #: How often it crashed in quick succession, while it is `crashed` and in a crash loop.
    crash_loop: int | None = None
    last_frame: int | None = None
    frames: int = 0
    events: int = 0
    reconnects: int = 0
    gaps: int = 0
    unparsed: int = 0
    #: What a feed follows; the venue's time up to which all of that is in the log, and up to which
    #: it was parsed.
    scope: str | None = None
    complete_until: int | None = None
    parsed_until: int | None = None
    skew: Skew = field(default_factory=Skew)
    #: Set by a change of state, which is told at once.
    turned: asyncio.Event = field(default_factory=asyncio.Event)

    def turn(
        self, state: State, now: int, detail: str | None = None, crash_loop: int | None = None
    ) -> None:
        """Get into a state; `detail` says why, for people, and must hold no secret."""
        if (state, detail, crash_loop) == (self.state, self.detail, self.crash_loop):
            return
        if state != self.state:
            self.since = now
        self.state, self.detail, self.crash_loop = state, detail, crash_loop
        self.turned.set()

    def completed(self, until: int) -> None:
        """The log lacks nothing up to this time of the venue; the first one is told at once."""
        if self.complete_until is None:
            self.turned.set()
        self.complete_until = until

    def took(self, now: int, *, frames: int = 1, events: int = 0) -> None:
        """Frames came, and were made into events."""
        self.last_frame = now
        self.frames += frames
        self.events += events


@dataclass(frozen=True, slots=True)
class Process:
    """One run of one process: who it is, and what it takes of the machine."""

    instance: str
    cpu_percent: Decimal
    memory_bytes: int


class ProcessMeter:
    """Reads what this process takes; at most once a second, however many ask."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # begins the interval of the next call
        host = "".join(c if " " <= c <= "~" else "?" for c in socket.gethostname())
        start = int(self._process.create_time() * _SECOND)
        self._instance = f"{host[:_LONGEST_HOST]}/{self._process.pid}/{start}"
        self._read_at = 0.0
        self._last = self._read()

    def read(self) -> Process:
        if time.monotonic() - self._read_at >= 1.0:
            self._last = self._read()
        return self._last

    def _read(self) -> Process:
        self._read_at = time.monotonic()
        percent = Decimal(f"{self._process.cpu_percent():.1f}")
        return Process(self._instance, percent, self._process.memory_info().rss)


def beat(now: int, pulse: Pulse, process: Process, previous: Heartbeat | None) -> Heartbeat:
    """The heartbeat of a pulse; frames/s are those since the previous one.

    Less than a second counts as one, so that a change of state right after a heartbeat shows no
    rate that never was.
    """
    return Heartbeat(
        service=pulse.service,
        instance=process.instance,
        state=pulse.state,
        since=pulse.since,
        detail=None if pulse.detail is None else printable(pulse.detail),
        last_frame=pulse.last_frame,
        frames=pulse.frames,
        frames_per_second=_rate(now, pulse.frames, previous),
        events=pulse.events,
        reconnects=pulse.reconnects,
        gaps=pulse.gaps,
        unparsed=pulse.unparsed,
        clock_skew=pulse.skew.least(now),
        cpu_percent=process.cpu_percent,
        memory_bytes=process.memory_bytes,
        scope=pulse.scope if pulse.scope is None else pulse.scope[:_LONGEST_TEXT],
        complete_until=pulse.complete_until,
        crash_loop=pulse.crash_loop,
        time=now,
    )


def _rate(now: int, frames: int, previous: Heartbeat | None) -> Decimal:
    if previous is None:
        return Decimal("0.00")
    elapsed = max(now - previous.time, _SECOND)
    return (Decimal((frames - previous.frames) * _SECOND) / elapsed).quantize(Decimal("0.01"))


def printable(detail: str) -> str:
    """A text as events take it: cut, and without what is no character."""
    return detail[:_LONGEST_TEXT].encode(errors="replace").decode()


async def keep_beating(
    pulses: Sequence[Pulse], send: Callable[[Heartbeat], Awaitable[None]], every: float = EVERY
) -> None:
    """Sends heartbeats of each pulse until cancelled: `every` seconds, and at a change of state.

    A send that fails is logged and ends nothing. Cancelled, it turns the pulses to `stopped` and
    tells so. `send` must not be that of a producer which feeds share: it would be told here, and
    not there, that an event of theirs could not be delivered.
    """
    meter = ProcessMeter()
    async with asyncio.TaskGroup() as group:
        for pulse in pulses:
            group.create_task(_Beater(pulse, meter, send).run(every))


class _Beater:
    """Sends the heartbeats of one pulse."""

    def __init__(
        self, pulse: Pulse, meter: ProcessMeter, send: Callable[[Heartbeat], Awaitable[None]]
    ) -> None:
        self._pulse = pulse
        self._meter = meter
        self._send = send
        self._previous: Heartbeat | None = None

    async def run(self, every: float) -> None:
        try:
            while True:
                self._pulse.turned.clear()
                await self._tell()
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await self._pulse.turned.wait()
        finally:
            self._pulse.turn("stopped", time.time_ns() // 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._tell()

    async def _tell(self) -> None:
        try:
            now = time.time_ns() // 1000
            told = beat(now, self._pulse, self._meter.read(), self._previous)
            await self._send(told)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("heartbeat not sent", service=self._pulse.service, reason=reason)
        else:
            self._previous = told
