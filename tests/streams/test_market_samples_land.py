"""The recorded and published messages about markets land, and their sums hold.

The sums are computed twice: from the rows in PostgreSQL, and straight from the files.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from streams.connectors.kalshi import book_frames, index_frames, lifecycle, market_replies
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.embedded.stack import StackInfo
from streams.events import BookDelta, Event, PriceIndex, Unparsed
from tests.streams.landing import OwnTopics

#: 2026-11-22, in microseconds.
RECEIVED = 1_795_305_600_000_000
DELIVERY = Delivery("kalshi/prod/main", "native", "samples", 1, RECEIVED)
EXAMPLES = "kalshi-official-spec-3.34.0/ws_examples.jsonl"
REPLIES = "kalshi-starter-code-python-Apache2"


def reply(samples: Path, name: str) -> Any:
    return json.loads((samples / REPLIES / f"{name}_response.json").read_text())["response"]


def recorded(samples: Path, kind: str) -> list[bytes]:
    return (samples / "ssmd-MIT" / f"kalshi_{kind}.jsonl").read_bytes().splitlines()


def examples(samples: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line)["payload"] for line in (samples / EXAMPLES).read_text().splitlines()]
    return [one for one in lines if isinstance(one, dict) and one.get("type") == kind]


def parsed(frames: Sequence[bytes]) -> list[Event]:
    """The events of frames, each by the parser of a connection of its own (they are excerpts, so
    their numbers have gaps)."""
    connector = KalshiMarketConnector("kalshi/prod/main", None, ("KXBTCD",))
    found = []
    for number, frame in enumerate(frames):
        found += connector.parser(f"c{number}", RECEIVED).parse(frame, RECEIVED)
    return found


async def land(projection: str, stack: StackInfo, dsn: str, events: Sequence[Event]) -> None:
    assert not any(isinstance(event, Unparsed) for event in events)
    own = OwnTopics(projection, stack.brokers, dsn)
    await own.create()
    await own.send(events)
    await asyncio.to_thread(own.project, await own.ends())
    assert query(dsn, "select count(*) from dead_letters") == (0,)


def query(dsn: str, text: str) -> tuple[Any, ...]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(text.encode()).fetchone()
    assert row is not None
    return row


async def test_the_recorded_tickers_and_trades_land(
    samples: Path, stack: StackInfo, dsn: str
) -> None:
    tickers = [json.loads(line)["msg"] for line in recorded(samples, "ticker")]
    trades = [json.loads(line)["msg"] for line in recorded(samples, "trade")]
    await land(
        "market", stack, dsn, parsed([*recorded(samples, "ticker"), *recorded(samples, "trade")])
    )
    last = {one["market_ticker"]: one for one in tickers}
    assert query(dsn, "select count(*), sum(yes_bid), sum(volume) from market_quotes") == (
        len(last),
        Decimal(sum(one["yes_bid"] for one in last.values())).scaleb(-2),
        sum(one["volume"] for one in last.values()),
    )
    assert query(dsn, "select count(*), sum(count), sum(count * yes_price) from market_trades") == (
        len(trades) == 10 and 10,
        sum(one["count"] for one in trades),
        Decimal(sum(one["count"] * one["yes_price"] for one in trades)).scaleb(-2),
    )
    assert query(dsn, "select count(*) from market_trades where taker_side = 'yes'") == (
        sum(one["taker_side"] == "yes" for one in trades),
    )


async def test_the_recorded_replies_about_markets_land(
    samples: Path, stack: StackInfo, dsn: str
) -> None:
    trades, candles = reply(samples, "trades_list"), reply(samples, "series_candlesticks")
    markets = [
        *reply(samples, "markets_list")["markets"],
        reply(samples, "market_single")["market"],
    ]
    await land(
        "market",
        stack,
        dsn,
        [
            *market_replies.trades(trades, DELIVERY),
            *market_replies.candles(candles, 60, DELIVERY),
            *lifecycle.markets(reply(samples, "markets_list"), DELIVERY),
            *lifecycle.markets(reply(samples, "market_single"), DELIVERY),
        ],
    )
    items = {one["trade_id"]: one for one in trades["trades"]}
    assert query(dsn, "select count(*), sum(count) from market_trades") == (
        len(items),
        sum(one["count"] for one in items.values()),
    )
    assert query(
        dsn, 'select count(*), sum(volume), sum(open_interest), min("end") from market_candles'
    )[:3] == (
        90,
        sum(one["volume"] for one in candles["candlesticks"]),
        sum(one["open_interest"] for one in candles["candlesticks"]),
    )
    described = {one["ticker"]: one for one in markets}
    assert query(
        dsn, "select count(*) from markets where status is not null and closes is not null"
    ) == (len(described),)


async def test_the_published_book_and_index_land(samples: Path, stack: StackInfo, dsn: str) -> None:
    [snapshot] = examples(samples, "orderbook_snapshot")
    [delta] = examples(samples, "orderbook_delta")
    change = book_frames.delta(delta, DELIVERY, None, snapshot["seq"])
    assert isinstance(change, BookDelta)
    assert (change.price, change.delta) == (Decimal("0.96"), Decimal(-54))
    await land("market", stack, dsn, [book_frames.snapshot(snapshot, DELIVERY, None, RECEIVED)])
    levels = [*snapshot["msg"]["yes_dollars_fp"], *snapshot["msg"]["no_dollars_fp"]]
    assert query(dsn, "select count(*), sum(size) from market_book") == (
        len(levels),
        sum(Decimal(size) for _, size in levels),
    )


async def test_the_published_index_lands(samples: Path, stack: StackInfo, dsn: str) -> None:
    frames = examples(samples, "cfbenchmarks_value")
    events = [index_frames.index(frame, DELIVERY) for frame in frames]
    assert all(isinstance(event, PriceIndex) for event in events)
    await land("prices", stack, dsn, events)
    assert query(dsn, "select price, average from price_history where venue = 'cfbenchmarks'") == (
        Decimal(json.loads(frames[0]["msg"]["data"])["value"]),
        Decimal(frames[0]["msg"]["avg_60s_data"]["value"]),
    )
