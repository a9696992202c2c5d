"""Says of each open trade whose market has closed that it expired: a service, for live use only.

It reads the clock, so it is never part of a replay or a rebuild: these read what it produced, and
cannot make one (`streams.live`). What it says holds no clock time, though. The event's time is when
the market closed, and its id comes from the ticket, so that a second instance, or a second saying
after a restart, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import psycopg
import structlog

from projections.base import Connection
from projections.database import connect
from streams.backoff import Backoff
from streams.errors import UserError
from streams.events import Event, TradeExpired
from streams.events.tickers import read_ticker
from streams.events.types import EARLIEST_TIME, micros_of
from streams.live import Live
from streams.producer import DeliveryError

__all__ = ["Expirer", "Sink"]

log = structlog.get_logger(__name__)

_EVERY_S = 1.0
#: The longest pause while the database is away, in seconds.
_LONGEST_PAUSE_S = 10.0
_STATEMENT_TIMEOUT_MS = "10000"

# A trade whose opening order still rests stays pending although it expired, hence the second part.
_ACTIVE = """
select t.ticket_id, t.account, t.ticker, m.closes
from public.trades as t
left join public.markets as m
    on m.venue = public.market_venue(t.account) and m.ticker = t.ticker
where t.status in ('pending', 'open', 'closing')
    and not exists (
        select from public.trade_events as e
        where e.account = t.account and e.ticker = t.ticker
            and e.ticket_id = t.ticket_id and e.kind = 'expired'
    )
order by t.asked_at, t.ticket_id
"""


def _clock() -> datetime:
    return datetime.now(UTC)


class Sink(Protocol):
    """Where events go; `streams.producer.Producer` is one."""

    async def send(self, event: Event) -> None:
        """Take one event; it may not be in the log yet."""

    async def flush(self) -> None:
        """Return once all that was taken is in the log. Raises for what will never be."""


class Expirer:
    """Watches the tables and writes to `sink`. `expired` counts what it said since its start."""

    def __init__(
        self, live: Live, dsn: str, sink: Sink, clock: Callable[[], datetime] = _clock
    ) -> None:
        self.expired = 0
        self._dsn = dsn
        self._sink = sink
        self._clock = clock
        #: Tickets that were told, and that the tables do not know of yet: they lag.
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look every second until cancelled, also after the database or the broker was away.

        Raises UserError when the database lacks the tables or the right to read them.
        """
        backoff = Backoff(cap=_LONGEST_PAUSE_S)
        while True:
            try:
                await self._watch(backoff)
            except psycopg.ProgrammingError as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"the database: {reason}; run `tape db migrate`") from None
            except (psycopg.Error, OSError, DeliveryError) as error:
                pause = round(backoff.pause(), 2)
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                log.warning("looking for expired trades failed", reason=reason, again_in_s=pause)
                await asyncio.sleep(pause)

    async def _watch(self, backoff: Backoff) -> None:
        settings = {"statement_timeout": _STATEMENT_TIMEOUT_MS}
        async with await connect(self._dsn, "expirer", settings) as connection:
            while True:
                await self.expire_closed(connection)
                backoff.reset()
                await asyncio.sleep(_EVERY_S)

    async def expire_closed(self, connection: Connection) -> None:
        """Tell, once, of each active trade whose market has closed by now.

        Returns when all of it is in the log. Raises psycopg's errors, and DeliveryError: then all
        of it is told again.
        """
        # Not prepared: the views are replaced when a projection is rebuilt.
        cursor = await connection.execute(_ACTIVE, prepare=False)
        active = await cursor.fetchall()
        self._told &= {ticket_id for ticket_id, *_ in active}
        now = self._clock()
        due = []
        for ticket_id, account, ticker, known in active:
            closed = _closing_time(ticker, known)
            if ticket_id not in self._told and closed is not None and closed <= now:
                due.append(_expired(ticket_id, account, ticker, closed))
        for event in due:
            await self._sink.send(event)
        if due:
            await self._sink.flush()
        for event in due:
            self._told.add(event.ticket_id)
            self.expired += 1
            log.info("trade expired", ticket=event.ticket_id, ticker=event.ticker)


def _closing_time(ticker: str, known: datetime | None) -> datetime | None:
    """When the market closes: as the venue said, else as the ticker says, else None."""
    closes = read_ticker(ticker).closes if known is None else known
    return closes if closes is not None and micros_of(closes) >= EARLIEST_TIME else None


def _expired(ticket_id: str, account: str, ticker: str, closed: datetime) -> TradeExpired:
    return TradeExpired(
        ticket_id=ticket_id,
        account=account,
        ticker=ticker,
        time=micros_of(closed),
        origin="native",
    )
