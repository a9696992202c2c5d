"""The recorded replies and the official examples about accounts land, and their sums hold.

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

from streams.connectors.kalshi import account_replies
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.frames import frame_events
from streams.embedded.stack import StackInfo
from streams.events import AccountUnparsed, Event
from tests.streams.landing import OwnTopics

REPLIES = "kalshi-starter-code-python-Apache2"
FRAMES = "kalshi-official-spec-3.34.0/ws_examples.jsonl"
#: 2026-11-22, in microseconds.
RECEIVED = 1_795_305_600_000_000
ACCOUNT_FRAMES = {"fill", "user_order", "market_position"}


def delivery(arrival: int) -> Delivery:
    return Delivery("kalshi/prod/main", "native", "samples", arrival, RECEIVED)


def reply(samples: Path, name: str) -> Any:
    return json.loads((samples / REPLIES / f"portfolio_{name}_response.json").read_text())[
        "response"
    ]


def recorded(samples: Path) -> list[Event]:
    """Every recorded reply about the account, as events."""
    return [
        *account_replies.fills(reply(samples, "fills"), delivery(1)),
        *account_replies.orders(reply(samples, "orders"), delivery(2)),
        *account_replies.positions(reply(samples, "positions"), delivery(3)),
        *account_replies.settlements(reply(samples, "settlements"), delivery(4)),
        account_replies.balance(reply(samples, "balance"), delivery(5)),
    ]


def examples(samples: Path) -> list[dict[str, Any]]:
    """The official example frames about accounts."""
    lines = (json.loads(line) for line in (samples / FRAMES).read_text().splitlines())
    payloads = [one["payload"] for one in lines if isinstance(one["payload"], dict)]
    return [one for one in payloads if one.get("type") in ACCOUNT_FRAMES]


async def land(stack: StackInfo, dsn: str, events: Sequence[Event]) -> None:
    assert not any(isinstance(event, AccountUnparsed) for event in events)
    own = OwnTopics("account", stack.brokers, dsn)
    await own.create()
    await own.send(events)
    await asyncio.to_thread(own.project, await own.ends())
    assert query(dsn, "select count(*) from dead_letters") == (0,)


def totals(dsn: str, table: str, *columns: str) -> tuple[Any, ...]:
    """The number of rows and the sum of each column."""
    sums = ", ".join(f"sum({column})" for column in columns)
    return query(dsn, f"select count(*), {sums} from {table}")


def query(dsn: str, text: str) -> tuple[Any, ...]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(text.encode()).fetchone()
    assert row is not None
    return row


def cents(*numbers: int) -> Decimal:
    return Decimal(sum(numbers)).scaleb(-2)


async def test_the_recorded_replies_land_with_their_sums(
    samples: Path, stack: StackInfo, dsn: str
) -> None:
    await land(stack, dsn, recorded(samples))

    fills = reply(samples, "fills")["fills"]
    assert totals(dsn, "fills", "count", "count * yes_price") == (
        len(fills),
        sum(one["count"] for one in fills),
        cents(*(one["count"] * one["yes_price"] for one in fills)),
    )
    orders = reply(samples, "orders")["orders"]
    assert query(
        dsn, "select count(*), sum(fill_count), sum(fees), sum(fill_cost) from orders"
    ) == (
        len(orders),
        sum(one["fill_count"] for one in orders),
        cents(*(one["taker_fees"] + one["maker_fees"] for one in orders)),
        cents(*(one["taker_fill_cost"] + one["maker_fill_cost"] for one in orders)),
    )
    positions = reply(samples, "positions")["market_positions"]
    assert query(
        dsn, "select count(*), sum(position), sum(cost), sum(fees) from venue_positions"
    ) == (
        len(positions),
        sum(one["position"] for one in positions),
        cents(*(one["market_exposure"] for one in positions)),
        cents(*(one["fees_paid"] for one in positions)),
    )
    settlements = reply(samples, "settlements")["settlements"]
    assert query(
        dsn,
        "select count(*), sum(yes_count), sum(no_count), sum(revenue), sum(fee) from settlements",
    ) == (
        len(settlements),
        sum(one["yes_count"] for one in settlements),
        sum(one["no_count"] for one in settlements),
        cents(*(one["revenue"] for one in settlements)),
        sum(Decimal(one["fee_cost"]) for one in settlements),
    )
    assert query(dsn, "select balance, exact from balances") == (
        cents(reply(samples, "balance")["balance"]),
        False,
    )


async def test_the_official_examples_land_with_their_sums(
    samples: Path, stack: StackInfo, dsn: str
) -> None:
    frames = examples(samples)
    assert {frame["type"] for frame in frames} == ACCOUNT_FRAMES
    events = [
        event
        for number, frame in enumerate(frames)
        for event in frame_events(json.dumps(frame).encode(), delivery(number))
    ]
    await land(stack, dsn, events)

    said = {
        kind: [frame["msg"] for frame in frames if frame["type"] == kind] for kind in ACCOUNT_FRAMES
    }
    assert totals(dsn, "fills", "count", "fee") == (
        len(said["fill"]),
        sum(Decimal(one["count_fp"]) for one in said["fill"]),
        sum(Decimal(one["fee_cost"]) for one in said["fill"]),
    )
    assert totals(dsn, "orders", "initial_count", "fees") == (
        len(said["user_order"]),
        sum(Decimal(one["initial_count_fp"]) for one in said["user_order"]),
        sum(
            Decimal(one["taker_fees_dollars"]) + Decimal(one["maker_fees_dollars"])
            for one in said["user_order"]
        ),
    )
    assert totals(dsn, "venue_positions", "position", "realized_pnl") == (
        len(said["market_position"]),
        sum(Decimal(one["position_fp"]) for one in said["market_position"]),
        sum(Decimal(one["realized_pnl_dollars"]) for one in said["market_position"]),
    )
