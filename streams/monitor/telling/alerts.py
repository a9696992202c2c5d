"""Alerts out: a webhook for each change of an incident, and one that must arrive each minute.

A consumer of these is never replayed, so they need a `Live`. Who receives them can tell repeats by
`dedup_key`, the incident's id: delivery is at least once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import structlog

from streams.backoff import Backoff
from streams.events.types import moment
from streams.live import Live
from streams.monitor.incidents import Action, Change
from streams.monitor.model import Picture
from streams.monitor.plain import plain

__all__ = ["DeadMan", "Webhook", "body_of"]

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_DEAD_MAN_EVERY_S = 60.0
#: A picture as old as this is no sign of life.
_ALIVE_S = 30.0
_SECOND = 1_000_000


def body_of(change: Change) -> dict[str, Any]:
    """The JSON of an alert: times in ISO 8601, `action` opened, changed or closed."""
    incident = plain(change.incident)
    return {
        "dedup_key": incident["id"],
        "action": change.action.value,
        "severity": incident["level"],
        "cause": incident["cause"],
        "title": incident["title"],
        "symptoms": incident["symptoms"],
        "opened": incident["opened"],
        "closed": incident["closed"],
    }


class Webhook:
    """Posts alerts in order; of an incident that waits to be told, only its newest state."""

    def __init__(self, live: Live, url: str, client: httpx.AsyncClient) -> None:
        """`url` may hold a secret: it is in no log."""
        self._url = url
        self._client = client
        self._waiting: dict[str, Change] = {}
        self._told: set[str] = set()
        self._wake = asyncio.Event()

    def take(self, change: Change) -> None:
        """Send this change, if it is news, as soon as the receiver takes it."""
        if not change.is_news:
            return
        key = change.incident.id
        if change.action == Action.CLOSED and key not in self._told and key in self._waiting:
            # Nobody was told that it opened, so nobody need be told that it is over.
            del self._waiting[key]
            return
        self._waiting[key] = change
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; what is refused or not answered is tried again, for ever."""
        backoff = Backoff(first=1.0, cap=60.0)
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key, change = next(iter(self._waiting.items()))
            if await _post(self._client, self._url, body_of(change), "alert"):
                backoff.reset()
                self._told.add(key)
                if change.action == Action.CLOSED:
                    self._told.discard(key)
                if self._waiting.get(key) is change:  # else a newer state came meanwhile
                    del self._waiting[key]
            else:
                await asyncio.sleep(backoff.pause())


class DeadMan:
    """Posts each minute that the monitor looks: who hears nothing knows that it does not."""

    def __init__(
        self,
        live: Live,
        url: str,
        client: httpx.AsyncClient,
        latest: Callable[[], Picture | None],
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives microseconds since 1970 UTC."""
        self._url = url
        self._client = client
        self._latest = latest
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. A monitor whose pictures are old keeps silent, on purpose."""
        while True:
            picture = self._latest()
            if picture is not None and self._clock() - picture.taken < _ALIVE_S * _SECOND:
                said = {
                    "alive": True,
                    "level": picture.level.name.lower(),
                    "incidents": len(picture.incidents),
                    "taken": moment(picture.taken).isoformat(),
                }
                await _post(self._client, self._url, said, "sign of life")
            await asyncio.sleep(_DEAD_MAN_EVERY_S)


async def _post(client: httpx.AsyncClient, url: str, body: Mapping[str, Any], what: str) -> bool:
    """Whether the receiver took it. A request that it calls wrong will not get better."""
    try:
        reply = await client.post(url, json=body, timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        log.warning(f"{what} not sent", reason=type(error).__name__)
        return False
    if reply.is_success:
        return True
    log.warning(f"{what} refused", status=reply.status_code)
    return reply.is_client_error and reply.status_code not in (408, 425, 429)
