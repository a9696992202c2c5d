"""Candlesticks of a market: of its quotes and trades, by periods that end at whole periods. Pure.

Source: openapi.yaml 3.34.0, MarketCandlestick: a period is (end - length, end]. Live candles name
their fields `open_dollars`, `volume_fp`; those of the historical tier `open`, `volume`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from streams.simulated.kalshi.changes import Quote
from streams.simulated.kalshi.orders import ZERO
from streams.simulated.kalshi.venue.facts import PublicTrade
from streams.simulated.kalshi.venue.markets import Market
from streams.simulated.kalshi.venue.wire import Json, contracts, price, seconds

__all__ = ["Candle", "candles", "historical", "live"]

_MINUTE = 60_000_000


@dataclass(frozen=True)
class Candle:
    """A period; `end` in microseconds since 1970 UTC. The quotes begin with what stood before."""

    end: int
    quotes: Sequence[Quote]
    trades: Sequence[PublicTrade]
    #: The last price before the period.
    previous: Decimal | None


def candles(market: Market, minutes: int, earliest: int, latest: int) -> list[Candle]:
    """The candles that end between two times, from the first quote to the last."""
    length = minutes * _MINUTE
    quotes, trades = market.quotes, market.trades
    if not quotes:
        return []
    first = max(_end(quotes[0].time, length), _end(earliest, length))
    last = min(_end(quotes[-1].time, length), latest // length * length)
    return [_candle(quotes, trades, end - length, end) for end in range(first, last + 1, length)]


def live(candle: Candle) -> Json:
    """As the live tier writes it; prices of a period without trades are left out."""
    made = {name: price(value) for name, value in _trades(candle).items() if value is not None}
    return {
        "end_period_ts": seconds(candle.end),
        "yes_bid": _named(_range(_bids(candle)), "_dollars"),
        "yes_ask": _named(_range(_asks(candle)), "_dollars"),
        "price": _named(made, "_dollars"),
        "volume_fp": contracts(_volume(candle)),
        "open_interest_fp": contracts(candle.quotes[-1].open_interest),
    }


def historical(candle: Candle) -> Json:
    """As the historical tier writes it; prices of a period without trades are null."""
    made = _trades(candle)
    names = ("open", "low", "high", "close", "mean", "previous")
    return {
        "end_period_ts": seconds(candle.end),
        "yes_bid": _range(_bids(candle)),
        "yes_ask": _range(_asks(candle)),
        "price": {
            name: None if (value := made.get(name)) is None else price(value) for name in names
        },
        "volume": contracts(_volume(candle)),
        "open_interest": contracts(candle.quotes[-1].open_interest),
    }


def _end(time: int, length: int) -> int:
    """The end of the period that a time lies in."""
    return -(-time // length) * length


def _candle(quotes: Sequence[Quote], trades: Sequence[PublicTrade], start: int, end: int) -> Candle:
    before = [quote for quote in quotes if quote.time <= start][-1:]
    earlier = [trade for trade in trades if trade.time <= start]
    return Candle(
        end=end,
        quotes=[*before, *(quote for quote in quotes if start < quote.time <= end)],
        trades=[trade for trade in trades if start < trade.time <= end],
        previous=earlier[-1].yes_price if earlier else None,
    )


def _bids(candle: Candle) -> list[Decimal]:
    return [quote.bid.price for quote in candle.quotes]


def _asks(candle: Candle) -> list[Decimal]:
    return [quote.ask.price for quote in candle.quotes]


def _range(prices: Sequence[Decimal]) -> dict[str, str]:
    return {
        "open": price(prices[0]),
        "low": price(min(prices)),
        "high": price(max(prices)),
        "close": price(prices[-1]),
    }


def _trades(candle: Candle) -> dict[str, Decimal | None]:
    prices = [trade.yes_price for trade in candle.trades]
    if not prices:
        return {"previous": candle.previous}
    return {
        "open": prices[0],
        "low": min(prices),
        "high": max(prices),
        "close": prices[-1],
        "mean": sum(prices, ZERO) / len(prices),
        "previous": candle.previous,
        "min": min(prices),
        "max": max(prices),
    }


def _volume(candle: Candle) -> Decimal:
    return sum((trade.count for trade in candle.trades), ZERO)


def _named(values: dict[str, str], suffix: str) -> Json:
    return {f"{name}{suffix}": value for name, value in values.items()}
