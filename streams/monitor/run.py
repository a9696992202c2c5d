"""`tape monitor`: looks, serves metrics, and tells: the log, a webhook, and whoever waits for life.

Several may run. Each looks and serves metrics; one of them, by a lease, tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from streams.endpoint import serving
from streams.errors import UserError
from streams.lease import Lease
from streams.live import Live
from streams.monitor.incidents import Change
from streams.monitor.model import Picture
from streams.monitor.observatory import Observatory
from streams.monitor.telling.alerts import DeadMan, Webhook
from streams.monitor.telling.prometheus import PictureCollector
from streams.monitor.telling.record import Recorder
from streams.monitor.thresholds import Thresholds
from streams.settings import Endpoints

__all__ = ["Options", "monitor"]

log = structlog.get_logger(__name__)

_SECOND = 1_000_000
#: Pictures that are older than this are no progress, in looks.
_LATE_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may say: where to listen, how often to look (seconds), whom to tell."""

    host: str
    port: int
    every: float
    cluster: str
    alert_url: str | None
    dead_man_url: str | None


async def monitor(
    endpoints: Endpoints,
    thresholds: Thresholds,
    options: Options,
    listening: Callable[[int], None],
) -> None:
    """Run until cancelled; `listening` is called with the port. Raises UserError: it is taken."""
    async with AsyncExitStack() as stack:
        opened = Observatory.open(endpoints, thresholds, options.every)
        observatory = await stack.enter_async_context(opened)
        client = await stack.enter_async_context(httpx.AsyncClient())
        teller = _Teller(Live(), endpoints, observatory, options, client)
        registry = CollectorRegistry()
        registry.register(PictureCollector(lambda: observatory.latest, options.cluster))
        ProcessCollector(registry=registry)
        probes = _Probes(lambda: observatory.latest, options.every)
        listening(
            stack.enter_context(
                serving(registry, probes.live, probes.ready, options.host, options.port)
            )
        )
        await _all([observatory.run(), *teller.works()])


async def _all(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all; the first that fails ends the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* UserError as errors:
        raise errors.exceptions[0] from None


class _Probes:
    """Life is progress: pictures that follow each other."""

    def __init__(self, latest: Callable[[], Picture | None], every: float) -> None:
        self._latest = latest
        self._late_s = max(10.0, _LATE_LOOKS * every)

    def live(self) -> str | None:
        picture = self._latest()
        age = 0.0 if picture is None else time.time() - picture.taken / _SECOND
        return f"the last look was {age:.0f} s ago" if age > self._late_s else None

    def ready(self) -> str | None:
        picture = self._latest()
        if picture is None:
            return "no look yet"
        down = [source.name for source in picture.sources if not source.is_up]
        return f"no answer from {' and '.join(down)}" if down else self.live()


class _Teller:
    """Tells of incidents, while this process is the one that does."""

    def __init__(
        self,
        live: Live,
        endpoints: Endpoints,
        observatory: Observatory,
        options: Options,
        client: httpx.AsyncClient,
    ) -> None:
        self._endpoints = endpoints
        self._observatory = observatory
        self._recorder = Recorder(endpoints)
        self._webhook = Webhook(live, options.alert_url, client) if options.alert_url else None
        self._dead_man = (
            DeadMan(live, options.dead_man_url, client, lambda: observatory.latest, _now)
            if options.dead_man_url
            else None
        )
        self._is_active = False

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What has to run."""
        return [
            self._run(),
            self._recorder.run(),
            *(one.run() for one in (self._webhook, self._dead_man) if one is not None),
        ]

    async def _run(self) -> None:
        async with Lease(self._endpoints, "monitor") as lease:
            acquiring = asyncio.create_task(lease.acquired())
            while True:
                picture = await self._observatory.next()
                if acquiring.done():
                    acquiring.result()
                    if not self._is_active:
                        self._is_active = True
                        await self._observatory.remember()
                        continue  # the next look tells what is new
                    if not lease.held and _is_up(picture, "broker"):
                        self._is_active = False  # another one may tell
                        acquiring = asyncio.create_task(lease.acquired())
                # A broker that is away takes the lease with it; that has to be told nevertheless.
                if self._is_active:
                    for change in self._observatory.changes:
                        self._tell(change)

    def _tell(self, change: Change) -> None:
        one = change.incident
        if change.is_news:
            log.warning(
                f"incident {change.action}", severity=one.level.name.lower(), title=one.title
            )
            if self._webhook is not None:
                self._webhook.take(change)
        self._recorder.take(change, _now())


def _is_up(picture: Picture, name: str) -> bool:
    return any(source.is_up for source in picture.sources if source.name == name)


def _now() -> int:
    return time.time_ns() // 1000
