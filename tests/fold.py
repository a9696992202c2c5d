"""What the tables of `prices` must hold, from the log alone: a plain fold, in memory.

It is written from the rules (design.md, sql/projections/prices.sql) in plain Python over the
records as the broker holds them, and shares no code with `projections`: what the two agree on was
thought out twice.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import sql

Row = tuple[Any, ...]
#: The rows of a table and how often each of them is there.
Table = Counter[Row]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY = 86_400_000_000
_FIRST_TIME = 1_230_768_000_000_000
_LAST_TIME = 253_402_300_799_999_999
_LARGEST_VALUE = 1_048_576

_VENUE = re.compile("[a-z][a-z0-9_]{0,31}")
_SYMBOL = re.compile("[A-Z0-9][A-Z0-9._-]{0,47}")
_TRADE_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,10})?")

#: The columns that are compared, in the order of the fold's rows.
COLUMNS: Mapping[str, str] = {
    "price_history": "venue, symbol, time, trade_id, price, size, side, sequence, average,"
    ' received, appended, topic, "partition", "offset"',
    "price_seconds": "venue, symbol, second, first_time, first_trade_id, open, high, low, close,"
    " volume, trades",
    "latest_price": "venue, symbol, time, sequence, trade_id, price, size, side, received",
    "latest_quote": "venue, symbol, time, sequence, bid, bid_size, ask, ask_size, received",
    "price_conflicts": "venue, symbol, time, trade_id, content, price, size, side, sequence,"
    ' average, received, appended, "partition", "offset"',
}


@dataclass(frozen=True)
class LogRecord:
    """A record as the broker holds it; `appended` in milliseconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    appended: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class BadRecordError(Exception):
    """A record that is no event: it belongs to the dead letters."""


@dataclass(frozen=True)
class Trade:
    """A trade or an index value, times in microseconds."""

    venue: str
    symbol: str
    time: int
    trade_id: str
    price: Decimal
    size: Decimal | None
    side: str | None
    sequence: int | None
    average: Decimal | None
    received: int
    record: LogRecord

    @property
    def key(self) -> Row:
        return (self.venue, self.symbol, self.time, self.trade_id)

    @property
    def content(self) -> str:
        size = "-" if self.size is None else _trimmed(self.size)
        text = "|".join([_trimmed(self.price), size, self.side or "-"])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Expected:
    """What must stand in PostgreSQL once the whole log is projected."""

    tables: dict[str, Table] = field(default_factory=dict)
    #: (partition, offset) to the columns of the dead letter.
    dead_letters: Table = field(default_factory=Counter)
    #: partition to the next offset.
    checkpoints: dict[int, int] = field(default_factory=dict)
    months: set[dt.date] = field(default_factory=set)


