"""The projection `prices` against the real database: history, seconds, latest, conflicts."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projections.base import Batch
from projections.errors import Fenced
from projections.prices import Prices
from projections.unit import Projector
from streams.events import Event, PriceIndex, PriceQuote, PriceTrade, decode
from tests.projections.logs import NOON, TICKS, LogRecord, claim, cut, empty, log_of, rows, trade
from tests.projections.tallied import opened
from tests.strategies import indexes, quotes, trades

pytestmark = pytest.mark.usefixtures("both_ways")

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SIXTY_DAYS = 60 * 86_400_000_000

#: Each example goes through the database, so there are few, and a failing one is not shrunk.
few = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def micros(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def reset(dsn: str) -> None:
    names = [name for name in Prices.tables if name != "price_months"]
    empty(dsn, *(f"prices_1.{name}" for name in names))


async def project(dsn: str, batches: Iterable[Batch], units: Sequence[int] = ()) -> None:
    """Project records in units of these lengths, by a fresh process."""
    records = [record for batch in batches for record in batch.records]
    projector = Projector(Prices(), dsn)
    start = await claim(projector)
    for unit in cut([r for r in records if r.offset >= start], units):  # type: ignore[misc]
        await projector.commit([unit])
    await projector.close()


def run(dsn: str, events: Iterable[Event], units: Sequence[int] = (), appended: int = NOON) -> None:
    asyncio.run(project(dsn, [log_of(events, appended_ms=appended * 1000)], units))


def tables(dsn: str) -> dict[str, list[Any]]:
    """Everything that the projection wrote, in a comparable order."""
    names = [name for name in Prices.tables if name != "price_months"]
    return {
        name: sorted(
            ({k: str(v) for k, v in row.items()} for row in rows(dsn, name)),
            key=lambda row: sorted(row.items()),
        )
        for name in names
    }


# Exactness


@few
@given(events=st.lists(trades | indexes | quotes, min_size=1, max_size=8))
def test_what_went_in_as_bytes_comes_out_of_the_rows(
    migrated_dsn: str, events: list[PriceTrade | PriceIndex | PriceQuote]
) -> None:
    """bytes → model → row → model, digit for digit, trailing zeros too."""
    reset(migrated_dsn)
    own = [
        event.model_copy(
            update={"symbol": f"S{n}", "time": NOON * 1_000_000 - event.time % SIXTY_DAYS}
        )
        for n, event in enumerate(events)
    ]
    batch = log_of(own, appended_ms=4_000_000_000_000)
    asyncio.run(project(migrated_dsn, [batch]))
    found: dict[str, Any] = {}
    for row in rows(migrated_dsn, "price_history"):
        time = micros(row["time"])
        common = {
            "venue": row["venue"],
            "symbol": row["symbol"],
            "received": micros(row["received"]),
        }
        if row["side"] is None:
            found[row["symbol"]] = PriceIndex(
                **common, price=row["price"], average=row["average"], time=int(row["trade_id"])
            )
        else:
            names = ("trade_id", "price", "size", "side", "sequence")
            found[row["symbol"]] = PriceTrade(**common, time=time, **{n: row[n] for n in names})
        assert (row["topic"], row["partition"]) == TICKS
        assert row["appended"].timestamp() == 4_000_000_000
        assert batch.records[row["offset"]].value is not None
    for row in rows(migrated_dsn, "latest_quote"):
        found[row["symbol"]] = PriceQuote(
            **{**row, "time": micros(row["time"]), "received": micros(row["received"])}
        )
    for record in batch.records:
        event: Any = decode(record.value, record.headers)
        if isinstance(event, PriceTrade) and event.venue == "binance":
            event = event.model_copy(update={"time": event.time // 1000 * 1000})
        assert found[event.symbol].to_json() == event.to_json()


def test_binance_times_are_cut_to_milliseconds_so_that_its_channels_agree(
    migrated_dsn: str,
) -> None:
    fine = NOON * 1_000_000 + 123_456
    coarse = fine // 1000 * 1000
    run(
        migrated_dsn,
        [
            trade(1, venue="binance", time=fine, sequence=None),
            trade(1, venue="binance", time=coarse, sequence=9),
            trade(1, venue="coinbase", time=fine),
        ],
    )
    found = rows(migrated_dsn, "price_history", "venue", "venue, time, sequence")
    assert [(row["venue"], micros(row["time"]), row["sequence"]) for row in found] == [
        ("binance", coarse, 9),
        ("coinbase", fine, 1),
    ]
    assert rows(migrated_dsn, "price_conflicts") == []


# Repeats, splits, conflicts


@st.composite
def contradictions(draw: st.DrawFn) -> list[PriceTrade]:
    """A few trades told several times: again, with a sequence or without, or otherwise."""
    told = draw(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from(["100", "100.0", "101", "99.5"]),
                st.sampled_from(["1", "1.00", "2"]),
                st.sampled_from(["buy", "sell"]),
                st.sampled_from([None, 5, 6]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    return [
        trade(n, price=Decimal(price), size=Decimal(size), side=side, sequence=sequence)
        for n, price, size, side, sequence in told
    ]


def content(event: PriceTrade) -> str:
    """The content hash, computed apart from the database."""
    digits = [
        f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
        for value in (event.price, event.size)
    ]
    return hashlib.sha256("|".join([*digits, event.side]).encode()).hexdigest()


@few
@given(told=contradictions(), shuffled=st.randoms(use_true_random=False))
def test_in_any_order_the_smallest_content_wins_and_the_others_are_conflicts(
    migrated_dsn: str, told: list[PriceTrade], shuffled: random.Random
) -> None:
    for order in (told, shuffled.sample(told, len(told))):
        reset(migrated_dsn)
        run(migrated_dsn, order, [1] * shuffled.randint(0, len(order)))
        held = {}
        for row in rows(migrated_dsn, "price_history"):
            price, size = Decimal(row["price"]), Decimal(row["size"])
            event = trade(int(row["trade_id"]), price=price, size=size, side=row["side"])
            held[row["trade_id"]] = content(event)
        contents: dict[str, set[str]] = {}
        for event in told:
            contents.setdefault(event.trade_id, set()).add(content(event))
        assert held == {name: min(all_) for name, all_ in contents.items()}
        conflicts: dict[str, set[str]] = {}
        for row in rows(migrated_dsn, "price_conflicts"):
            conflicts.setdefault(row["trade_id"], set()).add(row["content"])
        assert conflicts == {
            name: all_ - {min(all_)} for name, all_ in contents.items() if len(all_) > 1
        }


@few
@given(told=contradictions(), units=st.lists(st.integers(1, 6), max_size=12))
def test_any_split_and_any_repetition_gives_the_tables_of_one_unit(
    migrated_dsn: str, told: list[PriceTrade], units: list[int]
) -> None:
    results = []
    for lengths in ([], units, [1] * len(told)):
        reset(migrated_dsn)
        run(migrated_dsn, told, lengths)
        results.append(tables(migrated_dsn))
    assert results[1] == results[0]
    assert results[2] == results[0]
    # All of it once more, as another producer would: only the audit columns could tell.
    run(migrated_dsn, [*told, *told], units)
    assert tables(migrated_dsn)["price_history"] == results[0]["price_history"]
    assert tables(migrated_dsn)["price_seconds"] == results[0]["price_seconds"]


@pytest.mark.parametrize("units", [[], [1, 1, 1]], ids=["one unit", "a unit each"])
@pytest.mark.parametrize("other", ["99", "101"])
def test_a_missing_sequence_is_filled_from_the_other_channel(
    migrated_dsn: str, units: list[int], other: str
) -> None:
    """Also where a contradicting telling stands before or between."""
    contradicting = trade(1, price=Decimal(other), sequence=7)
    lacking, having = trade(1, sequence=None), trade(1, sequence=5)
    results = set()
    for order in (
        [contradicting, lacking, having],
        [lacking, contradicting, having],
        [lacking, having, contradicting],
        [having, lacking, contradicting],
    ):
        reset(migrated_dsn)
        run(migrated_dsn, order, units)
        both = [*rows(migrated_dsn, "price_history"), *rows(migrated_dsn, "price_conflicts")]
        results.add(tuple(sorted((row["price"], row["sequence"]) for row in both)))
    assert results == {tuple(sorted([(other, 7), ("65000.10", 5)]))}


def test_a_sequence_that_is_known_is_never_overwritten(migrated_dsn: str) -> None:
    run(migrated_dsn, [trade(1, sequence=5), trade(1, sequence=6), trade(1, sequence=None)], [1, 1])
    assert [row["sequence"] for row in rows(migrated_dsn, "price_history")] == [5]
    assert rows(migrated_dsn, "price_conflicts") == []


def test_a_trade_told_again_in_its_small_unit_and_in_a_later_one_is_one_row(
    migrated_dsn: str,
) -> None:
    run(migrated_dsn, [trade(1), trade(1), trade(2), trade(1), trade(3)], [3])
    found = rows(migrated_dsn, "price_history", "trade_id")
    assert [row["trade_id"] for row in found] == ["1", "2", "3"]
    assert rows(migrated_dsn, "price_conflicts") == []
    assert rows(migrated_dsn, "dead_letters") == []


async def test_who_was_taken_over_and_repeats_what_the_new_owner_wrote_is_fenced(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows break unique keys as well, but that is no fault in the data."""

    def everything() -> dict[str, Any]:
        others = {name: rows(migrated_dsn, name) for name in ("checkpoints", "dead_letters")}
        return tables(migrated_dsn) | others

    async def pause(*args: Any) -> None:
        pytest.fail("the unit is tried again")

    unit = log_of(trade(n) for n in range(3))
    async with opened(migrated_dsn, Prices()) as old, opened(migrated_dsn, Prices()) as new:
        await claim(old)
        await claim(new)
        await new.commit([unit])
        before = everything()
        monkeypatch.setattr(old, "_pause", pause)
        with pytest.raises(Fenced):
            await old.commit([unit])
    assert everything() == before
    assert len(before["price_history"]) == 3


