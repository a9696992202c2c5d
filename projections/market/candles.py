"""Candlesticks: of each period, the one that was received last. Any order comes to the same row."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

from projections.base import Connection, Recorded
from streams.events import MarketCandle
from streams.events.types import moment, plain

_PRICES = (
    *(f"yes_{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close")),
    *("open", "high", "low", "close", "mean", "previous"),
)
_NUMBERS = (*_PRICES, "volume", "open_interest")
_KEY = ("venue", "ticker", "minutes", '"end"')
_REST = (*_NUMBERS, "received", "content", "partition", '"offset"')

_COLUMNS = ", ".join((*_KEY, *_REST))
_WRITE = f"""
insert into market_candles as c ({_COLUMNS})
select {_COLUMNS} from json_populate_recordset(null::market_candles, %s::json)
on conflict ({", ".join(_KEY)}) do update
set {", ".join(f"{name} = excluded.{name}" for name in _REST)}
where (excluded.received, excluded.content) > (c.received, c.content)
"""


async def write(connection: Connection, recorded: Iterable[tuple[Recorded, MarketCandle]]) -> None:
    """Keep the newest of each period."""
    newest: dict[tuple[Any, ...], tuple[tuple[int, str], Recorded, MarketCandle]] = {}
    for place, candle in recorded:
        key = (candle.venue, candle.ticker, candle.minutes, candle.end)
        rank = (candle.received, candle.event_id())
        if key not in newest or newest[key][0] < rank:
            newest[key] = rank, place, candle
    if newest:
        rows = [_row(*newest[key]) for key in sorted(newest)]
        await connection.execute(_WRITE, [orjson.dumps(rows).decode()])


def _row(rank: tuple[int, str], place: Recorded, candle: MarketCandle) -> dict[str, Any]:
    numbers: dict[str, Decimal | None] = {name: getattr(candle, name) for name in _NUMBERS}
    return {
        "venue": candle.venue,
        "ticker": candle.ticker,
        "minutes": candle.minutes,
        "end": moment(candle.end),
        **{name: None if value is None else plain(value) for name, value in numbers.items()},
        "received": moment(candle.received),
        "content": rank[1],
        "partition": place.source.partition,
        "offset": place.offset,
    }
