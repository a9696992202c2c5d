"""What went in comes out; what cannot is a dead letter of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.base import Batch
from streams.events import PriceIndex, PriceQuote, PriceTrade, decode
from tests.projections.logs import NOON, TICKS, LogRecord, log_of, rows, trade
from tests.projections.prices.projected import SIXTY_DAYS, micros, project, reset, run
from tests.strategies import few, indexes, quotes, trades

pytestmark = pytest.mark.usefixtures("both_ways")


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
