"""Pictures that were made up, and a source of them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st

from streams.monitor.burrow import Status
from streams.monitor.model import (
    Account,
    Building,
    DeadLetters,
    Disk,
    Group,
    Host,
    Incident,
    Level,
    Partition,
    Picture,
    Postgres,
    Source,
    State,
    Table,
    Topic,
    Trend,
)
from tests.streams.monitor.pictures import NOW, SECOND, feed, group, partition, source

INCIDENT = Incident(
    id="feed:kraken",
    cause="feed",
    level=Level.CRITICAL,
    title="kraken: connected, no frame for 41 s",
    symptoms=("kraken:BTC-USD: newest price 41 s old", "marks of 3 active trades stale"),
    opened=NOW - 41 * SECOND,
)


def picture(number: int = 0, **fields: Any) -> Picture:
    """A system where all is well, `number` seconds later, but for these fields."""
    values: dict[str, Any] = {
        "taken": NOW + number * SECOND,
        "sources": [Source("broker", True, NOW, None), Source("database", True, NOW, None)],
        "groups": [
            group(*(partition(partition=at, lag=number % 3) for at in range(4))),
            group(partition(topic="kalshi.market"), projection="market"),
            group(
                partition(topic="kalshi.account"),
                partition(topic="trade.commands"),
                projection="account",
            ),
            group(projection=None, name="someone-elses"),
        ],
        "topics": [
            Topic("price.ticks", 4, 100_000 + 812 * number, 812.0, 18_000_000),
            Topic("kalshi.market", 4, 50_000, 140.0, 9_000_000),
            Topic("kalshi.account", 4, 500, 2.0, 90_000),
            Topic("trade.commands", 4, 50, None, None),
        ],
        "feeds": [feed(f"producer/{name}") for name in ("coinbase", "kraken", "kalshi-market")],
        "freshness": [source("coinbase:BTC-USD", 1.2), source("kraken:BTC-USD", 3.1)],
        "accounts": [Account("kalshi/prod/main/0", 0, 0, "0", 3, 0, None)],
        "tables": [Table("prices", "price_history", 812_000_000, 2_300_000)],
        "building": [Building("prices", 4, "rebuild", NOW - 60 * SECOND, 42_000, 90_000)],
        "postgres": Postgres(23, 100, 0, None, 0.0, 4.2, "vacuum", 1, 16_000, 120, 12_300, 0.998),
        "database_bytes": 3_100_000,
        "host": Host(31.5, 9_800_000_000, 25_000_000_000, 1.2),
        "disks": [Disk("log, database", "/var/lib", 48_000_000_000, 250_000_000_000, 61.0)],
    }
    return Picture(**{**values, **fields})


def troubled(number: int = 0) -> Picture:
    """A system where a feed is silent, a partition is stuck, and dead letters wait."""
    return picture(
        number,
        groups=[
            group(*(partition(partition=at) for at in range(4))),
            group(
                partition(topic="kalshi.market", lag=4000, lag_s=80.0, state=State.STUCK),
                projection="market",
            ),
        ],
        freshness=[
            source("coinbase:BTC-USD", 1.2),
            source("kraken:BTC-USD", 41.0 + number, level=Level.CRITICAL),
        ],
        dead_letters=[DeadLetters("prices", "price: must be positive", 3, NOW)],
        incidents=[INCIDENT],
        level=Level.CRITICAL,
    )


class Scripted:
    """A source that gives the Pictures that a test shows."""

    def __init__(self, first: Picture | None = None) -> None:
        self.latest = first
        #: Seconds from one Picture to the next, as was wanted last.
        self.pace: float | None = None
        self._shown = asyncio.Event()

    async def next(self) -> Picture:
        await self._shown.wait()
        assert self.latest is not None
        return self.latest

    def change_pace(self, every: float) -> None:
        """Keep what was wanted."""
        self.pace = every

    def show(self, picture: Picture) -> None:
        """What is the newest from now on."""
        shown, self._shown = self._shown, asyncio.Event()
        self.latest = picture
        shown.set()


_NAMES = st.sampled_from(["a", "b", "c d", "e/f"])
_NUMBERS = st.integers(0, 3)
_FLOATS = st.sampled_from([0.0, 0.25, 1.5])


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _some(strategy: st.SearchStrategy[Any], *key: str) -> st.SearchStrategy[Any]:
    """Members that these fields tell from each other, as they do in a real Picture."""
    return st.lists(
        strategy,
        max_size=3,
        unique_by=lambda one: tuple(getattr(one, name) for name in key),
    )


_PARTITIONS = st.builds(
    Partition,
    topic=_NAMES,
    partition=_NUMBERS,
    current=_NUMBERS,
    start=_NUMBERS,
    end=_NUMBERS,
    lag=_NUMBERS,
    lag_s=_maybe(_FLOATS),
    owner=_maybe(_NAMES),
    moved=_maybe(_NUMBERS),
    hours_left=_maybe(_FLOATS),
    state=st.sampled_from(State),
    burrow=st.sampled_from(Status),
)
_GROUPS = st.builds(
    Group,
    name=_NAMES,
    projection=_maybe(_NAMES),
    kafka_state=_maybe(_NAMES),
    members=_NUMBERS,
    partitions=_some(_PARTITIONS, "topic", "partition"),
    lag=_NUMBERS,
    lag_s=_maybe(_FLOATS),
    consumed=_maybe(_FLOATS),
    arriving=_maybe(_FLOATS),
    trend=st.sampled_from(Trend),
    catch_up_s=_maybe(_FLOATS),
    state=st.sampled_from(State),
    burrow=st.sampled_from(Status),
)
_INCIDENTS = st.builds(
    Incident,
    id=_NAMES,
    cause=_NAMES,
    level=st.sampled_from(Level),
    title=_NAMES,
    symptoms=st.lists(_NAMES, max_size=2),
    opened=_NUMBERS,
    closed=_maybe(_NUMBERS),
)

#: Pictures that have much in common, and lack this and that.
PICTURES = st.builds(
    Picture,
    taken=_NUMBERS,
    groups=_some(_GROUPS, "name"),
    topics=_some(st.builds(Topic, _NAMES, _NUMBERS, _NUMBERS, _maybe(_FLOATS), _NUMBERS), "name"),
    incidents=_some(_INCIDENTS, "id"),
    host=_maybe(st.builds(Host, _FLOATS, _NUMBERS, _NUMBERS, _FLOATS)),
    level=st.sampled_from(Level),
)
