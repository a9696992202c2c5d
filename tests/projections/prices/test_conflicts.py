"""Trades told again, otherwise, in any order and in any split."""

from __future__ import annotations

import hashlib
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.errors import Fenced
from projections.prices import Prices
from streams.events import PriceTrade
from tests.projections.logs import claim, log_of, rows, trade
from tests.projections.prices.projected import reset, run, tables
from tests.projections.tallied import opened
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")


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