# Seconds


def seconds_of(told: Sequence[PriceTrade]) -> dict[tuple[str, datetime], dict[str, Any]]:
    """Bars computed one by one, in exchange order."""
    bars: dict[tuple[str, datetime], dict[str, Any]] = {}
    unique = {(event.symbol, event.time, event.trade_id): event for event in told}

    def exchange_order(event: PriceTrade) -> tuple[int, float, bytes]:
        sequence = float("inf") if event.sequence is None else event.sequence
        return event.time, sequence, event.trade_id.encode()

    for event in sorted(unique.values(), key=exchange_order):
        second = EPOCH + timedelta(seconds=event.time // 1_000_000)
        bar = bars.setdefault(
            (event.symbol, second),
            {
                "first_time": EPOCH + event.time * MICROSECOND,
                "first_trade_id": event.trade_id,
                "open": event.price,
                "high": event.price,
                "low": event.price,
                "volume": Decimal(0),
                "trades": 0,
            },
        )
        bar["high"] = max(bar["high"], event.price)
        bar["low"] = min(bar["low"], event.price)
        bar["close"] = event.price
        bar["volume"] += event.size
        bar["trades"] += 1
    return bars


def stored_seconds(dsn: str) -> dict[tuple[str, datetime], dict[str, Any]]:
    numbers = ("open", "high", "low", "close", "volume")
    return {
        (row["symbol"], row["second"]): {
            **{name: Decimal(row[name]) for name in numbers},
            **{name: row[name] for name in ("first_time", "first_trade_id", "trades")},
        }
        for row in rows(dsn, "price_seconds")
    }


@st.composite
def busy_seconds(draw: st.DrawFn) -> list[PriceTrade]:
    offsets = st.sampled_from([0, 1, 500_000, 999_999, 1_000_000, 1_999_999, -1])
    parts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["BTC-USD", "ETH-USD"]),
                offsets,
                st.none() | st.integers(0, 20),
                st.integers(1, 9),
                st.integers(0, 9),
            ),
            min_size=1,
            max_size=25,
        )
    )
    names = ["a", "B", "_", "9", "10", "Z", "z", "-"]
    return [
        trade(
            n,
            symbol=symbol,
            trade_id=f"{names[n % len(names)]}{n}",
            time=NOON * 1_000_000 + offset,
            sequence=sequence,
            price=Decimal(price),
            size=Decimal(size),
        )
        for n, (symbol, offset, sequence, price, size) in enumerate(parts)
    ]


