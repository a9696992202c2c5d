"""Every recorded or published message about accounts and markets gives what its file holds.

The sums are found twice: by our converters, and from the files in whole cents, which knows nothing
of them.
"""

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from streams.connectors.kalshi import account_replies, lifecycle
from streams.connectors.kalshi.frames import frame_events
from streams.connectors.values import FrameError
from streams.events import (
    Balance,
    Event,
    Fill,
    MarketDescribed,
    MarketTicker,
    Order,
    Position,
    Settlement,
    decode,
    encode,
)

from .said import DELIVERY, response

ORDER_REPLIES = {
    "portfolio_orders": 5,
    "portfolio_order_single": 1,
    "create_order": 1,
    "amend_order": 2,
    "decrease_order": 1,
    "cancel_order": 1,
    "batch_create_orders": 2,
    "batch_cancel_orders": 2,
}
MARKET_REPLIES = {"market_single": 1, "markets_list": 5, "event_single": 1}


def dollars(cents: Iterable[int]) -> Fraction:
    return Fraction(sum(cents), 100)


def added(amounts: Iterable[Decimal | None]) -> Fraction:
    return sum((Fraction(amount) for amount in amounts if amount is not None), Fraction(0))


def published(samples: Path) -> list[dict[str, Any]]:
    lines = (samples / "kalshi-official-spec-3.34.0" / "ws_examples.jsonl").read_text().splitlines()
    payloads = [json.loads(line)["payload"] for line in lines]
    return [payload for payload in payloads if isinstance(payload, dict) and "type" in payload]


def test_every_published_frame_is_read(samples: Path) -> None:
    found = Counter(
        (payload["type"], event.ce_type())
        for payload in published(samples)
        for event in frame_events(json.dumps(payload).encode(), DELIVERY)
    )
    assert found == {
        ("ticker", "market.ticker.v1"): 1,
        ("fill", "account.fill.v1"): 1,
        ("user_order", "account.order.v1"): 1,
        ("market_position", "account.position.v1"): 1,
        ("market_lifecycle_v2", "lifecycle.described.v1"): 4,
        ("multivariate_market_lifecycle", "lifecycle.described.v1"): 1,
    }


def test_the_published_private_frames_say_what_they_say(samples: Path) -> None:
    said = {
        event.ce_type(): event
        for payload in published(samples)
        for event in frame_events(json.dumps(payload).encode(), DELIVERY)
    }
    fill, order = said["account.fill.v1"], said["account.order.v1"]
    position = said["account.position.v1"]
    assert isinstance(fill, Fill)
    assert (fill.account, fill.side, fill.count) == ("kalshi/prod/main/3", "yes", Decimal(278))
    assert (fill.yes_price, fill.fee, fill.post_position) == (
        Decimal("0.75"),
        Decimal("0.01"),
        Decimal(500),
    )
    assert fill.time == 1_671_899_397_000_000
    assert isinstance(order, Order)
    assert (order.updated, order.fill_cost, order.fees) == (None, Decimal(0), Decimal(0))
    assert (order.created, order.expires) == (1_733_047_200_000_000, 1_733_050_800_000_000)
    assert isinstance(position, Position)
    amounts = (position.position, position.cost, position.fees)
    assert amounts == (Decimal(100), Decimal(50), Decimal(1))
    assert position.time == 1_669_149_841_234_000


def test_the_recorded_tickers_add_up(samples: Path) -> None:
    lines = (samples / "ssmd-MIT" / "kalshi_ticker.jsonl").read_bytes().splitlines()
    events = [event for line in lines for event in frame_events(line, DELIVERY)]
    raw = [json.loads(line)["msg"] for line in lines]
    tickers = [event for event in events if isinstance(event, MarketTicker)]
    assert len(tickers) == len(events) == len(lines) == 10
    assert added(event.yes_bid for event in tickers) == dollars(msg["yes_bid"] for msg in raw)
    assert added(event.yes_ask for event in tickers) == dollars(msg["yes_ask"] for msg in raw)
    assert added(event.last_price for event in tickers) == dollars(msg["price"] for msg in raw)
    assert added(event.volume for event in tickers) == sum(msg["volume"] for msg in raw)
    assert added(event.dollar_volume for event in tickers) == sum(
        msg["dollar_volume"] for msg in raw
    )
    never_traded = [event.last_price for event in tickers].count(None)
    assert never_traded == [msg["price"] for msg in raw].count(0) == 3


