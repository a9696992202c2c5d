"""The venue's own words for a fill, an order and a settlement: REST objects of 2026, as `raw`."""

from __future__ import annotations

import orjson

from benchmarks.account.stories import Deal, Execution, Story
from streams.events.types import moment

USER = "00000000-0000-4000-8000-000000000001"


def dollars(cents: int, digits: int = 4) -> str:
    """Cents as the venue and the events write dollars."""
    return f"{cents // 100}.{cents % 100:02d}{'0' * (digits - 2)}"


def yes_cents(side: str, cents: int) -> int:
    """The price of YES, where `cents` is that of a side."""
    return cents if side == "yes" else 100 - cents


def fill(story: Story, deal: Deal, one: Execution) -> str:
    """A fill of GET /portfolio/fills."""
    yes = yes_cents(deal.side, one.cents)
    return _text(
        {
            "fill_id": one.trade_id,
            "trade_id": one.trade_id,
            "order_id": deal.order_id,
            "ticker": story.ticker,
            "market_ticker": story.ticker,
            **_direction(deal),
            "count_fp": f"{one.size}.00",
            "yes_price_dollars": dollars(yes),
            "no_price_dollars": dollars(100 - yes),
            "is_taker": True,
            "created_time": _time(one.time),
            "fee_cost": dollars(one.fee),
            "subaccount_number": 0,
            "exchange_index": 0,
            "ts": one.time // 1_000_000,
        }
    )


def order(story: Story, deal: Deal, client_order_id: str, status: str) -> str:
    """An order of GET /portfolio/orders."""
    return _text(
        {
            "order_id": deal.order_id,
            "user_id": USER,
            "client_order_id": client_order_id,
            "ticker": story.ticker,
            **_direction(deal),
            "type": "market",
            "status": status,
            "yes_price_dollars": dollars(yes_cents(deal.side, 99)),
            "no_price_dollars": dollars(100 - yes_cents(deal.side, 99)),
            "initial_count_fp": f"{deal.requested}.00",
            "fill_count_fp": f"{deal.filled}.00",
            "remaining_count_fp": "0.00",
            "taker_fill_cost_dollars": dollars(deal.cost),
            "taker_fees_dollars": dollars(deal.fees),
            "created_time": _time(deal.asked),
            "last_update_time": _time(deal.fills[-1].time),
        }
    )


def settlement(story: Story, counts: dict[str, int], revenue: int) -> str:
    """A settlement of GET /portfolio/settlements."""
    assert story.settled is not None
    return _text(
        {
            "ticker": story.ticker,
            "event_ticker": story.ticker.rpartition("-")[0],
            "market_result": story.result,
            "yes_count_fp": f"{counts['yes']}.00",
            "no_count_fp": f"{counts['no']}.00",
            "revenue": revenue,
            "settled_time": _time(story.settled),
            "fee_cost": "0.0000",
            "value": 100 if story.result == "yes" else 0,
            "exchange_index": 0,
        }
    )


def _direction(deal: Deal) -> dict[str, str]:
    book = "bid" if deal.side == "yes" else "ask"
    return {"side": deal.side, "action": "buy", "outcome_side": deal.side, "book_side": book}


def _time(micros: int) -> str:
    return moment(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(message: dict[str, object]) -> str:
    return orjson.dumps(message).decode()