@few
@given(
    told=busy_seconds(),
    shuffled=st.randoms(use_true_random=False),
    units=st.lists(st.integers(1, 9), max_size=5),
)
def test_seconds_are_those_of_an_independent_computation_in_any_order_of_arrival(
    migrated_dsn: str, told: list[PriceTrade], shuffled: random.Random, units: list[int]
) -> None:
    reset(migrated_dsn)
    arrived = shuffled.sample([*told, *told[:3]], len(told) + len(told[:3]))
    run(migrated_dsn, arrived, units)
    assert stored_seconds(migrated_dsn) == seconds_of(told)


def test_a_late_trade_corrects_its_second(migrated_dsn: str) -> None:
    on_time = [trade(500, price=Decimal(10)), trade(600, price=Decimal(12))]
    late = [
        trade(100, price=Decimal(9)),
        trade(900, price=Decimal(30)),
        trade(300, price=Decimal(1)),
    ]
    run(migrated_dsn, [*on_time, *late], [2])
    (bar,) = rows(migrated_dsn, "price_seconds")
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == ("9", "30", "1", "30")
    assert (bar["first_trade_id"], bar["volume"], bar["trades"]) == ("100", "2.50", 5)


def test_an_index_value_is_a_price_without_volume(migrated_dsn: str) -> None:
    time = NOON * 1_000_000
    value = PriceIndex(
        venue="cfbenchmarks",
        symbol="BRTI",
        price=Decimal("65000.50"),
        average=Decimal("64999.0"),
        time=time,
        received=time + 5,
    )
    run(migrated_dsn, [value, value])
    (row,) = rows(migrated_dsn, "price_history")
    assert (row["trade_id"], row["price"], row["average"]) == (str(time), "65000.50", "64999.0")
    assert (row["size"], row["side"], row["sequence"]) == (None, None, None)
    (bar,) = rows(migrated_dsn, "price_seconds")
    assert (bar["open"], bar["volume"], bar["trades"]) == ("65000.50", "0", 1)
    (latest,) = rows(migrated_dsn, "latest_price")
    assert (latest["price"], latest["size"]) == ("65000.50", None)
    (reference,) = rows(migrated_dsn, "reference_price")
    assert (reference["symbol"], reference["venue"]) == ("BRTI", "cfbenchmarks")


