"""A steady load; and everything that a price topic may hold: seeded, written by hand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

from streams.events.codec import EncodedEvent
from streams.producer import Producer
from streams.settings import Endpoints

Fields = dict[str, Any]

_SYMBOLS = [
    (venue, f"{base}-USD")
    for venue in ("coinbase", "binance", "kraken")
    for base in ("BTC", "ETH", "SOL", "DOGE")
]
_GARBAGE: list[bytes] = [
    b"\xff\xfe\x00 not text",
    b"[1, 2, 3]",
    b"{",
    b"null",
    b'{"venue":"coinbase","symbol":"BTC-USD","trade_id":"1","price":1.5}',
]


class Source(ABC):
    """Where the records of a load come from."""

    @abstractmethod
    def draw(self) -> EncodedEvent:
        """The next record."""

    def rest(self) -> Iterable[EncodedEvent]:
        """What is still to be written once the load ends."""
        return ()


class Market(Source):
    """Draws records: trades, late trades, quotes, index values, repeats, conflicts, garbage."""

    def __init__(self, topic: str, seed: int) -> None:
        self._topic = topic
        self._random = Random(seed)
        self._numbers = dict.fromkeys(_SYMBOLS, 0)
        self._recent: deque[Fields] = deque(maxlen=500)
        self._index_time = 0

    def draw(self) -> EncodedEvent:
        """The next record; about one in two hundred is garbage, never many in a row."""
        kind = self._random.random()
        if kind < 0.60:
            return self._trade()
        if kind < 0.90:
            return self._quote()
        if kind < 0.95:
            return self._index()
        if kind < 0.995 and self._recent:
            return self._again()
        return self._record(
            "coinbase:BTC-USD", "price.trade.v1", self._random.choice(_GARBAGE), "garbage"
        )

    def _trade(self) -> EncodedEvent:
        venue, symbol = self._random.choice(_SYMBOLS)
        self._numbers[venue, symbol] += 1
        number = self._numbers[venue, symbol]
        fields = {
            "venue": venue,
            "symbol": symbol,
            "trade_id": str(number),
            "price": f"{self._random.randint(1, 10**7)}.{self._random.randint(0, 99):02}",
            "size": f"0.{self._random.randint(0, 10**8):08}",
            "side": self._random.choice(["buy", "sell"]),
            "time": self._time(),
            "sequence": number if number % 3 else None,
            "received": _now(),
        }
        self._recent.append(fields)
        return self._event("price.trade.v1", fields, f"{venue}:{symbol}:{number}")

    def _again(self) -> EncodedEvent:
        """A trade once more: by another channel, with a sequence, or with another price."""
        held = self._random.choice(self._recent)
        fields = {**held, "received": _now()}
        if int(held["trade_id"]) % 2:
            fields["sequence"] = held["sequence"] or int(held["trade_id"])
        elif self._random.random() < 0.5:
            fields["price"] = f"{self._random.randint(1, 10**7)}.5"
        return self._event("price.trade.v1", fields, f"again:{held['trade_id']}")

    def _quote(self) -> EncodedEvent:
        venue, symbol = self._random.choice(_SYMBOLS)
        bid = self._random.randint(1, 10**6)
        fields = {
            "venue": venue,
            "symbol": symbol,
            "bid": f"{bid}.10",
            "bid_size": self._random.choice([None, "1.500"]),
            "ask": f"{bid}.20",
            "ask_size": self._random.choice([None, "0", "2"]),
            "time": self._time(),
            "sequence": self._random.choice([None, 1, 2]),
            "received": _now(),
        }
        return self._event("price.quote.v1", fields, f"quote:{self._random.random()}")

    def _index(self) -> EncodedEvent:
        fields = {
            "venue": "cfbenchmarks",
            "symbol": "BRTI",
            "price": f"{self._random.randint(1, 10**6)}.00",
            "average": self._random.choice([None, "100.5"]),
            "time": self._next_index_time(),
            "received": _now(),
        }
        return self._event("price.index.v1", fields, f"index:{fields['time']}")

    def _next_index_time(self) -> int:
        """A time of its own for each value: test_conflicts.py has those that contradict."""
        self._index_time = max(self._index_time + 1, _now())
        return self._index_time

    def _time(self) -> int:
        late = self._random.randint(0, 3_600_000_000) if self._random.random() < 0.05 else 0
        return _now() - late - self._random.randint(0, 2_000_000)

    def _event(self, kind: str, fields: Fields, name: str) -> EncodedEvent:
        value = json.dumps(fields, separators=(",", ":")).encode()
        return self._record(f"{fields['venue']}:{fields['symbol']}", kind, value, name)

    def _record(self, key: str, kind: str, value: bytes, name: str) -> EncodedEvent:
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", name.encode()),
            ("ce_type", kind.encode()),
            ("ce_source", b"/tests"),
        ]
        return EncodedEvent(self._topic, key.encode(), value, headers)


class Load(threading.Thread):
    """Writes a source's records at a steady rate until it is told to stop."""

    def __init__(self, endpoints: Endpoints, source: Source, per_second: int) -> None:
        super().__init__(daemon=True)
        self._endpoints = endpoints
        self._source = source
        self._per_second = per_second
        self._done = threading.Event()
        self._error: BaseException | None = None

    def finish(self) -> None:
        """Stop, wait until all is acknowledged, and raise what went wrong."""
        self._done.set()
        self.join(timeout=120)
        assert not self.is_alive(), "the load could not be delivered"
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            asyncio.run(self._produce())
        except BaseException as error:
            self._error = error

    async def _produce(self) -> None:
        async with Producer(self._endpoints) as producer:
            begin, sent = time.monotonic(), 0
            while not self._done.is_set():
                due = int((time.monotonic() - begin) * self._per_second)
                for _ in range(min(due - sent, self._per_second)):
                    await producer.send_record(self._source.draw())
                sent = due
                await asyncio.sleep(0.02)
            for record in self._source.rest():
                await producer.send_record(record)
            await producer.flush()


def _now() -> int:
    return time.time_ns() // 1000
