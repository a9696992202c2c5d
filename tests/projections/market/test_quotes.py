"""The newest quote of each market, against a plain fold in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.base import Connection, Partition
from projections.database import connect
from projections.market import Market
from streams.events import MarketTicker
from streams.events.types import micros_of
from tests.projections.logs import rows, unreadable
from tests.projections.market.projected import (
    START,
    TICKER,
    project,
    quoted,
    reset,
    run,
    units_of,
)
from tests.strategies import decimals, few

pytestmark = pytest.mark.usefixtures("both_ways")

SCHEMA = {"search_path": "market_1"}
PRICES = ("yes_bid", "yes_ask")
TOTALS = ("volume", "open_interest", "dollar_volume", "dollar_open_interest")
FIELDS = (*PRICES, "yes_bid_size", "yes_ask_size", "last_price", "last_size", *TOTALS)


def folded(messages: Iterable[MarketTicker]) -> dict[tuple[str, str], dict[str, Any]]:
    """One message after the other."""
    quotes: dict[tuple[str, str], dict[str, Any]] = {}
    for message in messages:
        quote = quotes.setdefault(
            (message.venue, message.ticker), dict.fromkeys((*FIELDS, "time", "received"))
        )
        if quote["time"] is None or message.time >= quote["time"]:
            quote |= {"time": message.time, "received": message.received}
            quote |= {
                name: getattr(message, name)
                for name in FIELDS
                if getattr(message, name) is not None
            }
        for name in TOTALS:
            delta = getattr(message, f"{name}_delta")
            if delta is not None and getattr(message, name) is None:
                with localcontext(prec=100):
                    quote[name] = delta if quote[name] is None else quote[name] + delta
    for quote in quotes.values():
        quote["no_bid"] = None if quote["yes_ask"] is None else 1 - quote["yes_ask"]
        quote["no_ask"] = None if quote["yes_bid"] is None else 1 - quote["yes_bid"]
    return quotes


def stored(dsn: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for row in rows(dsn, "market_quotes"):
        quote = {name: value for name, value in row.items() if name not in {"venue", "ticker"}}
        quote |= {name: micros_of(row[name]) for name in ("time", "received")}
        found[row["venue"], row["ticker"]] = quote
    return found


def as_text(
    quotes: dict[tuple[str, str], dict[str, Any]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """Decimals as the rows are read, so that trailing zeros count."""
    return {
        key: {
            name: format(value, "f") if isinstance(value, Decimal) else value
            for name, value in quote.items()
        }
        for key, quote in quotes.items()
    }


@st.composite
def messages(draw: st.DrawFn) -> MarketTicker:
    price = st.none() | st.sampled_from(["0", "0.4", "0.45", "0.4500", "1", "0.9999999999"])
    size = st.none() | decimals()
    moved = st.none() | st.sampled_from(["-7.50", "0", "3", "-99999999999999999999.9999999999"])
    values: dict[str, Any] = {name: draw(price) for name in (*PRICES, "last_price")}
    values |= {name: draw(size) for name in FIELDS if name not in values}
    values |= {f"{name}_delta": draw(moved) for name in TOTALS}
    return quoted(
        draw(st.integers(0, 4)),
        venue=draw(st.sampled_from(["kalshi", "kalshi_legacy"])),
        ticker=draw(st.sampled_from([TICKER, "another"])),
        received=START + draw(st.integers(0, 100)),
        **values,
    )


@few
@given(
    told=st.lists(messages(), min_size=1, max_size=20),
    units=st.lists(st.integers(1, 7), max_size=8),
)
def test_quotes_are_those_of_a_plain_fold_however_the_log_is_cut_into_units(
    migrated_dsn: str, told: list[MarketTicker], units: list[int]
) -> None:
    reset(migrated_dsn)
    run(migrated_dsn, told, units)
    assert stored(migrated_dsn) == as_text(folded(told))


def test_quotes_of_many_markets_are_those_of_a_plain_fold(migrated_dsn: str) -> None:
    chance = random.Random(7)

    def price() -> str | None:
        return chance.choice([None, f"0.{chance.randrange(1, 100):02}"])

    told = [
        quoted(
            chance.randrange(n, n + 3),
            ticker=f"KXBTCD-26NOV1516-T{chance.randrange(40)}",
            yes_bid=price(),
            yes_ask=price(),
            last_price=price(),
            volume=chance.choice([None, None, str(chance.randrange(1000))]),
            open_interest_delta=chance.choice([None, str(chance.randrange(-9, 9))]),
        )
        for n in range(600)
    ]
    run(migrated_dsn, told, [1, 200, 30, 1, 100])
    assert stored(migrated_dsn) == as_text(folded(told))


def test_a_message_with_bid_and_ask_alone_leaves_price_and_volume_as_they_were(
    migrated_dsn: str,
) -> None:
    whole = quoted(
        0, yes_bid="0.21", yes_ask="0.23", last_price="0.22", volume="100", last_size="5"
    )
    for lengths in ([1], [2]):
        reset(migrated_dsn)
        run(migrated_dsn, [whole, quoted(1, yes_bid="0.09", yes_ask="0.11")], lengths)
        [quote] = rows(migrated_dsn, "market_quotes")
        assert (quote["yes_bid"], quote["yes_ask"]) == ("0.09", "0.11")
        assert (quote["no_bid"], quote["no_ask"]) == ("0.89", "0.91")
        assert (quote["last_price"], quote["last_size"], quote["volume"]) == ("0.22", "5", "100")


async def test_two_identical_messages_with_deltas_are_two_facts_but_one_record_is_one(
    migrated_dsn: str,
) -> None:
    deltas = {"volume_delta": "100", "open_interest_delta": "-74", "dollar_volume_delta": "50"}
    frame = quoted(0, last_price="0.23", **deltas)
    once = units_of([frame], [])
    await project(migrated_dsn, once)
    await project(migrated_dsn, once)
    [quote] = stored(migrated_dsn).values()
    assert (quote["volume"], quote["open_interest"]) == ("100", "-74")
    await project(migrated_dsn, units_of([frame, frame, frame], [1]))
    [quote] = stored(migrated_dsn).values()
    assert (quote["volume"], quote["open_interest"]) == ("300", "-222")
    assert (quote["dollar_volume"], quote["dollar_open_interest"]) == ("150", None)


def test_an_older_message_changes_nothing_but_what_its_deltas_add(migrated_dsn: str) -> None:
    newest = quoted(5, yes_bid="0.50", volume="1000", open_interest="40")
    older = quoted(4, yes_bid="0.10", yes_ask="0.90", volume="7", open_interest_delta="2")
    for lengths in ([1], [2]):
        reset(migrated_dsn)
        run(migrated_dsn, [newest, older], lengths)
        [quote] = stored(migrated_dsn).values()
        assert (quote["yes_bid"], quote["yes_ask"], quote["volume"]) == ("0.50", None, "1000")
        assert (quote["open_interest"], quote["time"]) == ("42", START + 5)


def test_a_total_replaces_what_the_deltas_came_to(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            quoted(0, volume_delta="100"),
            quoted(1, volume="33896.00"),
            quoted(2, volume_delta="4"),
            quoted(3, volume="33900", volume_delta="4"),
        ],
        [1, 1, 1],
    )
    assert stored(migrated_dsn)["kalshi", TICKER]["volume"] == "33900"


def test_a_unit_that_is_partly_older_than_the_row_counts_from_where_it_is_not(
    migrated_dsn: str,
) -> None:
    run(
        migrated_dsn,
        [
            quoted(5, yes_bid="0.50", last_price="0.51"),
            quoted(4, yes_bid="0.40", last_price="0.41"),
            quoted(6, yes_bid="0.60"),
        ],
        [1],
    )
    quote = stored(migrated_dsn)["kalshi", TICKER]
    assert (quote["yes_bid"], quote["last_price"]) == ("0.60", "0.51")


async def test_a_message_that_cannot_be_read_is_a_dead_letter_and_the_others_count(
    migrated_dsn: str,
) -> None:
    [[batch]] = units_of([quoted(n, volume_delta="1") for n in range(5)], [])
    records: list[Any] = list(batch.records)
    records[2] = unreadable(records[2])
    await project(migrated_dsn, [[replace(batch, records=records)]])
    [letter] = rows(migrated_dsn, "dead_letters")
    assert (letter["topic"], letter["offset"]) == ("kalshi.market", 2)
    assert stored(migrated_dsn)["kalshi", TICKER]["volume"] == "4"


async def test_two_units_at_once_do_not_forget_each_others_deltas(migrated_dsn: str) -> None:
    """As where two clients partition keys differently."""

    async def write(connection: Connection, go: asyncio.Event, wrote: asyncio.Event) -> None:
        [[batch]] = units_of([quoted(0, volume_delta="1")], [])
        batch = replace(batch, source=Partition(batch.source.topic, int(connection is second)))
        market = Market()
        decoded = await market.prepare(connection, [batch], market.decode([batch]))
        async with connection.transaction():
            await market.write(connection, decoded.facts)
            wrote.set()
            await go.wait()

    first, second = [await connect(migrated_dsn, "unit", SCHEMA) for _ in range(2)]
    first_may_commit, second_may_commit = asyncio.Event(), asyncio.Event()
    first_wrote, second_wrote = asyncio.Event(), asyncio.Event()
    second_may_commit.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(write(first, first_may_commit, first_wrote))
        await first_wrote.wait()
        group.create_task(write(second, second_may_commit, second_wrote))
        await asyncio.sleep(0.3)
        assert not second_wrote.is_set(), "it must wait for the first to commit"
        first_may_commit.set()
    await first.close()
    await second.close()
    assert stored(migrated_dsn)["kalshi", TICKER]["volume"] == "2"
