"""Incidents into the log: what was found, as events of `system.health`."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from streams.backoff import Backoff
from streams.errors import UserError
from streams.events.system_health import MOST_SYMPTOMS, Incident
from streams.monitor.incidents import Change
from streams.monitor.model import Level
from streams.producer import Producer
from streams.settings import Endpoints

__all__ = ["Recorder", "event_of"]

log = structlog.get_logger(__name__)

_SERVICE = "monitor"
_LONGEST_IDENTIFIER = 200
_LONGEST_TEXT = 500


def event_of(change: Change, now: int) -> Incident:
    """The event of a change that was found at `now`, microseconds since 1970 UTC."""
    one = change.incident
    symptoms = [_text(text) for text in one.symptoms]
    return Incident(
        incident=_identifier(one.id),
        action=change.action.value,
        severity="critical" if one.level == Level.CRITICAL else "warning",
        cause=_identifier(one.cause),
        title=_text(one.title),
        detail=None,
        symptoms=tuple(symptoms[:MOST_SYMPTOMS]),
        opened=one.opened,
        closed=one.closed,
        time=now,
        service=_SERVICE,
    )


class Recorder:
    """Appends the events, in order, as soon as the broker takes them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._waiting: deque[Incident] = deque()
        self._wake = asyncio.Event()

    def take(self, change: Change, now: int) -> None:
        """Append this change's event when the broker is there."""
        self._waiting.append(event_of(change, now))
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. A broker that is away is waited for; what waits is not lost."""
        backoff = Backoff(first=1.0)
        while True:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
            try:
                async with Producer(self._endpoints) as producer:
                    while self._waiting:
                        await producer.deliver(self._waiting[0])
                        self._waiting.popleft()
                backoff.reset()
            except UserError as error:
                log.warning("incidents wait to be recorded", reason=str(error))
                await asyncio.sleep(backoff.pause())


def _identifier(text: str) -> str:
    """Printable ASCII: a group's name may be anything."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text)
    return shown[:_LONGEST_IDENTIFIER]


def _text(text: str) -> str:
    return text[:_LONGEST_TEXT].encode(errors="replace").decode()
