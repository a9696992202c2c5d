"""One feed kept running: under its lease, in its own producer, started again when it crashes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from streams.backoff import Backoff
from streams.connectors.base import Connector
from streams.connectors.runner import run
from streams.errors import UserError
from streams.events import EncodedEvent, Event, Restart, encode
from streams.heartbeat import Pulse, printable
from streams.lease import Lease
from streams.producer import Producer
from streams.settings import Endpoints

__all__ = ["supervise"]

log = structlog.get_logger(__name__)

#: Who says that a feed was started again.
SUPERVISOR = "tape-produce"
#: How often is looked whether more of what was parsed is in the log. Seconds.
_VOUCH_EVERY = 1.0
#: A feed that worked for so long before it crashed starts over with short pauses. Seconds.
_LONG_LIFE = 60.0
#: So many crashes, none after such a life, are a crash loop.
CRASH_LOOP = 5
#: How long a broker may take to be told of a restart. Seconds.
_TOLD_WITHIN = 1.0

#: Takes the event of a restart.
Tell = Callable[[Restart], Awaitable[None]]


class LeaseLost(Exception):
    """Another instance may be active: nothing more is sent."""


class _Fenced:
    """A producer for as long as the lease is held."""

    def __init__(self, producer: Producer, lease: Lease) -> None:
        self._producer = producer
        self._lease = lease

    async def send(self, event: Event, trace: str | None = None) -> None:
        """Raises LeaseLost where the event is not taken."""
        await self.send_record(encode(event, trace))

    async def send_record(self, record: EncodedEvent) -> None:
        """The same for a record."""
        if not self._lease.held:
            raise LeaseLost
        await self._producer.send_record(record)


async def supervise(
    connector: Connector,
    endpoints: Endpoints,
    pulse: Pulse,
    backoff: Backoff | None = None,
    tell: Tell | None = None,
) -> None:
    """Produce a feed until cancelled, whenever this process holds its lease.

    A crash is logged, given to `tell`, and followed by another start after a pause, the longest one
    in a crash loop; it never leaves this function. What `tell` raises is logged. It must not be the
    `send` of a producer which feeds share: see streams.heartbeat.keep_beating.
    """
    restarts = 0
    this = asyncio.current_task()
    backoff = backoff or Backoff(first=1.0)
    while True:
        started = time.monotonic()
        try:
            async with Lease(endpoints, connector.lease()) as lease:
                while True:
                    if not lease.held:
                        pulse.turn("standby", _now())
                    await lease.acquired()
                    await _produce(connector, endpoints, lease, pulse)
        except UserError as error:
            reason = str(error)
            log.warning("feed stopped", feed=connector.feed, reason=reason)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.exception("feed crashed", feed=connector.feed)
        if this is not None and this.cancelling():  # the crash was in the stopping
            raise asyncio.CancelledError
        if time.monotonic() - started >= _LONG_LIFE:
            backoff.reset()
        pause = backoff.pause()
        is_loop = backoff.failures >= CRASH_LOOP
        if is_loop:
            pause = backoff.cap
        restarts += 1
        pulse.turn("crashed", _now(), reason, backoff.failures if is_loop else None)
        log.info("feed starts again", feed=connector.feed, in_s=round(pause, 2), crash_loop=is_loop)
        if tell is not None:
            restart = Restart(
                service=pulse.service,
                supervisor=SUPERVISOR,
                action="crash_loop" if is_loop else "restarted",
                reason=printable(reason),
                restarts=restarts,
                pause_ms=round(pause * 1000),
                time=_now(),
            )
            await _tell(tell, restart)
        await asyncio.sleep(pause)


async def _tell(tell: Tell, restart: Restart) -> None:
    """Best effort: a broker that is away must not keep a feed from starting again."""
    try:
        async with asyncio.timeout(_TOLD_WITHIN):
            await tell(restart)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        log.warning("restart not told", service=restart.service, reason=why)


async def _produce(connector: Connector, endpoints: Endpoints, lease: Lease, pulse: Pulse) -> None:
    """Until the lease is lost. Raises what the feed and its producer raise."""
    known = await connector.prepare(endpoints)
    if known:
        log.info("told before, by the log", feed=connector.feed, records=known)
    pulse.parsed_until = None  # what a producer before could not deliver is not in the log
    async with Producer(endpoints) as producer:
        parts = [
            asyncio.create_task(run(connector, _Fenced(producer, lease), pulse)),
            asyncio.create_task(_vouch(producer, pulse)),
            asyncio.create_task(lease.lost()),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        except LeaseLost:
            pass
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
    log.warning("standing by", feed=connector.feed)


async def _vouch(producer: Producer, pulse: Pulse) -> None:
    """Tell up to when the log lacks nothing, once what was parsed by then is acknowledged."""
    while True:
        await asyncio.sleep(_VOUCH_EVERY)
        until = pulse.parsed_until
        if until is not None and until != pulse.complete_until:
            await producer.flush()
            if not producer.statistics.failed:  # who sends may be the one who is told of it
                pulse.completed(until)


def _now() -> int:
    return time.time_ns() // 1000