async def read_log(brokers: str, topic: str) -> list[LogRecord]:
    """Every record of a topic, partition by partition, in offset order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=32 * 1024 * 1024,
        fetch_max_bytes=64 * 1024 * 1024,
    )
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        found = await consumer._client.fetch_all_metadata()
        partitions = sorted(found.partitions_for_topic(topic) or ())
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        records: list[LogRecord] = []
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    records += [
                        LogRecord(
                            r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers
                        )
                        for r in batch
                        if r.offset < ends[TopicPartition(r.topic, r.partition)]
                    ]
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def fold(records: Iterable[LogRecord]) -> Expected:
    """The tables after all of these records, which are in offset order within a partition."""
    expected = Expected()
    trades: list[Trade] = []
    quotes: dict[tuple[str, str], tuple[tuple[int, int], Row]] = {}
    prices: dict[tuple[str, str], tuple[tuple[int, int], Row]] = {}
    for record in records:
        expected.checkpoints[record.partition] = record.offset + 1
        try:
            kind, data = _read(record)
        except BadRecordError:
            expected.dead_letters[_dead_letter(record)] += 1
            continue
        if kind == "quote":
            _keep_newest(quotes, data["venue"], data["symbol"], data["time"], _quote_rest(data))
        elif kind in ("trade", "index"):
            trade = _trade(kind, data, record)
            trades.append(trade)
            _keep_newest(prices, trade.venue, trade.symbol, trade.time, _price_rest(trade))
    history, conflicts = _settled(trades)
    expected.tables = {
        "price_history": Counter(map(_history_row, history)),
        "price_conflicts": Counter(map(_conflict_row, conflicts)),
        "price_seconds": Counter(_seconds(history)),
        "latest_price": Counter(row for _, row in prices.values()),
        "latest_quote": Counter(row for _, row in quotes.values()),
    }
    expected.months = {_when(trade.time).date().replace(day=1) for trade in trades}
    return expected


def differences(expected: Expected, dsn: str, topic: str, limit: int = 5) -> list[str]:
    """How the database differs from what is expected of it; nothing when it is equal."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set timezone to 'UTC'")
        found: dict[str, Table] = {
            name: _rows(connection, f"select {columns} from {name}")
            for name, columns in COLUMNS.items()
        }
        dead = _rows(
            connection,
            'select topic, "partition", "offset", key, headers::text, value, appended'
            " from dead_letters where projection = 'prices'",
        )
        checkpoints: dict[int, int] = dict(
            connection.execute(
                "select partition, next_offset from checkpoints join generations"
                " using (projection, generation)"
                " where is_current and projection = 'prices' and topic = %s",
                [topic],
            ).fetchall()
        )
        months = {m for (m,) in connection.execute("select month from price_months").fetchall()}
        silent = connection.execute("select 1 from dead_letters where error = ''").fetchone()
    wanted = {**expected.tables, "dead_letters": expected.dead_letters}
    found["dead_letters"] = Counter(
        {(*row[:4], _canonical(row[4]), *row[5:]): count for row, count in dead.items()}
    )
    lines = []
    for name, rows in wanted.items():
        lines += [f"{name} lacks {row}" for row in sorted_some(rows - found[name], limit)]
        lines += [f"{name} should not have {row}" for row in sorted_some(found[name] - rows, limit)]
    for partition, offset in expected.checkpoints.items():
        if checkpoints.get(partition) != offset:
            lines.append(f"checkpoint of {partition}: {checkpoints.get(partition)}, not {offset}")
    following = {(month + dt.timedelta(days=32)).replace(day=1) for month in expected.months}
    if not expected.months <= months <= expected.months | following:
        lines.append(f"price_months holds {sorted(months)}, not {sorted(expected.months)}")
    if silent:
        lines.append("a dead letter does not say why")
    return lines


def sorted_some(rows: Table, limit: int) -> list[str]:
    """A few of the rows as text, for a message."""
    return sorted(f"{count} x {row!r:.600}" for row, count in rows.items())[:limit]


def _rows(connection: psycopg.Connection[Any], query: str) -> Table:
    return Counter(connection.execute(sql.SQL(query)).fetchall())


def _read(record: LogRecord) -> tuple[str, dict[str, Any]]:
    attributes = dict(record.headers)
    if attributes.get("ce_specversion") != b"1.0" or not attributes.get("ce_id"):
        raise BadRecordError
    kind = {
        b"price.trade.v1": "trade",
        b"price.quote.v1": "quote",
        b"price.index.v1": "index",
        b"price.gap.v1": "gap",
    }.get(attributes.get("ce_type") or b"")
    if kind is None or not record.value or len(record.value) > _LARGEST_VALUE:
        raise BadRecordError
    try:
        data = json.loads(record.value.decode())
    except (ValueError, RecursionError) as error:
        raise BadRecordError from error
    if not isinstance(data, dict):
        raise BadRecordError
    _text(data, "venue", _VENUE)
    _text(data, "symbol", _SYMBOL)
    _number(data, "received", _FIRST_TIME, _LAST_TIME)
    if kind == "gap":
        return kind, data
    _number(data, "time", _FIRST_TIME, min(_LAST_TIME, record.appended * 1000 + _DAY))
    if kind == "index":
        _decimal(data, "price", positive=True)
        _decimal(data, "average", positive=True, optional=True)
        return kind, data
    if data.get("sequence", "") is not None:
        _number(data, "sequence", 0, 2**63 - 1)
    if kind == "trade":
        _text(data, "trade_id", _TRADE_ID)
        _text(data, "side", re.compile("buy|sell"))
        _decimal(data, "price", positive=True)
        _decimal(data, "size")
    else:
        for side in ("bid", "ask"):
            _decimal(data, side, positive=True)
            _decimal(data, f"{side}_size", optional=True)
    return kind, data


def _text(data: dict[str, Any], name: str, pattern: re.Pattern[str]) -> None:
    if not isinstance(data.get(name), str) or pattern.fullmatch(data[name]) is None:
        raise BadRecordError


def _number(data: dict[str, Any], name: str, least: int, most: int) -> None:
    if type(data.get(name)) is not int or not least <= data[name] <= most:
        raise BadRecordError