def test_the_recorded_fills_add_up(samples: Path) -> None:
    reply = response(samples, "portfolio_fills")
    fills = [event for event in account_replies.fills(reply, DELIVERY) if isinstance(event, Fill)]
    raw = reply["fills"]
    assert len(fills) == len(raw) == 5
    assert added(fill.count for fill in fills) == sum(item["count"] for item in raw) == 82
    spent = sum(Fraction(fill.count) * Fraction(fill.yes_price) for fill in fills)
    assert spent == dollars(item["count"] * item["yes_price"] for item in raw)
    assert [fill.time // 1_000_000 for fill in fills] == [item["ts"] for item in raw]
    assert {fill.side for fill in fills} == {"yes"}


@pytest.mark.parametrize("name", ORDER_REPLIES)
def test_the_recorded_orders_add_up(samples: Path, name: str) -> None:
    reply = response(samples, name)
    events = account_replies.orders(reply, DELIVERY)
    orders = [event for event in events if isinstance(event, Order)]
    raw = [item.get("order", item) for item in reply.get("orders", [])]
    raw += [reply[key] for key in ("old_order", "order") if key in reply]
    assert len(orders) == len(events) == len(raw) == ORDER_REPLIES[name]
    for field in ("initial_count", "fill_count", "remaining_count"):
        assert added(getattr(order, field) for order in orders) == sum(item[field] for item in raw)
    assert added(order.fill_cost for order in orders) == dollars(
        item["taker_fill_cost"] + item["maker_fill_cost"] for item in raw
    )
    assert added(order.fees for order in orders) == dollars(
        item["taker_fees"] + item["maker_fees"] for item in raw
    )
    assert [order.status for order in orders] == [item["status"] for item in raw]
    assert [order.kind for order in orders] == [item["type"] for item in raw]


def test_the_recorded_sale_of_no_acquires_yes(samples: Path) -> None:
    reply = response(samples, "portfolio_orders")
    sold = [item["order_id"] for item in reply["orders"] if item["action"] == "sell"]
    events = account_replies.orders(reply, DELIVERY)
    orders = {event.order_id: event for event in events if isinstance(event, Order)}
    assert [(orders[name].side, orders[name].yes_price) for name in sold] == [
        ("yes", Decimal("0.97"))
    ]


def test_the_recorded_positions_add_up(samples: Path) -> None:
    reply = response(samples, "portfolio_positions")
    events = account_replies.positions(reply, DELIVERY)
    positions = [event for event in events if isinstance(event, Position)]
    raw = reply["market_positions"]
    assert len(positions) == len(events) == len(raw) == 12
    assert added(event.position for event in positions) == sum(item["position"] for item in raw)
    assert added(event.cost for event in positions) == dollars(
        item["market_exposure"] for item in raw
    )
    assert added(event.fees for event in positions) == dollars(item["fees_paid"] for item in raw)
    short = next(item for item in raw if item["last_updated_ts"] == "2026-01-08T03:32:45.38896Z")
    times = {event.ticker: event.time for event in positions}
    assert times[short["ticker"]] == 1_767_843_165_388_960


def test_the_recorded_settlement_ignores_a_value_beside_a_result(samples: Path) -> None:
    reply = response(samples, "portfolio_settlements")
    [settlement] = account_replies.settlements(reply, DELIVERY)
    [raw] = reply["settlements"]
    assert isinstance(settlement, Settlement)
    assert (settlement.result, settlement.value, raw["value"]) == ("yes", Decimal(1), 4559)
    assert (settlement.yes_count, settlement.no_count) == (Decimal(37), Decimal(37))
    assert added([settlement.revenue]) == dollars([raw["revenue"]])
    assert added([settlement.yes_cost, settlement.no_cost]) == dollars(
        [raw["yes_total_cost"], raw["no_total_cost"]]
    )
    assert settlement.fee == Decimal("0.73")


def test_the_recorded_balance_is_in_cents(samples: Path) -> None:
    balance = account_replies.balance(response(samples, "portfolio_balance"), DELIVERY)
    assert isinstance(balance, Balance)
    assert (balance.balance, balance.portfolio_value) == (Decimal(100), Decimal(250))
    assert not balance.exact
    assert balance.time == 1_768_231_443_000_000


def test_the_recorded_refusal_is_no_empty_reply(samples: Path) -> None:
    refusal = response(samples, "portfolio_total_resting_order_value")
    with pytest.raises(FrameError):
        account_replies.balance(refusal, DELIVERY)


@pytest.mark.parametrize("name", MARKET_REPLIES)
def test_the_recorded_markets_are_described(samples: Path, name: str) -> None:
    reply = response(samples, name)
    events = lifecycle.markets(reply, DELIVERY)
    raw = [reply["market"]] if "market" in reply else reply["markets"]
    described = [event for event in events if isinstance(event, MarketDescribed)]
    assert len(described) == len(events) == len(raw) == MARKET_REPLIES[name]
    assert [event.ticker for event in described] == [item["ticker"] for item in raw]
    assert [event.status for event in described] == [item["status"] for item in raw]
    assert [event.series for event in described] == [item["ticker"].split("-")[0] for item in raw]


def test_every_event_of_the_samples_survives_the_codec(samples: Path) -> None:
    events: list[Event] = []
    for payload in published(samples):
        events += frame_events(json.dumps(payload).encode(), DELIVERY)
    for name in ORDER_REPLIES:
        events += account_replies.orders(response(samples, name), DELIVERY)
    events += account_replies.fills(response(samples, "portfolio_fills"), DELIVERY)
    events += account_replies.positions(response(samples, "portfolio_positions"), DELIVERY)
    events += lifecycle.markets(response(samples, "markets_list"), DELIVERY)
    for event in events:
        record = encode(event)
        assert decode(record.value, record.headers) == event
