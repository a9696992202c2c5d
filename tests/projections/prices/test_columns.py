"""The columnar reading accepts exactly what the model accepts: its licence to skip the model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from projections.base import Batch, Partition
from projections.prices import columns
from streams.events import (
    DecodeError,
    Event,
    PriceIndex,
    PriceQuote,
    PriceTrade,
    Unparsed,
    decode,
)
from streams.events.types import EARLIEST_TIME, LAST_TIME
from tests.projections.logs import NOON, TICKS, LogRecord, record_of, trade
from tests.strategies import USUAL_TIMES, events

Row = dict[str, Any]
Read = tuple[list[Row], list[Row], list[tuple[Partition, int, str]]]

DAY_US = 86_400_000_000
NOON_MS = NOON * 1000
LATEST = NOON_MS * 1000 + DAY_US

QUOTE = PriceQuote(
    venue="binance",
    symbol="BTC-USDT",
    bid=Decimal("64999.90"),
    bid_size=None,
    ask=Decimal("65000.1"),
    ask_size=Decimal("0.00"),
    time=NOON * 1_000_000 + 123_456,
    sequence=7,
    received=NOON * 1_000_000 + 123_999,
)

#: JSON values, right, wrong and nearly right, to stand where another one stood.
FRAGMENTS = [
    *("null", "true", "false", "[]", "{}", '""', '"x"', '"null"', '" "', '"\\u0000"', '"\\u0041"'),
    *('"65000"', '"65000.0"', '"65000.10"', '"0"', '"0.0"', '"0.0000000000"', '"0.00000000000"'),
    *('"0.0000000001"', '"00"', '"01"', '"1."', '".5"', '"-1"', '"+1"', '"-0"', '"1e5"', '"1E5"'),
    *('"1_000"', '"1,5"', '" 1"', '"1 "', '"1\\n"', '"NaN"', '"Infinity"', '"-inf"', '"0x10"'),
    *(
        '"\u0661"',
        '"\uff11"',
        '"²"',
        f'"{"9" * 19}"',
        f'"{"9" * 20}"',
        f'"{"9" * 21}"',
        f'"0{"9" * 19}"',
    ),
    *(f'"{"9" * 20}.{"9" * 10}"', f'"{"9" * 20}.{"9" * 11}"', f'"1.{"0" * 10}"', f'"1.{"0" * 11}"'),
    *("0", "-0", "1", "-1", "01", "+1", "1.0", "1.5", "1e3", "1E3", "1.", ".5", "NaN", "Infinity"),
    *("9" * 15, "9" * 16, "9" * 17, "9" * 18, "9" * 19, "9" * 20, "9" * 40, "1" + "0" * 18),
    *(str(2**63 - 1), str(2**63), str(2**64), str(-(2**63)), str(2**31), f"{2**53 + 1}"),
    *(f"{EARLIEST_TIME}", f"{EARLIEST_TIME - 1}", f"{LAST_TIME}", f"{LAST_TIME + 1}"),
    *(f"{LATEST}", f"{LATEST + 1}", f"{LATEST - 1}", f"{LATEST}.0", f'"{LATEST}"', f"{LATEST}e0"),
    *("1000000000000000", "999999999999999", "9999999999999999", "10000000000000000"),
    *('"buy"', '"sell"', '"BUY"', '"buy "', '"b\\u0075y"', '"hold"', '"btc-usd"', '"BTC-USD\\n"'),
    *('"BTC-USD"', f'"{"A" * 48}"', f'"{"A" * 49}"', '"-BTC"', '"BTC/USD"', '"\uff22TC"', '"1E5"'),
    *('"coinbase"', '"binance"', '"Coinbase"', f'"{"a" * 32}"', f'"{"a" * 33}"', '"1a"', '"é"'),
    *(f'"{"t" * 64}"', f'"{"t" * 65}"', '"2024-01-01"', '"\\\\N"', '"\\\\."', '"a\\"b"', '"a,b"'),
]

#: Bytes to put at any place of a value.
BYTES = [
    *(b" ", b"\n", b"\r", b"\t", b"\x00", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(b'"', b"\\", b",", b":", b"{", b"}", b"[", b"0", b"1", b"9", b"-", b".", b"e", b"A", b"z"),
    *(b"\\u0041", b"\\n", b"/**/", b'"x":1,', b"null", b"\xd9\xa1", b"\xed\xa0\x80"),
]

SPEC, ID = ("ce_specversion", b"1.0"), ("ce_id", b"an id")
SOURCE = ("ce_source", b"/venues/coinbase")
TRADE, QUOTED = ("ce_type", b"price.trade.v1"), ("ce_type", b"price.quote.v1")
Headers = Sequence[tuple[str, bytes | None]]
HEADERS: list[Headers] = [
    *([], [SPEC], [SPEC, ID, TRADE], [SPEC, ID, TRADE, SOURCE], (SPEC, ID, TRADE, SOURCE)),
    *([SOURCE, TRADE, ID, SPEC], [SPEC, TRADE, ID, SOURCE], [SPEC, ID, SOURCE, TRADE]),
    # The last one of a repeated header counts, for the columns too.
    *([SPEC, ID, TRADE, QUOTED], [SPEC, ID, TRADE, ("ce_type", b"price.index.v1")]),
    *([SPEC, ID, TRADE, ("ce_id", b"")], [SPEC, ID, TRADE, ("ce_id", None)]),
    *([SPEC, ID, TRADE, ("ce_specversion", b"0.3")], [SPEC, ID, TRADE, ("ce_type", None)]),
    *([SPEC, ID, QUOTED, TRADE], [SPEC, ID, TRADE, SOURCE, QUOTED], [SPEC, ID, TRADE, SOURCE, ID]),
    *(
        [SPEC, ID, TRADE, TRADE],
        [SPEC, ID, TRADE, ("ce_time", b"2026")],
        [SPEC, ID, TRADE, ("", b"")],
    ),
    *([SPEC, ("ce_id", b""), TRADE, SOURCE], [SPEC, ("ce_id", None), TRADE, SOURCE]),
    *([SPEC, ("id", b"1"), TRADE, SOURCE], [("ce_specversion", b"1.1"), ID, TRADE, SOURCE]),
    *([("ce_specversion", None), ID, TRADE, SOURCE], [SPEC, ("ce_id", b"\xff"), TRADE, SOURCE]),
    *([SPEC, ID, ("ce_type", b"price.trade.v2"), SOURCE], [SPEC, ID, ("ce_type", b""), SOURCE]),
    *([SPEC, ID, ("ce_type", b"\xff"), SOURCE], [SPEC, ID, ("ce_type", b"price.trade"), SOURCE]),
    *([SPEC, ID, ("CE_TYPE", TRADE[1]), SOURCE], [SPEC, ID, TRADE, ("ce_source", None)]),
]


def text(value: object) -> str | None:
    return None if value is None else format(value, "f")


def cut_time(event: PriceTrade | PriceIndex | PriceQuote) -> int:
    return event.time // 1000 * 1000 if event.venue == "binance" else event.time


def row_of(event: PriceTrade | PriceIndex | PriceQuote, source: Partition, at: LogRecord) -> Row:
    """What `price_history` or `latest_quote` is to hold of an event, written down once more."""
    row: Row = {
        "venue": event.venue,
        "symbol": event.symbol,
        "received": event.received,
        "partition": source.partition,
        "offset": at.offset,
    }
    if isinstance(event, PriceQuote):
        return row | {
            "time": event.time,
            "sequence": event.sequence,
            **{name: text(getattr(event, name)) for name in ("bid", "bid_size", "ask", "ask_size")},
        }
    trade_only = isinstance(event, PriceTrade)
    return row | {
        "time": cut_time(event),
        "appended": at.timestamp * 1000,
        "price": text(event.price),
        "trade_id": event.trade_id if isinstance(event, PriceTrade) else str(event.time),
        "size": text(event.size) if isinstance(event, PriceTrade) else None,
        "side": event.side if isinstance(event, PriceTrade) else None,
        "sequence": event.sequence if isinstance(event, PriceTrade) else None,
        "average": None if trade_only else text(getattr(event, "average", None)),
    }


def latest(record: LogRecord) -> int:
    """The latest time that what the record tells can have happened."""
    return record.timestamp * 1000 + DAY_US


def read_one_by_one(batches: Sequence[Batch]) -> Read:
    """The reference: a plain loop over the codec, and the rule of event times."""
    trades: list[Row] = []
    quotes: list[Row] = []
    refused = []
    for batch in batches:
        for record in batch.records:
            assert isinstance(record, LogRecord)
            try:
                event: Event = decode(record.value, record.headers)
            except DecodeError as error:
                refused.append((batch.source, record.offset, str(error)))
                continue
            happened = event.model_dump(include={"time", "created", "updated", "finalized"})
            if isinstance(event, Unparsed):
                refused.append((batch.source, record.offset, event.error))
            elif any(time and time > latest(record) for time in happened.values()):
                refused.append((batch.source, record.offset, "more than a day after"))
            elif isinstance(event, PriceTrade | PriceQuote | PriceIndex):
                into = quotes if isinstance(event, PriceQuote) else trades
                into.append(row_of(event, batch.source, record))
    return trades, quotes, refused


def same(batches: Sequence[Batch]) -> None:
    """Both readings give the same facts and refuse the same records, with the same reasons."""
    trades, quotes, refused = read_one_by_one(batches)
    read = columns.read(batches)

    def place(row: Row) -> tuple[int, int]:
        return row["partition"], row["offset"]

    assert sorted(read.facts.trades.to_dicts(), key=place) == sorted(trades, key=place)
    assert sorted(read.facts.quotes.to_dicts(), key=place) == sorted(quotes, key=place)
    found = sorted((item.source, item.record.offset, item.error) for item in read.refused)
    assert [item[:2] for item in found] == sorted(item[:2] for item in refused)
    for (_, _, said), (_, _, wanted) in zip(found, sorted(refused), strict=True):
        assert wanted in said


def batches_of(records: Sequence[LogRecord], partitions: int = 1) -> list[Batch]:
    """The records dealt out over partitions, each numbered from zero."""
    dealt = [records[at::partitions] for at in range(partitions)]
    return [
        Batch(
            Partition(TICKS.topic, at),
            [LogRecord(n, r.timestamp, r.key, r.value, r.headers) for n, r in enumerate(part)],
        )
        for at, part in enumerate(dealt)
        if part
    ]


def spans_of_fields(value: bytes) -> list[tuple[int, int]]:
    """Where the values of the fields stand in the JSON of an event."""
    return [match.span(1) for match in re.finditer(rb'":("[^"]*"|[^",}]+)', value)]


@st.composite
def mutated(draw: st.DrawFn, value: bytes) -> bytes | None:  # noqa: PLR0911
    """The JSON of an event, changed a little, or more than a little."""
    fields = json.loads(value)
    names = list(fields)
    kind = draw(
        st.sampled_from(["field", "bytes", "cut", "order", "space", "twice", "escape", "other"])
    )
    if kind == "field":
        start, end = draw(st.sampled_from(spans_of_fields(value)))
        return value[:start] + draw(st.sampled_from(FRAGMENTS)).encode() + value[end:]
    if kind == "bytes":
        at = draw(st.integers(0, len(value)))
        end = at + draw(st.integers(0, 2))
        return value[:at] + draw(st.sampled_from(BYTES)) + value[end:]
    if kind == "cut":
        return value[: draw(st.integers(0, len(value)))]
    if kind == "order":
        order = draw(st.permutations(names))
        return json.dumps({name: fields[name] for name in order}, separators=(",", ":")).encode()
    if kind == "space":
        return json.dumps(fields, indent=draw(st.sampled_from([None, 0, 2]))).encode()
    if kind == "twice":
        name = draw(st.sampled_from([*names, "unknown"]))
        other = f'"{name}":{draw(st.sampled_from(FRAGMENTS))}'.encode()
        return draw(
            st.sampled_from([value[:-1] + b"," + other + b"}", b"{" + other + b"," + value[1:]])
        )
    if kind == "escape":
        at = draw(st.integers(0, len(value) - 1))
        return value[:at] + f"\\u{value[at]:04x}".encode() + value[at + 1 :]
    return draw(
        st.sampled_from(
            [None, b"", b"[" + value + b"]", value + value, value + b"\n", value * 9000]
        )
    )


@st.composite
def log_records(draw: st.DrawFn) -> LogRecord:
    event = draw(events)
    if hasattr(event, "time") and draw(st.booleans()):
        event = event.model_copy(update={"time": draw(USUAL_TIMES)})
    appended = draw(
        st.sampled_from([NOON_MS, 4_000_000_000_000, (getattr(event, "time", 0) - DAY_US) // 1000])
    )
    record = record_of(event, 0, max(appended, 0))
    value, headers = record.value, record.headers
    if value is not None and draw(st.booleans()):
        value = draw(mutated(value))
    if draw(st.integers(0, 4)) == 0:
        headers = draw(st.sampled_from(HEADERS))
    return LogRecord(0, record.timestamp, record.key, value, headers)


@pytest.fixture(params=[1, columns.WORTH_COLUMNS], ids=["always columns", "by number"])
def worth_columns(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "WORTH_COLUMNS", request.param)
        yield


@pytest.mark.usefixtures("worth_columns")
@settings(max_examples=150, deadline=None)
@given(records=st.lists(log_records(), max_size=24), partitions=st.integers(1, 3))
@example(records=[], partitions=1)
def test_any_records_are_read_as_the_model_reads_them(
    records: list[LogRecord], partitions: int
) -> None:
    same(batches_of(records, partitions))


VALUES = {"trade": (record_of(trade(5), 0), TRADE), "quote": (record_of(QUOTE, 0), QUOTED)}


def all_at_once(kind: str, values: Sequence[bytes | None]) -> None:
    record, _ = VALUES[kind]
    same(batches_of([LogRecord(0, NOON_MS, b"k", value, record.headers) for value in values], 2))


@pytest.mark.parametrize("kind", VALUES)
def test_any_fragment_in_any_field_is_read_as_the_model_reads_it(kind: str) -> None:
    value = VALUES[kind][0].value or b""
    all_at_once(
        kind,
        [
            value[:start] + fragment.encode() + value[end:]
            for start, end in spans_of_fields(value)
            for fragment in FRAGMENTS
        ],
    )


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_any_bytes_in_any_place_are_read_as_the_model_reads_them(kind: str, replaced: int) -> None:
    value = VALUES[kind][0].value or b""
    all_at_once(
        kind,
        [
            value[:at] + inserted + value[at + replaced :]
            for at in range(len(value) + 1)
            for inserted in (*BYTES, b"")
        ],
    )


@pytest.mark.usefixtures("worth_columns")
@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("kind", VALUES)
def test_any_headers_are_read_as_the_model_reads_them(kind: str, headers: Headers) -> None:
    record, _ = VALUES[kind]
    same(batches_of([LogRecord(0, NOON_MS, b"k", record.value, headers)] * 3))


@pytest.mark.parametrize("kind", VALUES)
def test_what_a_producer_writes_goes_through_columns_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_nothing(value: object, headers: object) -> Event:
        raise AssertionError("went through the model")

    monkeypatch.setattr(columns, "read_event", decode_nothing)
    record = VALUES[kind][0]
    facts = columns.read(batches_of([record] * 200)).facts
    assert facts.trades.height + facts.quotes.height == 200