def _decimal(
    data: dict[str, Any], name: str, *, positive: bool = False, optional: bool = False
) -> None:
    if optional and name in data and data[name] is None:
        return
    _text(data, name, _DECIMAL)
    data[name] = Decimal(data[name])
    if positive and not data[name]:
        raise BadRecordError


def _trade(kind: str, data: dict[str, Any], record: LogRecord) -> Trade:
    time: int = data["time"]
    if data["venue"] == "binance":
        time -= time % 1000
    if kind == "index":
        own = (str(data["time"]), data["price"], None, None, None, data["average"])
    else:
        own = (
            data["trade_id"],
            data["price"],
            data["size"],
            data["side"],
            data["sequence"],
            None,
        )
    return Trade(data["venue"], data["symbol"], time, *own, data["received"], record)


def _keep_newest(
    newest: dict[tuple[str, str], tuple[tuple[int, int], Row]],
    venue: str,
    symbol: str,
    time: int,
    rest: Row,
) -> None:
    """`rest` begins with the sequence, which counts as -1 where there is none."""
    order = (time, -1 if rest[0] is None else rest[0])
    held = newest.get((venue, symbol))
    if held is None or order >= held[0]:
        newest[venue, symbol] = (order, (venue, symbol, _when(time), *rest))


def _price_rest(t: Trade) -> Row:
    return (t.sequence, t.trade_id, t.price, t.size, t.side, _when(t.received))


def _quote_rest(data: dict[str, Any]) -> Row:
    names = ("sequence", "bid", "bid_size", "ask", "ask_size")
    return (*(data[name] for name in names), _when(data["received"]))


def _settled(trades: Iterable[Trade]) -> tuple[list[Trade], list[Trade]]:
    """One trade of each key, and the contents that contradict it.

    Of equal contents the first stays, and takes what it lacks from the others; of different ones
    the smallest hash wins.
    """
    keys: dict[Row, dict[str, Trade]] = defaultdict(dict)
    for trade in trades:
        contents = keys[trade.key]
        held = contents.setdefault(trade.content, trade)
        if held.sequence is None and trade.sequence is not None:
            contents[trade.content] = Trade(
                **{**vars(held), "sequence": trade.sequence}  # the rest stays the first one's
            )
    history: list[Trade] = []
    conflicts: list[Trade] = []
    for contents in keys.values():
        winner, *others = sorted(contents)
        history.append(contents[winner])
        conflicts += [contents[other] for other in others]
    return history, conflicts


def _seconds(history: Iterable[Trade]) -> list[Row]:
    seconds: dict[tuple[str, str, int], list[Trade]] = defaultdict(list)
    for trade in history:
        seconds[trade.venue, trade.symbol, trade.time // 1_000_000].append(trade)
    rows: list[Row] = []
    for (venue, symbol, second), trades in seconds.items():
        trades.sort(key=lambda t: (t.time, t.sequence is None, t.sequence or 0, t.trade_id))
        first, last = trades[0], trades[-1]
        prices = [trade.price for trade in trades]
        volume = sum((trade.size or Decimal(0) for trade in trades), Decimal(0))
        rows.append(
            (
                venue,
                symbol,
                _when(second * 1_000_000),
                _when(first.time),
                first.trade_id,
                first.price,
                max(prices),
                min(prices),
                last.price,
                volume,
                len(trades),
            )
        )
    return rows


def _history_row(t: Trade) -> Row:
    record = t.record
    what = (t.price, t.size, t.side, t.sequence, t.average, _when(t.received))
    where = (_when(record.appended * 1000), "price.ticks", record.partition, record.offset)
    return (t.venue, t.symbol, _when(t.time), t.trade_id, *what, *where)


def _conflict_row(t: Trade) -> Row:
    record = t.record
    what = (t.content, t.price, t.size, t.side, t.sequence, t.average, _when(t.received))
    where = (_when(record.appended * 1000), record.partition, record.offset)
    return (t.venue, t.symbol, _when(t.time), t.trade_id, *what, *where)


def _dead_letter(record: LogRecord) -> Row:
    headers = [
        {**_readable("name", name.encode()), **_readable("value", value)}
        for name, value in record.headers
    ]
    return (
        record.topic,
        record.partition,
        record.offset,
        record.key,
        _canonical(json.dumps(headers)),
        record.value,
        _when(record.appended * 1000),
    )


def _readable(name: str, raw: bytes | None) -> dict[str, str | None]:
    if raw is None:
        return {name: None}
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {f"{name}_base64": base64.b64encode(raw).decode()}
    return {name: text}


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _trimmed(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _when(micros: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=micros)
