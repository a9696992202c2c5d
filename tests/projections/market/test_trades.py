"""Public trades: one row for each id, the same for any order of arrival."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from projections.base import Batch
from projections.database import connect
from projections.market import Market
from projections.unit import Projector
from streams.events import MarketTrade
from streams.events.types import moment
from tests.projections.logs import rows
from tests.projections.market.projected import (
    START,
    TICKER,
    claimed,
    project,
    reset,
    run,
    told,
    units_of,
)
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

OTHER = "KXBTCD-26NOV1516-T115249.99"
SECOND = 1_000_000


def traded(at: int = 0, **fields: Any) -> MarketTrade:
    """A trade of ten contracts at 0.36, `at` microseconds after noon."""
    values: dict[str, Any] = {"trade_id": "t1", "yes_price": "0.3600", "count": "10.00"}
    trade: MarketTrade = told(MarketTrade, at, **(values | fields))
    return trade


def test_a_trade_is_a_row_and_again_it_is_the_same_row(migrated_dsn: str) -> None:
    trade = traded(1, taker_side="no", is_block=False)
    for lengths in ([], [1], [1, 1]):
        reset(migrated_dsn)
        run(migrated_dsn, [trade, trade, trade], lengths)
        [row] = rows(migrated_dsn, "market_trades")
        assert (row["venue"], row["trade_id"], row["ticker"]) == ("kalshi", "t1", TICKER)
        assert (row["yes_price"], row["count"]) == ("0.3600", "10.00")
        assert (row["taker_side"], row["is_block"]) == ("no", False)
        assert (row["time"], row["received"]) == (moment(START + 1), moment(START + 10))
        assert (row["topic"], row["partition"], row["offset"]) == ("kalshi.market", 0, 0)
    assert rows(migrated_dsn, "market_trade_conflicts") == []


def test_what_one_channel_lacks_comes_from_the_other(migrated_dsn: str) -> None:
    """Of one channel, milliseconds; of the other, microseconds; of an old recording, seconds."""
    channels = [
        traded(0, count="10", received=START + 900),
        traded(123_000, taker_side="yes", received=START + 300),
        traded(123_456, is_block=True, yes_price="0.36", received=START + 700),
    ]
    for order in (channels, channels[::-1]):
        for lengths in ([], [1, 1]):
            reset(migrated_dsn)
            run(migrated_dsn, order, lengths)
            [row] = rows(migrated_dsn, "market_trades")
            assert (row["time"], row["received"]) == (moment(START + 123_456), moment(START + 300))
            assert (row["taker_side"], row["is_block"]) == ("yes", True)
            assert rows(migrated_dsn, "market_trade_conflicts") == []


def test_of_contents_that_differ_the_earlier_stands_and_the_others_are_conflicts(
    migrated_dsn: str,
) -> None:
    early, late = traded(0, count="11"), traded(SECOND)
    for order in ([early, late, late], [late, early, late], [late, late, early]):
        for lengths in ([], [1, 1]):
            reset(migrated_dsn)
            run(migrated_dsn, order, lengths)
            [row] = rows(migrated_dsn, "market_trades")
            assert (row["count"], row["time"]) == ("11", moment(START))
            [conflict] = rows(migrated_dsn, "market_trade_conflicts")
            assert (conflict["count"], conflict["time"]) == ("10.00", moment(START + SECOND))
            assert conflict["offset"] == order.index(late)


def test_ids_of_two_venues_have_nothing_to_do_with_each_other(migrated_dsn: str) -> None:
    run(migrated_dsn, [traded(0), traded(0, venue="kalshi_demo", count="1")])
    assert len(rows(migrated_dsn, "market_trades")) == 2
    assert rows(migrated_dsn, "market_trade_conflicts") == []


@st.composite
def trades(draw: st.DrawFn) -> MarketTrade:
    return traded(
        draw(st.sampled_from([0, 5, SECOND])),
        trade_id=draw(st.sampled_from(["t1", "t2"])),
        ticker=draw(st.sampled_from([TICKER, TICKER, OTHER])),
        yes_price=draw(st.sampled_from(["0.36", "0.3600", "0.37"])),
        count=draw(st.sampled_from(["10", "10.00", "0.0000000001"])),
        taker_side=draw(st.sampled_from(["yes", "no", None])),
        is_block=draw(st.sampled_from([True, False, None])),
        received=START + draw(st.integers(0, 3)),
    )


def settled(told_of: Sequence[MarketTrade]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that stand and those in conflict, written from docs/markets.md."""
    groups: dict[str, dict[tuple[Any, ...], list[MarketTrade]]] = {}
    for one in told_of:
        group = (one.time // SECOND, one.ticker, one.yes_price, one.count)
        groups.setdefault(one.trade_id, {}).setdefault(group, []).append(one)
    standing, conflicts = [], []
    for trade_id, contents in groups.items():
        joined = []
        for (second, ticker, price, count), same in contents.items():
            row = {"trade_id": trade_id, "ticker": ticker, "yes_price": price, "count": count}
            row |= {"time": moment(max(one.time for one in same))}
            row |= {"received": moment(min(one.received for one in same))}
            for name in ("taker_side", "is_block"):
                values = [getattr(one, name) for one in same if getattr(one, name) is not None]
                row[name] = min(values, default=None)
            said = [f"{moment(second * SECOND).isoformat()}", ticker, short(price), short(count)]
            text = json.dumps(said, separators=(",", ":"))
            joined.append((second, hashlib.sha256(text.encode()).hexdigest(), row))
        winner, *others = sorted(joined, key=lambda one: one[:2])
        standing.append(winner[2])
        conflicts += [{**row, "content": digest} for _, digest, row in others]
    return standing, conflicts


def short(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def comparable(found: Sequence[Any]) -> list[list[tuple[str, str]]]:
    """Rows in an order of their own, without the audit columns; decimals by value."""
    audit = {"venue", "topic", "partition", "offset"}
    numbers = {"yes_price", "count"}
    return sorted(
        sorted(
            (name, short(Decimal(value)) if name in numbers else str(value))
            for name, value in row.items()
            if name not in audit
        )
        for row in found
    )


@few
@given(
    told_of=st.lists(trades(), min_size=1, max_size=9),
    units=st.lists(st.integers(1, 4), max_size=6),
    partitions=st.sampled_from([1, 4]),
    data=st.data(),
)
def test_any_order_and_any_repeat_comes_to_the_same_rows(
    migrated_dsn: str,
    told_of: list[MarketTrade],
    units: list[int],
    partitions: int,
    data: st.DataObject,
) -> None:
    standing, conflicts = settled(told_of)
    event("conflicts" if conflicts else "no conflicts")
    again = data.draw(st.lists(st.sampled_from(told_of), max_size=4))
    reset(migrated_dsn)
    run(migrated_dsn, data.draw(st.permutations([*told_of, *again])), units, partitions)
    assert comparable(rows(migrated_dsn, "market_trades")) == comparable(standing)
    assert comparable(rows(migrated_dsn, "market_trade_conflicts")) == comparable(conflicts)


async def test_two_workers_with_one_id_of_two_markets_settle_it_between_them(
    migrated_dsn: str,
) -> None:
    """Their markets are of two partitions; whoever comes second sees the other's row."""
    contents = [traded(0), traded(0, ticker=OTHER)]
    standing, conflicts = settled(contents)
    for _ in range(5):
        reset(migrated_dsn)
        units = [batch for [batch] in units_of(contents, [1, 1], 4)]
        assert len({unit.source for unit in units}) == 2
        projectors = [await claimed(migrated_dsn, [unit.source]) for unit in units]
        await asyncio.gather(*map(commit, projectors, units))
        assert comparable(rows(migrated_dsn, "market_trades")) == comparable(standing)
        assert comparable(rows(migrated_dsn, "market_trade_conflicts")) == comparable(conflicts)
    assert rows(migrated_dsn, "dead_letters") == []


async def commit(projector: Projector, batch: Batch) -> None:
    await projector.commit([batch])
    await projector.close()


async def test_two_units_that_contradict_one_row_settle_it_one_after_the_other(
    migrated_dsn: str,
) -> None:
    """Their markets, and so their locks, are different ones."""
    contents = [traded(0), traded(0, ticker=OTHER), traded(0, ticker=OTHER.lower())]
    await project(migrated_dsn, [[batch] for [batch] in units_of(contents[:1], [])])
    may_commit, wrote = asyncio.Event(), [asyncio.Event(), asyncio.Event()]

    async def write(number: int) -> None:
        [[batch]] = units_of([contents[1 + number]], [])
        batch = replace(batch, source=batch.source._replace(partition=1 + number))
        market = Market()
        settings = {"search_path": "market_1"}
        async with await connect(migrated_dsn, "unit", settings) as connection:
            decoded = await market.prepare(connection, [batch], market.decode([batch]))
            async with connection.transaction():
                await market.write(connection, decoded.facts)
                wrote[number].set()
                await may_commit.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(write(0))
        await wrote[0].wait()
        group.create_task(write(1))
        await asyncio.sleep(0.3)
        assert not wrote[1].is_set(), "it must wait for the first to commit"
        may_commit.set()
    standing, conflicts = settled(contents)
    assert len(conflicts) == 2
    assert comparable(rows(migrated_dsn, "market_trades")) == comparable(standing)
    assert comparable(rows(migrated_dsn, "market_trade_conflicts")) == comparable(conflicts)
