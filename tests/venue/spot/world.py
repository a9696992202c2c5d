"""What happens at a spot venue, and the record of it: the truth that the tests compare with. Pure.

One trade after another, each with the best bid and ask after it, by the seeded walk of the
simulated venue; and around them a book of twelve levels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

from streams.simulated.market import JsonFrame, Market
from streams.simulated.market import Step as MarketStep

__all__ = ["SYMBOLS", "Quote", "Step", "Trade", "World"]

SYMBOLS = ("BTC-USD", "ETH-USD")
_START = 1_790_000_000_000_000
#: Between two trades. Microseconds.
_PACE = 137_003
_DEEPEST = 12
_TICK = Decimal("0.50")


@dataclass(frozen=True)
class Trade:
    """One execution: numbers by one per symbol, decimals as text, the taker's side, time in µs."""

    symbol: str
    number: int
    price: str
    size: str
    side: str
    time: int


@dataclass(frozen=True)
class Quote:
    """Best bid and ask with their sizes, as text."""

    bid: str
    bid_size: str
    ask: str
    ask_size: str


@dataclass(frozen=True)
class Step:
    """A trade and the quote after it, also as the frames that Coinbase Exchange sends of them."""

    trade: Trade
    quote: Quote
    match: JsonFrame
    ticker: JsonFrame


class World:
    """The market of one venue. The same seed gives the same steps."""

    def __init__(self, seed: int, first_number: int = 1_000) -> None:
        self.trades: dict[str, list[Trade]] = {symbol: [] for symbol in SYMBOLS}
        self.quotes: dict[str, Quote] = {}
        self.time = _START
        self.market = Market(seed, first_number)
        self._steps = 0

    def step(self) -> Step:
        """The next trade."""
        self._steps += 1
        self.time += _PACE
        made = self.market.step(self.time)
        trade, quote = _trade(made, self.time), _quote(made.ticker)
        self.trades[trade.symbol].append(trade)
        self.quotes[trade.symbol] = quote
        return Step(trade, quote, made.match, made.ticker)

    def last(self, symbol: str, count: int) -> list[Trade]:
        """The newest trades of a symbol, in order."""
        return self.trades[symbol][-count:]

    def book(self, symbol: str) -> tuple[dict[str, str], dict[str, str]]:
        """Bids and asks, price → quantity, best first; empty before the first trade.

        Behind the best levels lie those of a fixed grid, each of its own size, so that few
        change from step to step.
        """
        quote = self.quotes.get(symbol)
        if quote is None:
            return {}, {}
        bids = {quote.bid: quote.bid_size} | dict(_grid(symbol, Decimal(quote.bid), -_TICK))
        asks = {quote.ask: quote.ask_size} | dict(_grid(symbol, Decimal(quote.ask), _TICK))
        return bids, asks


def _trade(made: MarketStep, time: int) -> Trade:
    match = made.match
    return Trade(
        symbol=made.product,
        number=int(str(match["trade_id"])),
        price=str(match["price"]),
        size=str(match["size"]),
        side=str(made.ticker["side"]),
        time=time,
    )


def _quote(ticker: JsonFrame) -> Quote:
    names = ("best_bid", "best_bid_size", "best_ask", "best_ask_size")
    return Quote(*(str(ticker[name]) for name in names))


def _grid(symbol: str, best: Decimal, step: Decimal) -> Iterator[tuple[str, str]]:
    price = best // _TICK * _TICK
    for _ in range(_DEEPEST):
        price += step
        size = crc32(f"{symbol} {price}".encode()) % 100_000 + 1
        yield f"{price:.2f}", f"{Decimal(size) / 10_000:.8f}"