def test_minute_bars_follow_from_the_seconds(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            trade(0, price=Decimal(5)),
            trade(30_000, price=Decimal(9)),
            trade(59_999, price=Decimal(7)),
            trade(60_000, price=Decimal(8)),
        ],
    )
    bars = rows(migrated_dsn, "price_bars_1m", "minute", "open, high, low, close, volume, trades")
    assert [tuple(bar.values()) for bar in bars] == [
        ("5", "9", "5", "7", "1.50", 3),
        ("8", "8", "8", "8", "0.50", 1),
    ]


# Latest


@few
@given(
    told=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), min_size=1, max_size=12
    ),
    units=st.lists(st.integers(1, 5), max_size=6),
)
def test_the_latest_price_and_quote_never_go_back(
    migrated_dsn: str, told: list[tuple[int, int | None]], units: list[int]
) -> None:
    reset(migrated_dsn)
    base = NOON * 1_000_000
    events: list[Event] = []
    for n, (time, sequence) in enumerate(told):
        events.append(trade(n, time=base + time, sequence=sequence))
        events.append(
            PriceQuote(
                venue="coinbase",
                symbol="BTC-USD",
                bid=Decimal(n + 1),
                bid_size=None,
                ask=Decimal(n + 2),
                ask_size=None,
                time=base + time,
                sequence=sequence,
                received=base,
            )
        )
    run(migrated_dsn, events, units)

    def newest() -> int:
        best = 0
        for n, (time, sequence) in enumerate(told):
            known = told[best][0], -1 if told[best][1] is None else told[best][1]
            if (time, -1 if sequence is None else sequence) >= known:
                best = n
        return best

    (price,) = rows(migrated_dsn, "latest_price")
    (quote,) = rows(migrated_dsn, "latest_quote")
    assert price["trade_id"] == str(newest())
    assert quote["bid"] == str(newest() + 1)
    assert price["sequence"] == quote["sequence"] == told[newest()][1]


