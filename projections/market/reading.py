"""From records to what `market` writes: events by what becomes of them, and rows of the log.

A record that is refused may have been a message of its market's book. Its key and headers say of
which one, so the book is told in the same unit, at the same place among its messages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import cast

from projections.base import Batch, Decoded, Partition, Record, Recorded, Refused, read_event
from projections.market.book import Lost, MarketKey, Message
from projections.market.log import LogRow, day_of, timestamp
from projections.market.markets import Life
from streams.events import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    MarketCandle,
    MarketGap,
    MarketTicker,
    MarketTrade,
)
from streams.events.kalshi_lifecycle import TOPIC as LIVES
from streams.events.kalshi_market import TOPIC as TRADING
from streams.events.types import TICKER, VENUE

TOPICS = (TRADING, LIVES)

#: The events of `kalshi.market`; what could not be parsed is refused.
Trading = MarketTicker | MarketTrade | BookSnapshot | BookDelta | MarketGap | MarketCandle

_SOURCE = re.compile(rf"/venues/({VENUE})".encode())
_KEY = re.compile(TICKER.encode())
#: What no book consists of, in any version.
_NO_BOOK = re.compile(rb"market\.(?:ticker|trade|candle|unparsed)\.v[0-9]+")


@dataclass(slots=True)
class Facts:
    """What some records say, in offset order; `log` by the day of appending.

    `keys` are the markets that the events are of.
    """

    keys: set[MarketKey] = field(default_factory=set)
    lives: list[Life] = field(default_factory=list)
    quotes: list[MarketTicker] = field(default_factory=list)
    trades: list[tuple[Recorded, MarketTrade]] = field(default_factory=list)
    candles: list[tuple[Recorded, MarketCandle]] = field(default_factory=list)
    book: list[Message] = field(default_factory=list)
    log: dict[date, list[LogRow]] = field(default_factory=dict)

    @property
    def tickers(self) -> set[str]:
        """The tickers of all markets whose rows may change."""
        return {ticker for _, ticker in self.keys} | {message.ticker for message in self.book}

    def add(self, place: Recorded, event: Trading) -> None:
        """Put an event of `kalshi.market` where it belongs."""
        if isinstance(event, BookDelta | BookSnapshot | MarketGap):
            self.book.append(event)
        elif isinstance(event, MarketTicker):
            self.quotes.append(event)
        elif isinstance(event, MarketTrade):
            self.trades.append((place, event))
        else:
            self.candles.append((place, event))


def read(batches: Sequence[Batch]) -> Decoded[Facts]:
    """The facts of these batches, and the records that are refused; see projections.base."""
    decoded = Decoded(Facts())
    for batch in batches:
        for record in batch.records:
            try:
                _read_record(batch.source, record, decoded.facts)
            except DecodeError as error:
                decoded.refused.append(Refused(batch.source, record, str(error)))
                lost = _lost(batch.source, record)
                if lost is not None:
                    decoded.facts.book.append(lost)
    return decoded


def _read_record(source: Partition, record: Record, facts: Facts) -> None:
    """Raises DecodeError; see projections.base.read_event."""
    event = read_event(record, TOPICS)
    if event.topic == LIVES:
        life = cast(Life, event)
        facts.keys.add((life.venue, life.ticker))
        facts.lives.append(life)
        return
    trading = cast(Trading, event)
    _check_storable(trading)
    facts.keys.add((trading.venue, trading.ticker))
    facts.add(Recorded(source, record.offset, record.timestamp, trading), trading)
    row = _log_row(source, record, trading)
    facts.log.setdefault(day_of(record.timestamp), []).append(row)


def _check_storable(event: Trading) -> None:
    """Refused here rather than by the server, so that the book is told."""
    if isinstance(event, BookDelta | BookSnapshot):
        text = event.connection
    elif isinstance(event, MarketGap):
        text = event.connection + event.reason
    else:
        return
    if "\0" in text:
        raise DecodeError("a NUL character, which PostgreSQL cannot store")


def _log_row(source: Partition, record: Record, event: Trading) -> LogRow:
    if isinstance(event, MarketGap):
        time = event.received
    else:
        time = event.end if isinstance(event, MarketCandle) else event.time
    return LogRow(
        appended=timestamp(record.timestamp * 1000),
        partition=source.partition,
        offset=record.offset,
        venue=event.venue,
        ticker=event.ticker,
        type=(dict(record.headers)["ce_type"] or b"").decode(),
        time=timestamp(time),
        received=timestamp(event.received),
        event=(record.value or b"").decode(),
    )


def _lost(source: Partition, record: Record) -> Lost | None:
    """What a refused record means to a book; None where it cannot have been of one."""
    attributes = dict(record.headers)
    if source.topic != TRADING or _NO_BOOK.fullmatch(attributes.get("ce_type") or b""):
        return None
    venue = _SOURCE.fullmatch(attributes.get("ce_source") or b"")
    ticker = _KEY.fullmatch(record.key or b"")
    if venue is None or ticker is None:
        return None
    return Lost(
        venue=venue[1].decode(),
        ticker=ticker[0].decode(),
        at=record.timestamp * 1000,
        reason=f"the record at offset {record.offset} of {source} is a dead letter",
    )
