"""The newest quote of each market: a unit's messages, folded over what the row holds.

The row is not read. So what a unit makes of a market's messages must say what to do whatever the
row's time is: each value goes with its own time, and a total with the deltas beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

import orjson

from projections.base import Connection
from streams.events import MarketTicker
from streams.events.types import moment, plain

TOTALS = ("volume", "open_interest", "dollar_volume", "dollar_open_interest")
FIELDS = (
    *("yes_bid", "yes_ask", "yes_bid_size", "yes_ask_size", "last_price", "last_size"),
    *TOTALS,
)

#: More digits than the sum of a unit's deltas can have.
_EXACT = Context(prec=60)

_FOLD = """
merge into market_quotes as q
using json_to_recordset(%s::json) as v (
    venue text, ticker text, time timestamptz, received timestamptz,
    yes_bid numeric, yes_bid_at timestamptz,
    yes_ask numeric, yes_ask_at timestamptz,
    yes_bid_size numeric, yes_bid_size_at timestamptz,
    yes_ask_size numeric, yes_ask_size_at timestamptz,
    last_price numeric, last_price_at timestamptz,
    last_size numeric, last_size_at timestamptz,
    volume numeric, volume_at timestamptz, volume_moved numeric,
    open_interest numeric, open_interest_at timestamptz, open_interest_moved numeric,
    dollar_volume numeric, dollar_volume_at timestamptz, dollar_volume_moved numeric,
    dollar_open_interest numeric, dollar_open_interest_at timestamptz,
    dollar_open_interest_moved numeric
)
on q.venue = v.venue and q.ticker = v.ticker
when not matched then
    insert (
        venue, ticker, yes_bid, yes_ask, yes_bid_size, yes_ask_size, last_price, last_size,
        volume, open_interest, dollar_volume, dollar_open_interest, time, received
    )
    values (
        v.venue, v.ticker, v.yes_bid, v.yes_ask, v.yes_bid_size, v.yes_ask_size, v.last_price,
        v.last_size, coalesce(v.volume, v.volume_moved),
        coalesce(v.open_interest, v.open_interest_moved),
        coalesce(v.dollar_volume, v.dollar_volume_moved),
        coalesce(v.dollar_open_interest, v.dollar_open_interest_moved), v.time, v.received
    )
when matched then
    update set
        yes_bid = newer(v.yes_bid, v.yes_bid_at, q.yes_bid, q.time),
        yes_ask = newer(v.yes_ask, v.yes_ask_at, q.yes_ask, q.time),
        yes_bid_size = newer(v.yes_bid_size, v.yes_bid_size_at, q.yes_bid_size, q.time),
        yes_ask_size = newer(v.yes_ask_size, v.yes_ask_size_at, q.yes_ask_size, q.time),
        last_price = newer(v.last_price, v.last_price_at, q.last_price, q.time),
        last_size = newer(v.last_size, v.last_size_at, q.last_size, q.time),
        volume = newer_total(v.volume, v.volume_at, v.volume_moved, q.volume, q.time),
        open_interest = newer_total(
            v.open_interest, v.open_interest_at, v.open_interest_moved, q.open_interest, q.time
        ),
        dollar_volume = newer_total(
            v.dollar_volume, v.dollar_volume_at, v.dollar_volume_moved, q.dollar_volume, q.time
        ),
        dollar_open_interest = newer_total(
            v.dollar_open_interest, v.dollar_open_interest_at, v.dollar_open_interest_moved,
            q.dollar_open_interest, q.time
        ),
        time = greatest(v.time, q.time),
        received = case when v.time >= q.time then v.received else q.received end
"""


@dataclass(slots=True)
class _Change:
    """What messages about one market, in offset order, make of any row.

    `told` holds the last value of each field and its time (microseconds), totals with the deltas
    that came after them; `moved` the sums of all deltas. Null is no entry.
    """

    time: int
    received: int
    told: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    moved: dict[str, Decimal] = field(default_factory=dict)

    def take(self, message: MarketTicker) -> None:
        """Add the next message. One of an older time has nothing to say but its deltas."""
        if message.time >= self.time:
            self.time, self.received = message.time, message.received
            for name in FIELDS:
                value: Decimal | None = getattr(message, name)
                if value is not None:
                    self.told[name] = value, message.time
        for name in TOTALS:
            delta: Decimal | None = getattr(message, f"{name}_delta")
            # A message's own total holds its delta already.
            if delta is not None and getattr(message, name) is None:
                self._move(name, delta)

    def _move(self, name: str, delta: Decimal) -> None:
        before = self.moved.get(name)
        self.moved[name] = delta if before is None else _EXACT.add(before, delta)
        if name in self.told:
            total, time = self.told[name]
            self.told[name] = _EXACT.add(total, delta), time

    def row(self) -> dict[str, Any]:
        """As the statement takes it."""
        row: dict[str, Any] = {"time": moment(self.time), "received": moment(self.received)}
        for name, (value, time) in self.told.items():
            row[name], row[f"{name}_at"] = plain(value), moment(time)
        for name, delta in self.moved.items():
            row[f"{name}_moved"] = plain(delta)
        return row


async def fold(connection: Connection, messages: Iterable[MarketTicker]) -> None:
    """Fold messages, which come in offset order, into the rows of their markets."""
    changes: dict[tuple[str, str], _Change] = {}
    for message in messages:
        key = (message.venue, message.ticker)
        if key not in changes:
            changes[key] = _Change(message.time, message.received)
        changes[key].take(message)
    if changes:
        rows = [
            {"venue": venue, "ticker": ticker, **change.row()}
            for (venue, ticker), change in sorted(changes.items(), key=lambda item: item[0])
        ]
        await connection.execute(_FOLD, [orjson.dumps(rows).decode()])