# What the time rule refuses, and what lands beside it


def test_times_out_of_range_are_dead_letters_and_their_neighbours_land(migrated_dsn: str) -> None:
    day = 86_400_000_000
    at_limit = trade(1, time=NOON * 1_000_000 + day)
    beyond = trade(2, time=NOON * 1_000_000 + day + 1)
    oldest = trade(3, time=1_230_768_000_000_000)
    run(migrated_dsn, [trade(0), at_limit, beyond, oldest, trade(4)])
    assert [row["offset"] for row in rows(migrated_dsn, "dead_letters")] == [2]
    assert len(rows(migrated_dsn, "price_history")) == 4


def test_every_kind_of_bad_record_is_a_dead_letter_of_its_own(migrated_dsn: str) -> None:
    batch = log_of(trade(n) for n in range(200))
    good = batch.records[0]
    assert isinstance(good, LogRecord)
    assert good.value is not None

    def with_value(edit: Callable[[bytes], bytes | None]) -> Callable[[LogRecord], LogRecord]:
        return lambda record: replace(record, value=edit(record.value or b""))

    edits: list[Callable[[LogRecord], LogRecord]] = [
        with_value(lambda _: b"not JSON"),
        with_value(lambda _: None),
        with_value(lambda _: b""),
        with_value(lambda value: value.replace(b'"65000.10"', b"65000.10")),
        with_value(lambda value: value.replace(b'"65000.10"', b'"NaN"')),
        with_value(lambda value: value.replace(b'"65000.10"', b'"Infinity"')),
        with_value(lambda value: value.replace(b"coinbase", b"coin\x00base")),
        with_value(lambda value: value.replace(b"coinbase", b"coin\\u0000base")),
        with_value(lambda value: value.replace(b"coinbase", b"coin\xffbase")),
        with_value(lambda value: value + b" " * 10_000_000),
        lambda record: replace(record, headers=record.headers[:2]),
        lambda record: replace(
            record, headers=[*record.headers[:2], ("ce_type", b"price.trade.v9"), record.headers[3]]
        ),
        lambda record: replace(
            record,
            headers=[*record.headers[:2], ("ce_type", b"nobody.knows.v1"), record.headers[3]],
        ),
    ]
    records = list(batch.records)
    bad = [3 + 11 * n for n in range(len(edits))]
    for offset, edit in zip(bad, edits, strict=True):
        record = records[offset]
        assert isinstance(record, LogRecord)
        records[offset] = edit(record)
    asyncio.run(project(migrated_dsn, [Batch(TICKS, records)]))
    letters = rows(migrated_dsn, "dead_letters", '"offset"')
    assert [row["offset"] for row in letters] == bad
    assert all(row["value"] == records[row["offset"]].value for row in letters)
    assert len(rows(migrated_dsn, "price_history")) == 200 - len(bad)
