"""Rebuilds of `prices` from three million trades, beside COPY of the same rows.

Each round, in turn: text COPY of the rows into an empty table and its indexes; the rebuild, while a
reader asks for the newest price over and over; `tape verify`. Then once a rebuild under live load:
1,000 trades a second, projected by a worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import psycopg

from benchmarks import topics
from benchmarks.contender import ROOT
from benchmarks.processes import CrashError
from projections import PROJECTIONS
from projections.migrations import migrate
from streams.embedded.stack import StackInfo
from streams.events import PriceTrade, encode
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics, record_counts

__all__ = ["Live", "Round", "live", "prepare", "rounds"]

ROWS = 3_000_000
PER_SECOND = 1_000
_TOPIC = "price.ticks"
_BLOCK = 1 << 20
_TAPE = (sys.executable, "-c", "from streams.cli import main; main()")


@dataclass(frozen=True)
class Round:
    """Seconds of COPY with its indexes, of the rebuild (its process from start to end) and of
    `tape verify`; the longest that a reader waited (seconds), and the peak of the memory that all
    processes of the rebuild had together (bytes, shared pages counted once)."""

    events: int
    copy: float
    rebuild: float
    verify: float
    lockout: float
    longest_read: float
    memory: int


@dataclass(frozen=True)
class Live:
    """A rebuild under load: its seconds, and the most that the worker was behind (seconds)."""

    rebuild: float
    lag: float


def prepare(info: StackInfo) -> Endpoints:
    """Topics, tables, and the trades in the log."""
    at = Endpoints(info.brokers, {}, info.dsn, True, True)
    ensure_topics(at)
    asyncio.run(migrate(info.dsn, [one() for one in PROJECTIONS.values()]))
    asyncio.run(topics.fill(info.brokers, _TOPIC, ROWS))
    _tape(info, "rebuild", "prices")
    return at


def rounds(info: StackInfo, count: int) -> Iterator[Round]:
    """So many rounds; `prepare` comes before."""
    for _ in range(count):
        copy = _copy(info.dsn)
        with _watching(info.dsn, _read, 0.005) as longest:
            rebuild, outcome, memory = _tape(info, "rebuild", "prices", "--json")
        verify, found, _ = _tape(info, "verify", "prices", "--json")
        if found[0]["first"] is not None:
            raise CrashError(f"the rebuilt tables differ: {found[0]['first']}")
        yield Round(
            outcome[0]["records"],
            copy,
            rebuild,
            verify,
            outcome[0]["lockout"],
            longest[0],
            memory,
        )


def live(info: StackInfo, at: Endpoints) -> Live:
    """One rebuild under load."""
    worker = subprocess.Popen(
        [*_TAPE, "worker", "prices"], cwd=ROOT, env=_environment(info), stderr=subprocess.DEVNULL
    )
    done = threading.Event()
    load = threading.Thread(target=lambda: asyncio.run(_produce(at, done)))
    load.start()
    try:
        _wait_until_caught_up(at)
        with _watching(at.dsn, partial(_lag, at), 0.05) as longest:
            seconds, _, _ = _tape(info, "rebuild", "prices", "--json")
            time.sleep(3)
        return Live(seconds, longest[0])
    finally:
        done.set()
        load.join()
        worker.terminate()
        worker.wait()


def _environment(info: StackInfo) -> Mapping[str, str]:
    return os.environ | {"TAPE_BROKERS": info.brokers, "TAPE_DSN": info.dsn}


def _tape(info: StackInfo, *words: str) -> tuple[float, Any, int]:
    """Runs a command; gives its seconds, its JSON where there is some, and its peak memory."""
    began = time.monotonic()
    with subprocess.Popen(
        [*_TAPE, *words], cwd=ROOT, env=_environment(info), stdout=subprocess.PIPE, text=True
    ) as process:
        peak = _watch(process)
        output = process.communicate()[0]
    if process.returncode:
        raise CrashError(f"tape {' '.join(words)} ended with {process.returncode}: {output}")
    seconds = time.monotonic() - began
    return seconds, json.loads(output) if "--json" in words else None, peak


def _watch(process: subprocess.Popen[str]) -> int:
    peak = 0
    while process.poll() is None:
        size = 0
        with suppress(psutil.Error):
            parent = psutil.Process(process.pid)
            for one in (parent, *parent.children(recursive=True)):
                with suppress(psutil.Error):
                    size += one.memory_full_info().pss
        peak = max(peak, size)
        time.sleep(0.5)  # to count the shared pages takes the cores from what is measured
    return peak


def _copy(dsn: str) -> float:
    """The rows of price_history from memory into a table of its own, then the same indexes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        blocks = []
        with connection.cursor().copy("copy (select * from price_history) to stdout") as out:
            block: list[bytes] = []
            for line in out:
                block.append(bytes(line))
                if len(block) == 5_000:
                    blocks.append(b"".join(block))
                    block = []
            blocks.append(b"".join(block))
        connection.execute("drop table if exists copied")
        connection.execute(
            "create table copied (like price_history); alter table copied"
            " alter venue set not null, alter symbol set not null, alter time set not null,"
            " alter trade_id set not null"
        )
        began = time.monotonic()
        with connection.cursor().copy("copy copied from stdin") as copy:
            for whole in blocks:
                copy.write(whole)
        connection.execute(
            "set maintenance_work_mem = '512MB';"
            "alter table copied add primary key (venue, symbol, time, trade_id);"
            "create index on copied using brin (time)"
        )
        seconds = time.monotonic() - began
        connection.execute("drop table copied")
    return seconds


