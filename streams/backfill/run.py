"""Reading what a backfill is of, and sending what it tells."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from streams.backfill.journal import Journal
from streams.backfill.plan import (
    CUTOFF,
    KINDS,
    Cutoffs,
    Kind,
    Life,
    Span,
    Unit,
    account_units,
    lives,
    market_requests,
    market_units,
)
from streams.connectors.base import ConnectorError, Request, Rest, json_object
from streams.connectors.http_replies import Rejected
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.pages import Page, following, read_page
from streams.connectors.kalshi.reading import SUBACCOUNTS, subaccounts
from streams.connectors.kalshi.refusals import KeyRefused
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError
from streams.errors import UserError
from streams.events import EncodedEvent, Event, Fill, MarketCandle, Unparsed, encode

__all__ = ["Backfill", "Count", "Log", "Observer", "Options"]

log = structlog.get_logger(__name__)

#: So many units are read at a time: what a request waits for is mostly its way.
_AT_ONCE = 4
_NOT_FOUND = 404


class Log(Protocol):
    """Where records go; the Kafka producer is one."""

    async def send_records(self, records: Iterable[EncodedEvent]) -> None:
        """Take records."""

    async def flush(self) -> None:
        """Wait until all that was taken is in the log."""


class Observer(Protocol):
    """Whoever wants to know how far a backfill is."""

    def planned(self, kind: Kind, units: int) -> None:
        """So many more units are to be done."""

    def sent(self, kind: Kind, events: int) -> None:
        """So many more events were sent."""

    def done(self, kind: Kind) -> None:
        """One more unit is done, or was before."""


@dataclass(frozen=True)
class Options:
    """Of whom, of when and what."""

    owner: str
    span: Span
    kinds: tuple[Kind, ...] = KINDS
    series: tuple[str, ...] = ()


@dataclass
class Count:
    """What was done for one kind: events sent, of these not read; units, and those done before."""

    events: int = 0
    unread: int = 0
    units: int = 0
    done_before: int = 0


@dataclass
class Backfill:
    """One run; `observer` is told how it goes."""

    options: Options
    rest: Rest
    sink: Log
    journal: Journal
    observer: Observer
    counts: dict[Kind, Count] = field(init=False)
    #: Markets that were traded and that neither tier knows.
    unknown: list[str] = field(default_factory=list, init=False)
    is_complete: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.counts = {kind: Count() for kind in self.options.kinds}

    async def run(self) -> None:
        """Read and send all that is not done yet.

        Raises ConnectorError where the venue refuses something, UserError where it says what
        cannot be understood, and what the sink raises.
        """
        options = self.options
        cutoffs = await self._cutoffs()
        numbers = await self._subaccounts() if "settlements" in options.kinds else []
        await self._all(account_units(options.kinds, options.span, numbers, cutoffs))
        if {"trades", "candles"} & set(options.kinds):
            units = [
                unit
                for life in await self._lives()
                for unit in market_units(options.kinds, options.span, life, cutoffs)
            ]
            await self._all(units)
        self.is_complete = not any(count.unread for count in self.counts.values())
        if self.is_complete:
            self.journal.remove()

    async def _cutoffs(self) -> Cutoffs:
        try:
            return Cutoffs.of(await self._object(CUTOFF))
        except Rejected as error:
            if error.status != _NOT_FOUND:
                raise
            return Cutoffs()
        except FrameError as error:
            raise _not_understood(CUTOFF, error) from error

    async def _subaccounts(self) -> list[int]:
        try:
            return subaccounts(await self._object(SUBACCOUNTS))
        except (Rejected, KeyRefused) as error:
            log.info("the main subaccount alone is read", reason=str(error))
            return [0]

    async def _lives(self) -> list[Life]:
        """The markets to be read: those that were traded, and those of the series."""
        traded = sorted(self.journal.tickers())
        found: dict[str, Life] = {}
        for first in market_requests(traded, self.options.series):
            async for request, page in self._pages(first):
                if page.reply is None:
                    continue
                try:
                    found |= {life.ticker: life for life in lives(page.reply)}
                except FrameError as error:
                    raise _not_understood(request, error) from error
        self.unknown = [ticker for ticker in traded if ticker not in found]
        return [found[ticker] for ticker in sorted(found)]

    async def _all(self, units: Sequence[Unit]) -> None:
        """Do the units that are not done, several at a time."""
        due = []
        for kind, count in self.counts.items():
            of_kind = [unit for unit in units if unit.kind == kind]
            count.units += len(of_kind)
            count.done_before += sum(self.journal.is_done(unit.name) for unit in of_kind)
            self.observer.planned(kind, len(of_kind))
        for unit in units:
            if self.journal.is_done(unit.name):
                self.observer.done(unit.kind)
            else:
                due.append(unit)
        waiting = iter(due)

        async def work() -> None:
            for unit in waiting:
                await self._do(unit)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(_AT_ONCE):
                    workers.create_task(work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _do(self, unit: Unit) -> None:
        seen: set[str] = set()
        tickers: set[str] = set()
        is_whole = True
        for first in unit.requests:
            async for _, page in self._pages(first):
                is_whole = is_whole and page.reply is not None
                news = [one for one in page.events if unit.includes(one) and _id(one) not in seen]
                seen.update(map(_id, news))
                tickers.update(one.ticker for one in news if isinstance(one, Fill))
                await self._send(unit.kind, news)
        await self.sink.flush()
        if is_whole:
            self.journal.add(unit.name, sorted(tickers))
        self.observer.done(unit.kind)

    async def _send(self, kind: Kind, events: Sequence[Event]) -> None:
        count = self.counts.get(kind)
        if count is None:  # fills that were read to learn of markets
            return
        await self.sink.send_records([encode(event) for event in events])
        count.events += len(events)
        count.unread += sum(isinstance(event, Unparsed) for event in events)
        self.observer.sent(kind, len(events))

    async def _pages(self, first: Request) -> AsyncIterator[tuple[Request, Page]]:
        """The pages of a list; none where the venue does not know it."""
        request: Request | None = first
        while request is not None:
            try:
                data = await self.rest.get(request)
            except Rejected as error:
                if error.status != _NOT_FOUND or not _may_lack(request):
                    raise
                return
            page = read_page(request, data, self._delivery(request))
            yield request, page
            if page.cursor is not None and page.cursor == dict(request.query).get("cursor"):
                raise ConnectorError(f"the venue gives the same page again and again: {request}")
            request = None if page.cursor is None else following(request, page.cursor)

    async def _object(self, request: Request) -> Item:
        return json_object(await self.rest.get(request))

    def _delivery(self, request: Request) -> Delivery:
        # The same for the same page in each run, so that what is done again changes nothing.
        digest = hashlib.sha256(str(request).encode()).hexdigest()[:16]
        number = int(dict(request.query).get("subaccount", "0"))
        received = time.time_ns() // 1000
        return Delivery(
            self.options.owner, "native", f"backfill-{digest}", 0, received, subaccount=number
        )


def _id(event: Event) -> str:
    """What tells that both tiers mean the same: their candlesticks have other digits."""
    if isinstance(event, MarketCandle):
        return f"{event.ticker}:{event.end}"
    return event.event_id()


def _may_lack(request: Request) -> bool:
    return request.path.endswith("/candlesticks") or request.path.startswith("/historical/")


def _not_understood(request: Request, error: Exception) -> UserError:
    return UserError(f"the venue's reply to GET {request} cannot be understood: {error}")
