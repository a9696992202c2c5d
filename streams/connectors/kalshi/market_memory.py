"""What outlives a connection of `kalshi-market`, and what the log tells of it to a new process."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from aiokafka import ConsumerRecord

from streams.connectors.kalshi.known_trades import KnownTrades
from streams.connectors.tail import is_told, tail
from streams.events import (
    DecodeError,
    Event,
    MarketTicker,
    PriceIndex,
    decode,
    kalshi_market,
    price,
    system_health,
)
from streams.events.system_health import Heartbeat
from streams.owners import venue_of, venue_of_index
from streams.settings import Endpoints

__all__ = ["Memory", "remembered"]

#: How long before the last quote trades may have been missing, where nobody says. Microseconds.
_WITHOUT_A_MARK = 3_600_000_000

Record: TypeAlias = ConsumerRecord[bytes, bytes]


@dataclass
class Memory:
    """What outlives a connection.

    `indices` are the times of the newest value of each index. `told` is what was last said of a
    market's life, so that REST only adds what is new; `asked` when it was last asked for results
    and gave them all. Times are in microseconds since 1970 UTC.
    """

    trades: KnownTrades = field(default_factory=KnownTrades)
    indices: dict[str, int] = field(default_factory=dict)
    told: dict[tuple[str, str], dict[str, object]] = field(default_factory=dict)
    asked: int | None = None


async def remembered(
    endpoints: Endpoints, owner: str, scope: str, series: Collection[str], indices: Collection[str]
) -> tuple[Memory, int]:
    """Until when trades and the indices are in the log, and how many records were read for that.

    `scope` is the feed's lease. Raises UserError where the broker is out of reach.
    """
    mark, records = await _trades(endpoints, venue_of(owner), scope, series)
    memory = Memory(KnownTrades(mark))
    if indices:
        memory.indices, more = await _indices(endpoints, venue_of_index(owner), indices)
        records += more
    return memory, records


async def _trades(
    endpoints: Endpoints, venue: str, scope: str, series: Collection[str]
) -> tuple[int | None, int]:
    """Heartbeats tell; of a feed that ended too long ago for that, its last quotes."""
    marks: list[int] = []
    quotes: dict[int, Record] = {}

    def take_mark(record: Record) -> None:
        told = _event(record)
        if isinstance(told, Heartbeat) and told.scope == scope and told.complete_until is not None:
            marks.append(told.complete_until)

    def take_quote(record: Record) -> None:
        of = (record.key or b"").decode(errors="replace").split("-", 1)[0]
        # Only this feed tells of quotes; trades come by backfills too.
        if of in series and is_told(record, venue, MarketTicker):
            quotes[record.partition] = record

    records = await tail(endpoints, system_health.TOPIC, take_mark)
    if not marks:
        records += await tail(endpoints, kalshi_market.TOPIC, take_quote)
        told = map(_event, quotes.values())
        marks += [one.time - _WITHOUT_A_MARK for one in told if isinstance(one, MarketTicker)]
    return max(marks, default=None), records


async def _indices(
    endpoints: Endpoints, venue: str, symbols: Collection[str]
) -> tuple[dict[str, int], int]:
    """The time of the newest value of each index."""
    keys = {f"{venue}:{symbol}".encode() for symbol in symbols}
    newest: dict[str, int] = {}

    def take(record: Record) -> None:
        if record.key in keys and is_told(record, venue, PriceIndex):
            value = _event(record)
            if isinstance(value, PriceIndex):
                newest[value.symbol] = value.time

    return newest, await tail(endpoints, price.TOPIC, take, keys)


def _event(record: Record) -> Event | None:
    """The event of a record, if it is one of ours."""
    try:
        return decode(record.value, record.headers)
    except DecodeError:
        return None