@contextmanager
def _watching(
    dsn: str, look: Callable[[psycopg.Connection[Any]], float], every: float
) -> Iterator[list[float]]:
    """Looks now and then (seconds), in a thread; the list's item is the most that it gave."""
    most, done = [0.0], threading.Event()

    def run() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.is_set():
                most[0] = max(most[0], look(connection))
                time.sleep(every)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _read(connection: psycopg.Connection[Any]) -> float:
    """How many seconds a reader waited for an answer."""
    began = time.monotonic()
    connection.execute("select * from latest_price").fetchall()
    return time.monotonic() - began


def _lag(at: Endpoints, connection: psycopg.Connection[Any]) -> float:
    """How far the live checkpoints are behind, in seconds of load."""
    ends = record_counts(at, [_TOPIC])[_TOPIC]
    return (ends - _projected(connection)) / PER_SECOND


def _projected(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "select coalesce(sum(next_offset), 0)::bigint from checkpoints"
        " join generations using (projection, generation)"
        " where projection = 'prices' and is_current"
    ).fetchone()
    return int(row[0]) if row else 0


def _wait_until_caught_up(at: Endpoints) -> None:
    """The worker has projected something of the load, and little of it waits."""
    with psycopg.connect(at.dsn, autocommit=True) as connection:
        begin = _projected(connection)
        for _ in range(600):
            projected = _projected(connection)
            waiting = record_counts(at, [_TOPIC])[_TOPIC] - projected
            if projected > begin + PER_SECOND and waiting < PER_SECOND / 5:
                return
            time.sleep(0.1)
    raise CrashError("the worker did not catch up within a minute")


async def _produce(at: Endpoints, done: threading.Event) -> None:
    async with Producer(at) as producer:
        began, sent = time.monotonic(), 0
        while not done.is_set():
            due = int((time.monotonic() - began) * PER_SECOND)
            now = time.time_ns() // 1000
            for number in range(sent, due):
                await producer.send_record(encode(_trade(number, now)))
            sent = due
            await asyncio.sleep(0.01)


def _trade(number: int, now: int) -> PriceTrade:
    return PriceTrade.model_validate(
        {
            "venue": "kraken",
            "symbol": f"C{number % 8}-USD",
            "trade_id": f"{now}-{number}",
            "price": "65000.10",
            "size": "0.5",
            "side": "buy",
            "time": now,
            "sequence": number,
            "received": now,
        }
    )
