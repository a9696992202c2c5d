"""The log of the tests of `tape explain` and of repairs: prices, an account, a market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from streams.events import Event, MarketTrade, PriceQuote, PriceTrade
from tests.projections.account.examples import (
    balance,
    closed,
    fill,
    opened,
    order,
    settlement,
    transfer,
)
from tests.projections.logs import NOON, trade
from tests.projections.market.projected import described, determined, quoted, settled, told

#: Kafka keys.
COINBASE = "coinbase:BTC-USD"
KRAKEN = "kraken:BTC-USD"
#: A second with trades.
SECOND = "2026-11-15 12:00:00+00"
OTHER = "KXBTCD-26NOV1516-T115249.99"


def price(number: int, **fields: Any) -> PriceTrade:
    return trade(number, price=Decimal(65000 + number), **fields)


def quote(number: int, **fields: Any) -> PriceQuote:
    values: dict[str, Any] = {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "time": NOON * 1_000_000 + number * 1_000,
        "sequence": number,
        "bid": Decimal(65000 + number),
        "bid_size": Decimal(1),
        "ask": Decimal(65001 + number),
        "ask_size": Decimal(1),
        "received": NOON * 1_000_000 + number * 1_000,
    }
    return PriceQuote(**{**values, **fields})


def traded(at: int = 0, **fields: Any) -> MarketTrade:
    values: dict[str, Any] = {"trade_id": "t1", "yes_price": "0.3600", "count": "10.00"}
    made: MarketTrade = told(MarketTrade, at, **(values | fields))
    return made


def prices() -> list[Event]:
    """Trades of two venues; number 2 comes again, 3 is contradicted, 4 lies in the next second."""
    return [
        price(1),
        price(1, venue="kraken", sequence=None),
        price(2),
        quote(2),
        price(2),
        price(3),
        price(3, size=Decimal("0.75")),
        price(1500, trade_id="4"),
        price(2, venue="kraken", sequence=None),
        quote(4),
    ]


def account() -> list[Event]:
    """A trade that was opened, filled by two fills, closed and settled; cash; another market's."""
    asked = opened()
    other = opened(command_id="c9", ticket_id="T9", ticker=OTHER)
    return [
        transfer("100", -60),
        asked,
        other,
        order(asked, status="resting", fill_count="0", remaining_count="20"),
        fill(trade_id="f1", count="12"),
        fill(trade_id="f2", count="8"),
        fill(trade_id="f1", count="12"),
        order(asked),
        balance("80.8", 5),
        order(other, order_id="o9"),
        fill(trade_id="f9", order_id="o9", ticker=OTHER),
        closed(),
        settlement(),
    ]


def market() -> list[Event]:
    """A market that is described, quoted, traded (contradictorily), determined and settled."""
    return [
        described(1, title="Bitcoin price", status="active"),
        quoted(2, yes_bid="0.3500", yes_ask="0.3700"),
        traded(3),
        traded(4, ticker=OTHER, trade_id="t9"),
        traded(3, count="11.00"),
        quoted(5, yes_bid="0.3600"),
        traded(6, trade_id="t2"),
        determined(7, result="yes"),
        settled(8),
    ]
