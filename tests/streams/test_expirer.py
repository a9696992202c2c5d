"""The expirer against real tables and the real Kafka: it says once what is so, and goes on."""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from projections.base import Connection
from projections.database import connect
from streams.backoff import Backoff
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import Event, TradeExpired
from streams.events.types import micros_of
from streams.expirer import Expirer
from streams.live import Live
from streams.producer import DeliveryError, Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.streams.tape import (
    MAIN,
    Tape,
    add_row,
    add_trade,
    events_of,
    execute,
    make_tables,
    records_of,
)

#: What the tickers below say: 25AUG0619 is 19:00 in New York, 23:00 UTC.
SEVEN = datetime(2025, 8, 6, 23, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Market:
    """A market that no other test has, whose ticker says that it closes at SEVEN."""

    dsn: str
    brokers: str
    ticker: str

    def close_at(self, closes: datetime, venue: str = "kalshi") -> None:
        """What the venue says."""
        add_row(self.dsn, "markets", venue=venue, ticker=self.ticker, closes=closes)

    async def events(self) -> list[Event]:
        """All of the market in trade.events."""
        return await events_of(self.brokers, "trade.events", self.ticker)

    def expired(self, ticket_id: str, time: datetime = SEVEN, account: str = MAIN) -> TradeExpired:
        return TradeExpired(
            ticket_id=ticket_id,
            account=account,
            ticker=self.ticker,
            time=micros_of(time),
            origin="native",
        )


@pytest.fixture
async def market(stack: StackInfo, dsn: str) -> Market:
    await make_tables(dsn)
    return Market(dsn, stack.brokers, f"KXT{secrets.token_hex(6)}-25AUG0619-T1")


@pytest.fixture
async def producer(stack: StackInfo, dsn: str) -> AsyncIterator[Producer]:
    endpoints = Endpoints(stack.brokers, {}, dsn, True, True)
    ensure_topics(endpoints)
    async with Producer(endpoints) as producing:
        yield producing


@pytest.fixture
async def side(market: Market) -> AsyncIterator[Connection]:
    async with await connect(market.dsn, "test", {}) as connection:
        yield connection


class Clock:
    """Shows what it is set to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize("status", ["pending", "open", "closing"])
async def test_a_trade_expires_at_the_moment_its_market_closes(
    market: Market, producer: Producer, side: Connection, status: str
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker, status=status)
    clock = Clock(SEVEN - SECOND)
    expirer = Expirer(Live(), market.dsn, producer, clock)
    await expirer.expire_closed(side)
    assert await market.events() == []
    clock.now = SEVEN
    await expirer.expire_closed(side)
    assert await market.events() == [market.expired("T1")]
    assert expirer.expired == 1


async def test_the_venue_s_word_on_the_close_goes_before_the_ticker_s(
    market: Market, producer: Producer, side: Connection
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker)
    later = SEVEN + timedelta(hours=1)
    market.close_at(later)
    market.close_at(SEVEN - SECOND, venue="other")
    clock = Clock(later - SECOND)
    expirer = Expirer(Live(), market.dsn, producer, clock)
    await expirer.expire_closed(side)
    assert await market.events() == []
    clock.now = later + timedelta(days=3)
    await expirer.expire_closed(side)
    assert await market.events() == [market.expired("T1", time=later)]


async def test_each_trade_of_a_market_expires_in_its_own_account(
    market: Market, producer: Producer, side: Connection
) -> None:
    demo = "kalshi/demo/other/3"
    add_trade(market.dsn, "T1", ticker=market.ticker)
    add_trade(market.dsn, "T2", ticker=market.ticker, account=demo)
    await Expirer(Live(), market.dsn, producer, Clock(SEVEN)).expire_closed(side)
    assert await market.events() == [market.expired("T1"), market.expired("T2", account=demo)]


@pytest.mark.parametrize("status", ["closed", "expired", "canceled", "error"])
async def test_a_trade_that_is_over_never_expires(
    market: Market, producer: Producer, side: Connection, status: str
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker, status=status)
    await Expirer(Live(), market.dsn, producer, Clock(SEVEN)).expire_closed(side)
    assert await market.events() == []


@pytest.mark.parametrize("form", ["KXT-{}", "KXT{}-25AUG3299-T1", "KXT{}-05AUG0619-T1"])
async def test_without_a_closing_time_nothing_is_said(
    market: Market, producer: Producer, side: Connection, form: str
) -> None:
    market.ticker = form.format(secrets.token_hex(6))
    add_trade(market.dsn, "T1", ticker=market.ticker)
    await Expirer(Live(), market.dsn, producer, Clock(SEVEN)).expire_closed(side)
    assert await market.events() == []


async def test_while_the_tables_lag_nothing_is_said_again(
    market: Market, producer: Producer, side: Connection
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker)
    clock = Clock(SEVEN)
    expirer = Expirer(Live(), market.dsn, producer, clock)
    await expirer.expire_closed(side)
    clock.now += timedelta(minutes=5)
    await expirer.expire_closed(side)
    add_trade(market.dsn, "T2", ticker=market.ticker)
    await expirer.expire_closed(side)
    assert await market.events() == [market.expired("T1"), market.expired("T2")]
    assert expirer.expired == 2


async def test_another_instance_and_another_time_say_the_very_same(
    market: Market, producer: Producer, side: Connection
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker)
    for now in (SEVEN, SEVEN + timedelta(days=2)):
        await Expirer(Live(), market.dsn, producer, Clock(now)).expire_closed(side)
    one, other = await records_of(market.brokers, "trade.events", market.ticker)
    assert (one.value, one.headers) == (other.value, other.headers)
    assert dict(one.headers)["ce_id"].decode() == f"{MAIN}:expired:T1"


async def test_a_trade_that_stays_pending_although_it_expired_is_left_alone(
    market: Market, producer: Producer, side: Connection
) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker, status="pending")
    await Expirer(Live(), market.dsn, producer, Clock(SEVEN)).expire_closed(side)
    event = market.expired("T1")
    add_row(
        market.dsn,
        "trade_events",
        event_id=event.event_id(),
        kind="expired",
        ticket_id="T1",
        account=MAIN,
        ticker=market.ticker,
        time=SEVEN,
        origin="native",
        topic="trade.events",
        partition=0,
        offset=0,
    )
    await Expirer(Live(), market.dsn, producer, Clock(SEVEN)).expire_closed(side)
    assert await market.events() == [event]


class Deaf:
    """Loses what it is sent, and says so, as often as it is told."""

    def __init__(self, times: int) -> None:
        self.sent: list[Event] = []
        self._times = times

    async def send(self, event: Event) -> None:
        self.sent.append(event)

    async def flush(self) -> None:
        if self._times:
            self._times -= 1
            raise DeliveryError("trade.events", b"K", "the topic is gone")


async def await_(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(expirer: Expirer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(expirer.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_not_in_the_log_is_said_again(market: Market) -> None:
    add_trade(market.dsn, "T1", ticker=market.ticker)
    deaf = Deaf(times=2)
    expirer = Expirer(Live(), market.dsn, deaf, Clock(SEVEN))
    async with running(expirer):
        await await_(lambda: expirer.expired == 1)
    assert deaf.sent == [market.expired("T1")] * 3


def cut_connections(dsn: str) -> None:
    statement = "select pg_terminate_backend(pid) from pg_stat_activity where "
    statement += "datname = current_database() and application_name = 'tickertape expirer'"
    execute(dsn, statement)


async def test_it_goes_on_after_the_database_was_away(market: Market) -> None:
    sink = Deaf(times=0)
    expirer = Expirer(Live(), market.dsn, sink, Clock(SEVEN))
    add_trade(market.dsn, "T1", ticker=market.ticker)
    async with running(expirer) as task:
        await await_(lambda: expirer.expired == 1)
        cut_connections(market.dsn)
        add_trade(market.dsn, "T2", ticker=market.ticker)
        await await_(lambda: expirer.expired == 2)
        assert not task.done()
    assert sink.sent == [market.expired("T1"), market.expired("T2")]


async def test_it_waits_for_a_database_that_is_away_at_its_start(
    market: Market, stack: StackInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(market.dsn)["dbname"]
    paused = 0
    pause = Backoff.pause

    def counted(backoff: Backoff) -> float:
        nonlocal paused
        paused += 1
        return pause(backoff)

    monkeypatch.setattr(Backoff, "pause", counted)
    add_trade(market.dsn, "T1", ticker=market.ticker)
    execute(stack.dsn, f'alter database "{name}" with allow_connections false')
    expirer = Expirer(Live(), market.dsn, Deaf(times=0), Clock(SEVEN))
    async with running(expirer) as task:
        await await_(lambda: paused > 1)
        execute(stack.dsn, f'alter database "{name}" with allow_connections true')
        await await_(lambda: expirer.expired == 1)
        assert not task.done()


async def test_tables_that_are_missing_end_it_with_what_to_do(dsn: str) -> None:
    expirer = Expirer(Live(), dsn, Deaf(times=0))
    with pytest.raises(UserError, match='"public.trades" does not exist; run `tape db migrate`'):
        await expirer.run()


async def test_tape_expire_runs_until_it_is_stopped_and_tells_what_it_did(
    market: Market, stack: StackInfo
) -> None:
    ensure_topics(Endpoints(stack.brokers, {}, market.dsn, True, True))
    add_trade(market.dsn, "T1", ticker=market.ticker)
    tape = Tape(TAPE_HOME=str(stack.home.path), TAPE_DSN=market.dsn)
    with tape.start("expire") as process:
        assert process.stderr is not None
        assert "trade expired" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "trades expired: 1\n"), errors
    assert await market.events() == [market.expired("T1")]


def test_a_users_mistake_is_told_without_a_traceback(stack: StackInfo) -> None:
    tape = Tape(TAPE_HOME="/none")
    assert "'soon' is no duration" in tape.complaint("expire", "--for", "soon")
    assert "run `tape stack start`" in tape.complaint("expire")
