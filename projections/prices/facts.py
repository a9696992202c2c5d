"""The facts of `prices` as columns: one frame of trades and index values, one of quotes.

Times are integers, microseconds since 1970 UTC; decimals are text in plain notation, which goes
into numeric columns as it is, trailing zeros and all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import polars as pl

from streams.events.types import moment

TRADE_COLUMNS: dict[str, Any] = {
    "venue": pl.String,
    "symbol": pl.String,
    "time": pl.Int64,
    "trade_id": pl.String,
    "price": pl.String,
    "size": pl.String,
    "side": pl.String,
    "sequence": pl.Int64,
    "average": pl.String,
    "received": pl.Int64,
    "appended": pl.Int64,
    "partition": pl.Int32,
    "offset": pl.Int64,
}

QUOTE_COLUMNS: dict[str, Any] = {
    "venue": pl.String,
    "symbol": pl.String,
    "time": pl.Int64,
    "sequence": pl.Int64,
    "bid": pl.String,
    "bid_size": pl.String,
    "ask": pl.String,
    "ask_size": pl.String,
    "received": pl.Int64,
    "partition": pl.Int32,
    "offset": pl.Int64,
}

#: Microseconds to which the coarsest channel of a venue gives times; all others give one.
#: Binance's REST replies and default streams have milliseconds (venue documentation).
PRECISION = {"binance": 1_000}


@dataclass(frozen=True, slots=True)
class Facts:
    """What some records say: `trades` as TRADE_COLUMNS, `quotes` as QUOTE_COLUMNS.

    `lines` are the trades as COPY takes them, where that was worth doing ahead of the unit.
    """

    trades: pl.DataFrame
    quotes: pl.DataFrame
    lines: bytes | None = None


def at_venue_precision(frame: pl.DataFrame) -> pl.DataFrame:
    """Cut `time` to what every channel of the venue gives, so that one fact has one key."""
    time = pl.col("time")
    for venue, step in PRECISION.items():
        time = pl.when(pl.col("venue") == venue).then(time - time % step).otherwise(time)
    return frame.with_columns(time=time)


def as_timestamps(frame: pl.DataFrame) -> pl.DataFrame:
    """Trades with their times as PostgreSQL's timestamptz takes them: instants in UTC."""
    timed = frame.clone()  # shares the columns; `with_columns` would take as long as a small unit
    for name in ("time", "received", "appended"):
        timed.replace_column(timed.get_column_index(name), frame[name].cast(pl.Datetime("us")))
    return timed


def months_of(frame: pl.DataFrame) -> list[date]:
    """The first day of each month, in UTC, that a time of the frame falls into."""
    times = frame["time"]
    first, last = _month(cast(int, times.min())), _month(cast(int, times.max()))
    if first == last:
        return [first]
    months = times.cast(pl.Datetime("us")).dt.date().dt.month_start()
    return months.unique().to_list()


def _month(micros: int) -> date:
    return moment(micros).date().replace(day=1)
