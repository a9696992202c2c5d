"""From records to columns: a vectorised way for what our producers write, the model for the rest.

A value that matches the pattern of its event type to the last byte is one that the model accepts,
with the same meaning; only such values are read as columns. Everything else, whatever the doubt,
goes through `projections.base.read_event`, one by one; a property test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from projections.base import Batch, Decoded, Partition, Record, Refused, read_event
from projections.prices.facts import (
    PRECISION,
    QUOTE_COLUMNS,
    TRADE_COLUMNS,
    Facts,
    at_venue_precision,
)
from streams.events import (
    DecodeError,
    PriceIndex,
    PriceQuote,
    PriceTrade,
)
from streams.events.codec import SPEC_VERSION, TRACE_HEADER
from streams.events.types import (
    EARLIEST_TIME,
    LATEST_AHEAD,
    SYMBOL,
    TRADE_ID,
    UNSIGNED_DECIMAL,
    VENUE,
    plain,
)

#: Below this many records of a type the model's path is quicker than setting up columns.
WORTH_COLUMNS = 64

_TIME = "[1-9][0-9]{15}"  # 2001 to 2286; other times take the model's path
_SEQUENCE = "(?:null|0|[1-9][0-9]{0,17})"
_OPTIONAL_SIZE = f'(?:null|"{UNSIGNED_DECIMAL}")'

_SPEC = ("ce_specversion", SPEC_VERSION)
_TRADE = ("ce_type", PriceTrade.ce_type().encode())
_QUOTE = ("ce_type", PriceQuote.ce_type().encode())

_NO_TRADES = pl.DataFrame(schema=TRADE_COLUMNS)
_NO_QUOTES = pl.DataFrame(schema=QUOTE_COLUMNS)

Located = tuple[Partition, Record]
Row = tuple[Any, ...]


class Columns:
    """The columnar reading of one event type."""

    def __init__(self, pattern: str, schema: dict[str, Any], positive: Sequence[str]) -> None:
        self._pattern = f"^{pattern}$"
        self._schema = schema
        self._canonical = [pl.col(name).str.contains("[1-9]") for name in positive]

    def read(self, located: Sequence[Located]) -> tuple[pl.DataFrame, list[Located]]:
        """A frame of those that are canonical, with partition, offset and append time; the rest."""
        frame = pl.DataFrame(
            {
                "value": _texts([record.value for _, record in located]),
                "appended": pl.Series([record.timestamp for _, record in located], dtype=pl.Int64)
                * 1000,
                "partition": pl.Series([source.partition for source, _ in located], dtype=pl.Int32),
                "offset": pl.Series([record.offset for _, record in located], dtype=pl.Int64),
            }
        )
        shaped = frame["value"].str.contains(self._pattern).fill_null(False)
        lines = "\n".join(frame.filter(shaped)["value"])
        values = (
            pl.read_ndjson(lines.encode(), schema=self._schema)
            if lines
            else pl.DataFrame(schema=self._schema)
        )
        columns = frame.filter(shaped).drop("value").hstack(values)
        sound = columns.select(
            pl.all_horizontal(
                *self._canonical,
                pl.col("time").is_between(EARLIEST_TIME, pl.col("appended") + LATEST_AHEAD),
                pl.col("received") >= EARLIEST_TIME,
            )
        ).to_series()
        if shaped.all() and sound.all():
            return columns, []
        taken = shaped.to_list()
        verdicts = iter(sound.to_list())
        rest = [
            item for item, fits in zip(located, taken, strict=True) if not (fits and next(verdicts))
        ]
        return columns.filter(sound), rest


def _texts(values: list[bytes | None]) -> pl.Series:
    """Values as text; null where there is none, or none in UTF-8."""
    try:
        return pl.Series(values, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


_TRADES = Columns(
    rf'\{{"venue":"{VENUE}","symbol":"{SYMBOL}","trade_id":"{TRADE_ID}"'
    rf',"price":"{UNSIGNED_DECIMAL}","size":"{UNSIGNED_DECIMAL}","side":"(?:buy|sell)"'
    rf',"time":{_TIME},"sequence":{_SEQUENCE},"received":{_TIME}\}}',
    {name: TRADE_COLUMNS[name] for name in PriceTrade.model_fields},
    positive=["price"],
)
_QUOTES = Columns(
    rf'\{{"venue":"{VENUE}","symbol":"{SYMBOL}","bid":"{UNSIGNED_DECIMAL}"'
    rf',"bid_size":{_OPTIONAL_SIZE},"ask":"{UNSIGNED_DECIMAL}","ask_size":{_OPTIONAL_SIZE}'
    rf',"time":{_TIME},"sequence":{_SEQUENCE},"received":{_TIME}\}}',
    {name: QUOTE_COLUMNS[name] for name in PriceQuote.model_fields},
    positive=["bid", "ask"],
)


def read(batches: Sequence[Batch]) -> Decoded[Facts]:
    """The facts of some batches, and the records that hold none."""
    trades, quotes, others = _by_type(batches)
    trade_frames: list[pl.DataFrame] = []
    quote_frames: list[pl.DataFrame] = []
    for columns, located, frames in (
        (_TRADES, trades, trade_frames),
        (_QUOTES, quotes, quote_frames),
    ):
        if len(located) < WORTH_COLUMNS:
            others += located
        else:
            frame, rest = columns.read(located)
            frames.append(at_venue_precision(frame) if columns is _TRADES else frame)
            others += rest
    trade_rows, quote_rows, refused = _by_model(others)
    if trade_rows:
        trade_frames.append(pl.DataFrame(trade_rows, schema=TRADE_COLUMNS, orient="row"))
    if quote_rows:
        quote_frames.append(pl.DataFrame(quote_rows, schema=QUOTE_COLUMNS, orient="row"))
    facts = Facts(
        trades=_joined(trade_frames, _NO_TRADES), quotes=_joined(quote_frames, _NO_QUOTES)
    )
    return Decoded(facts, refused)


def _by_type(batches: Sequence[Batch]) -> tuple[list[Located], list[Located], list[Located]]:
    """Trades and quotes as our producers write their headers, and everything else."""
    trades: list[Located] = []
    quotes: list[Located] = []
    others: list[Located] = []
    for batch in batches:
        source = batch.source
        for record in batch.records:
            headers = record.headers
            into = others
            if len(headers) == 4 or (len(headers) == 5 and headers[4][0] == TRACE_HEADER):
                spec, (name, value), kind, (last, _) = headers[:4]
                if value and spec == _SPEC and name == "ce_id" and last == "ce_source":
                    into = trades if kind == _TRADE else quotes if kind == _QUOTE else others
            into.append((source, record))
    return trades, quotes, others


def _by_model(located: Iterable[Located]) -> tuple[list[Row], list[Row], list[Refused]]:
    trades: list[Row] = []
    quotes: list[Row] = []
    refused: list[Refused] = []
    for source, record in located:
        try:
            event = read_event(record)
            if isinstance(event, PriceQuote):
                quotes.append(_quote_row(event, source, record))
            elif isinstance(event, PriceTrade | PriceIndex):
                trades.append(_trade_row(event, source, record))
        except DecodeError as fault:
            refused.append(Refused(source, record, str(fault)))
    return trades, quotes, refused


def _trade_row(event: PriceTrade | PriceIndex, source: Partition, record: Record) -> Row:
    value: Row
    if isinstance(event, PriceIndex):
        average = None if event.average is None else plain(event.average)
        value = (str(event.time), plain(event.price), None, None, None, average)
    else:
        size = plain(event.size)
        value = (event.trade_id, plain(event.price), size, event.side, event.sequence, None)
    where = (event.received, record.timestamp * 1000, source.partition, record.offset)
    time = event.time - event.time % PRECISION.get(event.venue, 1)
    return (event.venue, event.symbol, time, *value, *where)


def _quote_row(event: PriceQuote, source: Partition, record: Record) -> Row:
    return (
        event.venue,
        event.symbol,
        event.time,
        event.sequence,
        plain(event.bid),
        None if event.bid_size is None else plain(event.bid_size),
        plain(event.ask),
        None if event.ask_size is None else plain(event.ask_size),
        event.received,
        source.partition,
        record.offset,
    )


def _joined(frames: Sequence[pl.DataFrame], none: pl.DataFrame) -> pl.DataFrame:
    """The frames in one, with the columns of `none`, which is the answer to no frames."""
    if not frames:
        return none
    if len(frames) == 1 and frames[0].columns == none.columns:
        return frames[0]
    alike = [
        frame.select(
            name if name in frame.columns else pl.lit(None, dtype).alias(name)
            for name, dtype in none.schema.items()
        )
        for frame in frames
    ]
    return pl.concat(alike)
