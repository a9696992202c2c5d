"""A load of what a venue says of its markets: seeded, with repeats, gaps and late news."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

from streams.events import (
    BookDelta,
    BookSnapshot,
    Event,
    MarketDescribed,
    MarketDetermined,
    MarketGap,
    MarketSettled,
    MarketTicker,
    MarketTrade,
    encode,
)
from streams.events.codec import EncodedEvent
from tests.survival.load import Source

TOPICS = ("kalshi.market", "kalshi.lifecycle")

_TICKERS = [
    f"KXBTCD-26NOV15{hour:02}-T{strike}.99" for hour in (15, 16) for strike in range(60, 66)
]


class Markets(Source):
    """Quotes, trades, books and lives of twelve markets."""

    def __init__(self, topics: Mapping[str, str], seed: int) -> None:
        self._topics = topics
        self._random = Random(seed)
        self._number = 0
        self._seqs: dict[str, int] = {}
        self._recent: deque[EncodedEvent] = deque(maxlen=200)

    def draw(self) -> EncodedEvent:
        if self._recent and self._random.random() < 0.05:
            return self._random.choice(self._recent)
        record = encode(self._event())
        record = dataclasses.replace(record, topic=self._topics[record.topic])
        self._recent.append(record)
        return record

    def _event(self) -> Event:
        kinds = (self._quote, self._trade, self._book, self._book, self._book, self._life)
        self._number += 1
        return self._random.choice(kinds)(self._random.choice(_TICKERS))

    def _told(self, model: type[Event], ticker: str, **fields: Any) -> Event:
        now = time.time_ns() // 1000 - self._random.randrange(1_000_000)
        values = dict.fromkeys(model.model_fields)
        values |= {"venue": "kalshi", "ticker": ticker, "time": now, "received": now + 9}
        return model(**{**values, **fields})

    def _price(self) -> Decimal:
        return Decimal(self._random.randrange(1, 100)).scaleb(-2)

    def _quote(self, ticker: str) -> Event:
        fields = {"yes_bid": self._price(), "volume": Decimal(self._random.randrange(1, 9999))}
        return self._told(MarketTicker, ticker, **fields)

    def _trade(self, ticker: str) -> Event:
        fields = {"trade_id": f"t{self._number}", "yes_price": self._price(), "count": Decimal(3)}
        return self._told(MarketTrade, ticker, **fields)

    def _book(self, ticker: str) -> Event:
        seq = self._seqs.get(ticker)
        about = {"connection": "one", "sid": 1}
        if seq is None or self._random.random() < 0.05:
            self._seqs[ticker] = number = (seq or 0) + 1
            levels = [(Decimal("0.10"), Decimal(500)), (Decimal("0.20"), Decimal(700))]
            more = {"seq": number, "opened": 1_790_000_000_000_000, "yes": levels, "no": levels}
            return self._told(BookSnapshot, ticker, **about, **more)
        if self._random.random() < 0.02:
            reason = {"expected": seq + 1, "got": seq + 3, "reason": "numbers are missing"}
            return self._told(MarketGap, ticker, **about, **reason)
        self._seqs[ticker] = seq + 1
        moved = {"side": self._random.choice(("yes", "no")), "delta": Decimal(1)}
        place = {"seq": seq + 1, "previous": seq, "price": self._price()}
        return self._told(BookDelta, ticker, **about, **place, **moved)

    def _life(self, ticker: str) -> Event:
        kind = self._random.randrange(4)
        if kind == 0:
            return self._told(MarketDetermined, ticker, result=self._random.choice(("yes", "no")))
        if kind == 1:
            return self._told(MarketSettled, ticker)
        return self._told(MarketDescribed, ticker, title=f"No. {self._number}", status="active")
