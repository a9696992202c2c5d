"""Looks at everything again and again, and makes a picture of it each time."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import structlog

from projections import PROJECTIONS
from projections.base import Partition as Place
from streams.monitor.clock import Clock
from streams.monitor.freshness import freshness
from streams.monitor.incidents import Book, Change
from streams.monitor.lag import LagTracker, Look
from streams.monitor.model import (
    Account,
    Building,
    Disk,
    Group,
    Level,
    Picture,
    Source,
    Topic,
)
from streams.monitor.pace import Pace
from streams.monitor.reading.history import open_incidents
from streams.monitor.reading.sources import Details, Sizes, Sources
from streams.monitor.reading.vitals import Filling, log_disks, read_host
from streams.monitor.reading.watched import Watched
from streams.monitor.symptoms import Symptom, symptoms
from streams.monitor.thresholds import Thresholds
from streams.monitor.trend import Course
from streams.settings import Endpoints

__all__ = ["Observatory"]

log = structlog.get_logger(__name__)


class Observatory:
    """Makes pictures of what its sources read. `latest` is the newest one."""

    def __init__(
        self,
        endpoints: Endpoints,
        sources: Sources,
        thresholds: Thresholds,
        pace: Pace,
        is_patient: bool,
    ) -> None:
        self._endpoints = endpoints
        self.latest: Picture | None = None
        #: What the newest look brought.
        self.changes: Sequence[Change] = ()
        self._sources = sources
        self._thresholds = thresholds
        self._pace = pace
        self._lags = LagTracker()
        self._courses = defaultdict[str, Course](Course)
        self._filling: dict[str, Filling] = {}
        self._book = Book(is_patient=is_patient)
        self._clock = Clock()
        self._groups: Sequence[Group] = ()
        self._looked = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, endpoints: Endpoints, thresholds: Thresholds, every: float, *, is_patient: bool = True
    ) -> AsyncIterator[Observatory]:
        """Begin to read from all sources; pictures are made by `look` or by `run`.

        Who looks only once is not patient: see `incidents.Book`.
        """
        stale_s = thresholds.fresh("price.ticks", "").stale_s
        pace = Pace(every)
        async with Sources.open(endpoints, stale_s, pace) as sources:
            yield cls(endpoints, sources, thresholds, pace, is_patient)

    async def remember(self) -> None:
        """Go on with the incidents that the projection `health` has as open."""
        try:
            known = await open_incidents(self._endpoints.dsn)
        except psycopg.Error as error:
            log.warning("incidents of before are not known", reason=str(error).partition("\n")[0])
        else:
            self._book = Book(known, time.time_ns() // 1000)

    async def run(self) -> None:
        """Look at its pace until cancelled.

        A look that fails, by an error of the program, is logged; the picture then grows old, which
        shows everywhere.
        """
        while True:
            started = time.monotonic()
            try:
                await self.look()
            except Exception:
                log.exception("a look failed")
            await self._pace.next(started)

    def change_pace(self, every: float) -> None:
        """Look every so many seconds from now on."""
        self._pace.change(every)

    async def next(self) -> Picture:
        """Wait for the picture after `latest`."""
        async with self._looked:
            await self._looked.wait()
        assert self.latest is not None
        return self.latest

    async def look(self) -> Picture:
        """Make a picture of what is known now."""
        now = time.time_ns() // 1000
        jumped = self._clock.jumped(now, time.monotonic())
        await self._measure_lags()
        picture = self._picture(now)
        found = symptoms(picture, self._thresholds)
        if jumped is not None:
            found.append(Symptom("clock", Level.WARNING, now, jumped))
        self.changes = self._book.take(found, _facts(picture), now)
        picture = replace(
            picture,
            incidents=self._book.open,
            level=max((one.level for one in self._book.open), default=Level.OK),
        )
        async with self._looked:
            self.latest = picture
            self._looked.notify_all()
        return picture

    async def _measure_lags(self) -> None:
        """Groups as of now; where the brokers do not answer, as they were."""
        sources = self._sources
        await sources.positions()
        broker, bounds = sources.broker.value, sources.bounds.value
        if broker is None or bounds is None or not sources.bounds.is_up:
            return
        checkpoints = sources.checkpoints.value
        self._lags.commits(sources.commits(), bounds)
        standings = None if checkpoints is None else checkpoints.standings
        now = time.time_ns() // 1000
        look = Look(now, time.monotonic(), broker, bounds, standings)
        self._groups = self._lags.groups(look, await sources.appended(look.wanted()))

    def _picture(self, now: int) -> Picture:
        sources = self._sources
        details, sizes, vitals = sources.details.value, sources.sizes.value, sources.vitals.value
        checkpoints, log_dirs = sources.checkpoints.value, sources.log_dirs.value
        disks = list(log_disks(log_dirs.folders)) if log_dirs else []
        if vitals is not None and vitals.disk is not None:
            disks.append(vitals.disk)
        return Picture(
            taken=now,
            sources=[
                _source("broker", sources.broker, sources.bounds),
                _source("database", sources.checkpoints),
            ],
            groups=self._groups,
            topics=self._topics(),
            feeds=sources.feeds.seen(now),
            freshness=freshness(details.newest, now, self._thresholds) if details else [],
            dead_letters=details.dead_letters if details else [],
            accounts=_accounts(details, sizes),
            tables=sizes.tables if sizes else [],
            building=_with_totals(
                checkpoints.building if checkpoints else [], sources.bounds.value or {}
            ),
            postgres=vitals.postgres if vitals else None,
            database_bytes=sizes.database if sizes else None,
            host=read_host(),
            disks=[self._filled(disk) for disk in disks],
        )

    def _topics(self) -> list[Topic]:
        ends: dict[str, list[tuple[Place, int]]] = {}
        for place, (_, end) in (self._sources.bounds.value or {}).items():
            ends.setdefault(place.topic, []).append((place, end))
        sizes = self._sources.log_dirs.value
        found = []
        for name, some in sorted(ends.items()):
            end = sum(one for _, one in some)
            pace = self._courses[name].add(time.monotonic(), 0, end, 0)
            size = sum(sizes.sizes.get(place, 0) for place, _ in some) if sizes else None
            found.append(Topic(name, len(some), end, pace.arriving, size))
        return found

    def _filled(self, disk: Disk) -> Disk:
        filling = self._filling.setdefault(f"{disk.holds} {disk.path}", Filling())
        return replace(disk, hours_left=filling.hours_left(time.monotonic(), disk.free))


def _source(name: str, *watched: Watched[Any]) -> Source:
    """What is read of it in several ways is as the worst of them."""
    worst = next((one for one in watched if not one.is_up), watched[-1])
    return Source(name, worst.is_up, worst.read, worst.error)


def _accounts(details: Details | None, sizes: Sizes | None) -> list[Account]:
    marks = details.marks if details else {}
    differences = sizes.differences if sizes else {}
    found = []
    for name in sorted({*marks, *differences}):
        held, off = marks.get(name), differences.get(name)
        found.append(
            Account(
                account=name,
                unmatched_fills=off.unmatched_fills if off else 0,
                position_differences=off.positions if off else 0,
                unexplained=off.unexplained if off else "0",
                active_trades=held.active if held else 0,
                stale_marks=held.stale if held else 0,
                stale_since=held.since if held else None,
            )
        )
    return found


def _with_totals(
    building: Sequence[Building], bounds: Mapping[Place, tuple[int, int]]
) -> list[Building]:
    """With the records that each of them has to read."""
    return [
        replace(
            one,
            total=sum(
                end
                for place, (_, end) in bounds.items()
                if one.projection in PROJECTIONS
                and place.topic in PROJECTIONS[one.projection].topics
            ),
        )
        for one in building
    ]


def _facts(picture: Picture) -> Mapping[str, str]:
    """A sentence for each projection that is well."""
    return {
        f"projection/{one.projection}": f"{one.projection}: no lag"
        if not one.lag_s
        else f"{one.projection}: {one.lag_s:.1f} s behind"
        for one in picture.groups
        if one.projection is not None and one.lag_s is not None
    }
