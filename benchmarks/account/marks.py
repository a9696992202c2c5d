"""From a quote's frame to its mark in the view `active_trades`, beside a hundred open trades.

A quote counts from the moment at which its event is handed to the product's producer to the moment
at which another connection has read its mark (`benchmarks.account.marks_probe`). One worker process
runs the projections account, market and prices; one more connection reads the whole view ten times
a second.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median

import psycopg

from benchmarks import pacer, table
from benchmarks.account import dataset, log, quotes, tables
from benchmarks.account.backfill import worker
from benchmarks.account.stories import Story, stories
from benchmarks.contender import Command, module
from benchmarks.latency import Latency
from benchmarks.processes import Processes
from streams.embedded.stack import StackInfo
from streams.producer import Producer

OPEN_TRADES = 100
QUOTES_PER_SECOND = 200
READS_PER_SECOND = 10
MEASURED_S = 20.0
#: One quote in so many is of the market that is looked at.
_LOOKED_AT = 4
_SETTLE_S = 3.0
_LAST_S = 2.0
_START_DEADLINE_S = 60.0
_DATABASE = "bench"


@dataclass(frozen=True)
class Marks:
    """Of one round: the latency of marks, and how long it took to read the view (median, ms)."""

    latency: Latency
    read_ms: float


@dataclass
class _Sent:
    """When each quote of the market looked at was handed over, and how long reads took (s)."""

    handed: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


def rounds(info: StackInfo, number: int) -> Iterator[Marks]:
    """The results of so many rounds, each with a worker and tables of its own.

    Raises:
        CrashError: the worker failed.
        TimeoutError: the trades were not open a minute after its start, or a mark never came.
    """
    for _ in range(number):
        yield _run(info)


def _run(info: StackInfo) -> Marks:
    told = list(_open_trades())
    looked_at = next(one for one in told if one.trades[0].opened.side == "yes")
    log.make_anew(info)
    log.fill(info, dataset.events(told))
    dsn = tables.fresh_database(info.dsn, _DATABASE)
    try:
        with tempfile.TemporaryDirectory(prefix="tickertape-bench-run-") as workdir:
            seen = Path(workdir) / "seen"
            seen.touch()
            ticket = looked_at.trades[0].ticket_id
            commands = [
                worker(info, dsn, ["account", "market", "prices"]),
                _probe(dsn, ticket, seen),
            ]
            with Processes(commands, Path(workdir)) as processes:
                _wait_for_trades(dsn, processes)
                others = [one.ticker for one in told if one is not looked_at]
                sent, first = asyncio.run(_drive(info, dsn, looked_at.ticker, others))
                processes.check()
                time.sleep(_LAST_S)
            return Marks(_latency(sent.handed, first, seen), median(sent.reads) * 1000)
    finally:
        table.drop_database(info.dsn, _DATABASE)


def _open_trades() -> Iterator[Story]:
    """A market for each, of which nothing closes the only trade."""
    for story in islice(stories(OPEN_TRADES * 100), OPEN_TRADES):
        trade = story.trades[0]._replace(closed=None)
        yield story._replace(trades=(trade,), settled=None)


def _probe(dsn: str, ticket: str, seen: Path) -> Command:
    command = module("benchmarks.account.marks_probe", ticket, str(seen))
    return Command(command.argv, {**command.env, "TAPE_DSN": dsn})


def _wait_for_trades(dsn: str, processes: Processes) -> None:
    until = time.monotonic() + _START_DEADLINE_S
    query = "select count(*) = %s from active_trades where status = 'open'"
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute(query, [OPEN_TRADES]).fetchone() != (True,):
            processes.check()
            if time.monotonic() > until:
                raise TimeoutError(f"no open trades after {_START_DEADLINE_S:.0f} s")
            time.sleep(0.25)


async def _drive(
    info: StackInfo, dsn: str, looked_at: str, others: Sequence[str]
) -> tuple[_Sent, int]:
    """Sends quotes for a while, then for the measured time; gives what was sent, and the number of
    the first quote that counts."""
    sent = _Sent()
    async with Producer(log.endpoints(info, dsn)) as producer:
        reader = asyncio.create_task(_read(dsn, sent))
        sending = _Sending(producer, sent, looked_at, others)
        await sending.go_on_for(_SETTLE_S)
        first = len(sent.handed)
        await sending.go_on_for(MEASURED_S)
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
    return sent, first


class _Sending:
    """Quotes at a steady rate, one in four of the market looked at, and a price for each four."""

    def __init__(
        self, producer: Producer, sent: _Sent, looked_at: str, others: Sequence[str]
    ) -> None:
        self._producer = producer
        self._sent = sent
        self._looked_at = looked_at
        self._others = cycle(others)
        self._numbers = count()

    async def go_on_for(self, seconds: float) -> None:
        """A late wake-up is made up for at once, so that the rate is kept."""
        begin, done = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            while done < int((now - begin) * QUOTES_PER_SECOND):
                await self._send(next(self._numbers))
                done += 1
            await asyncio.sleep(0.0005)

    async def _send(self, number: int) -> None:
        turn, rest = divmod(number, _LOOKED_AT)
        if rest:
            await self._producer.send(quotes.quote(next(self._others), turn))
            return
        await self._producer.send(pacer.trade("coinbase", "BTC-USD", turn))
        self._sent.handed.append(time.time())
        await self._producer.send(quotes.quote(self._looked_at, turn))


async def _read(dsn: str, sent: _Sent) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while True:
            began = time.perf_counter()
            cursor = await connection.execute("select * from active_trades")
            await cursor.fetchall()
            took = time.perf_counter() - began
            sent.reads.append(took)
            await asyncio.sleep(max(0.0, 1 / READS_PER_SECOND - took))


def _latency(handed: Sequence[float], first: int, seen: Path) -> Latency:
    """Quotes become visible in their order; of several in one unit of work only the last is."""
    looks, numbers = [], []
    for line in seen.read_text(encoding="utf-8").splitlines():
        at, mark = line.split()
        looks.append(float(at))
        numbers.append(quotes.number_of(mark))
    latencies = []
    for number in range(first, len(handed)):
        index = bisect_left(numbers, number)
        if index == len(numbers):
            raise TimeoutError(f"quote {number} of {len(handed)} never became visible")
        latencies.append((looks[index] - handed[number]) * 1000)
    return Latency.of(latencies)
