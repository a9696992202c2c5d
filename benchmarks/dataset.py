"""The trades: the same for every contender, made from a seed.

Four partitions, two keys each, 50 trades per key and event second, 1 % late: their time is a few
seconds earlier than their neighbours', they are delivered here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from streams.events import EncodedEvent, PriceTrade, encode

#: (venue, symbol) of each key; the key's partition is its index modulo four.
KEYS = (
    ("coinbase", "BTC-USD"),
    ("coinbase", "ETH-USD"),
    ("coinbase", "SOL-USD"),
    ("coinbase", "XRP-USD"),
    ("bitstamp", "BTC-USDT"),
    ("bitstamp", "ETH-USDT"),
    ("bitstamp", "SOL-USDT"),
    ("bitstamp", "XRP-USDT"),
)
PARTITIONS = 4
TRADES_PER_SECOND = 50
LATE_SHARE = 0.01
REPEAT_EVERY = 100
#: How many records back a repeated record may lie.
REPEAT_REACH = 2000

STARTS = datetime(2025, 6, 2, 14, 0, tzinfo=UTC)
_START_US = int(STARTS.timestamp()) * 1_000_000
_STEP_US = 1_000_000 // TRADES_PER_SECOND


class Trade(NamedTuple):
    """One trade, in the event's order of fields; prices as integers of 10^-2, sizes of 10^-8."""

    venue: str
    symbol: str
    trade_id: int
    cents: int
    satoshis: int
    side: str
    time: int
    sequence: int
    received: int

    @property
    def price(self) -> str:
        """As in the event: plain notation, two decimals."""
        return f"{self.cents // 100}.{self.cents % 100:02d}"

    @property
    def size(self) -> str:
        """As in the event: plain notation, eight decimals."""
        return f"{self.satoshis // 100_000_000}.{self.satoshis % 100_000_000:08d}"


@dataclass(frozen=True)
class Totals:
    """Sums over a table's rows: two tables with the same totals are taken to be equal."""

    rows: int
    keys: int
    buys: int
    price: Decimal
    size: Decimal
    time: int
    sequence: int
    received: int


def trades(rows: int) -> Iterator[tuple[int, Trade]]:
    """(partition, trade) of the dataset, in the order of delivery."""
    draw = random.Random(20260101)
    cents = [4_000_000 + 700_000 * index for index in range(len(KEYS))]
    for number in range(rows):
        tick, index = divmod(number, len(KEYS))
        venue, symbol = KEYS[index]
        chance = draw.random()
        cents[index] += int(chance * 401) - 200
        now = _START_US + tick * _STEP_US + index * 1_000
        late_us = 2_000_000 + int(chance / LATE_SHARE * 5_000_000) if chance < LATE_SHARE else 0
        yield (
            index % PARTITIONS,
            Trade(
                venue,
                symbol,
                700_000_000 + tick,
                max(cents[index], 100),
                10_000 + int(draw.random() * 50_000_000),
                "buy" if int(chance * 1_000_000) & 1 else "sell",
                now - late_us,
                90_000_000_000 + number,
                now + 23_000 + index,
            ),
        )


def totals(rows: int) -> Totals:
    """The sums of the dataset's rows."""
    buys = cents = satoshis = time = sequence = received = 0
    for _, trade in trades(rows):
        buys += trade.side == "buy"
        cents += trade.cents
        satoshis += trade.satoshis
        time += trade.time
        sequence += trade.sequence
        received += trade.received
    price, size = Decimal(cents).scaleb(-2), Decimal(satoshis).scaleb(-8)
    return Totals(rows, rows, buys, price, size, time, sequence, received)


def records(rows: int, *, repeats: bool) -> Iterator[tuple[int, EncodedEvent]]:
    """(partition, record) of the dataset; with `repeats`, 1 % of the records come once more."""
    draw = random.Random(7)
    recent: list[deque[EncodedEvent]] = [deque(maxlen=REPEAT_REACH) for _ in range(PARTITIONS)]
    for number, (partition, trade) in enumerate(trades(rows)):
        record = _record(trade)
        if number < len(KEYS) and record != encode(_event(trade)):
            raise RuntimeError(f"the dataset's own encoding differs from the codec's: {record}")
        yield partition, record
        if repeats:
            recent[partition].append(record)
            if number % REPEAT_EVERY == REPEAT_EVERY - 1:
                others = recent[number // REPEAT_EVERY % PARTITIONS]
                yield number // REPEAT_EVERY % PARTITIONS, others[draw.randrange(len(others))]


def _event(trade: Trade) -> PriceTrade:
    fields = trade._asdict() | {"trade_id": str(trade.trade_id)}
    return PriceTrade.model_validate(fields | {"price": trade.price, "size": trade.size})


def _record(trade: Trade) -> EncodedEvent:
    """As `encode` gives it, without the model: seconds instead of half a minute."""
    key = f"{trade.venue}:{trade.symbol}"
    value = (
        f'{{"venue":"{trade.venue}","symbol":"{trade.symbol}","trade_id":"{trade.trade_id}",'
        f'"price":"{trade.price}","size":"{trade.size}","side":"{trade.side}",'
        f'"time":{trade.time},"sequence":{trade.sequence},"received":{trade.received}}}'
    )
    return EncodedEvent(
        PriceTrade.topic,
        key.encode(),
        value.encode(),
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{key}:{trade.trade_id}".encode()),
            ("ce_type", b"price.trade.v1"),
            ("ce_source", f"/venues/{trade.venue}".encode()),
        ],
    )
