"""Markets on the price of bitcoin that live ten seconds: names, strikes, fair prices. Pure.

`KXBTCSIM-26NOV22203820-T63974.99` pays if BTC-USD is 63,975 or above on 2026-11-22 at 20:38:20
Eastern. The venue's own tickers tell no seconds, so programs read no close in this one, and take it
from the lifecycle event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import NormalDist
from typing import Literal

from streams.events.tickers import EASTERN
from streams.events.types import Side, moment
from streams.simulated.kalshi.book import Book, Delta, Level
from streams.simulated.kalshi.changes import Quote
from streams.simulated.kalshi.orders import CENT, ZERO
from streams.simulated.kalshi.venue.facts import BookChange, Listed, PublicTrade

__all__ = ["SECOND", "SERIES", "Market", "due"]

SERIES = "KXBTCSIM"
SECOND = 1_000_000

#: Some markets close every five seconds; they open ten seconds before.
_CLOSES_EVERY = 5 * SECOND
_LIFE = 10 * SECOND
#: What would live shorter than this is not opened.
_SHORTEST_LIFE = 4 * SECOND
_STRIKE_STEP = 25
_STRIKES = (-2, 0, 2)
#: The standard deviation of the simulated BTC-USD over a second, dollars.
_MOVE = 18.0


#: The last trade of a market that had none.
_NEVER = Level(ZERO, ZERO)


@dataclass
class Market:
    """A market from its opening to its settlement; times in microseconds since 1970 UTC."""

    event: str
    #: The least price at which it pays, whole dollars.
    strike: int
    closes: int
    market_id: str
    status: Literal["active", "closed", "determined"] = "active"
    #: Known to the venue from the close on.
    result: Side = "no"
    book: Book = field(default_factory=Book)
    #: Of the last action that changed the book.
    clock: int = 0
    quote_due: int = 0
    last: Level = _NEVER
    volume: Decimal = ZERO
    open_interest: Decimal = ZERO

    @property
    def floor_strike(self) -> Decimal:
        """What the price must be greater than, as the venue puts it."""
        return self.strike - CENT

    @property
    def ticker(self) -> str:
        """The market's name."""
        return f"{self.event}-T{self.floor_strike}"

    @property
    def subtitle(self) -> str:
        """What YES stands for, for people."""
        return f"${self.strike:,} or above"

    def fair_cents(self, now: int, price: Decimal) -> int:
        """What YES is worth: the chance, in percent, that the price ends at the strike or above."""
        left = max(self.closes - now, SECOND // 10) / SECOND
        chance = NormalDist(float(price), _MOVE * left**0.5).cdf(float(self.strike))
        return min(99, max(1, round(100 * (1 - chance))))

    def close(self, price: Decimal) -> None:
        """End the trading; `price` is that of bitcoin at the close."""
        self.result = "yes" if price > self.floor_strike else "no"
        self.status = "closed"

    def traded(self, trade_id: str, taker: Side, level: Level, time: int) -> PublicTrade:
        """Count one trade, at a price of the side that its taker acquired."""
        yes_price = level.price if taker == "yes" else 1 - level.price
        self.last = Level(yes_price, level.size)
        self.volume += level.size
        self.open_interest += level.size
        return PublicTrade(trade_id, self.ticker, yes_price, level.size, taker, time)

    def changes(
        self, deltas: Iterable[Delta], time: int, client_order_id: str | None = None
    ) -> list[BookChange]:
        """One action on the book, as the venue tells it; of an order of the account, if named."""
        self.clock += 1
        return [
            BookChange(
                ticker=self.ticker,
                clock=self.clock,
                side=side,
                price=price,
                delta=size,
                time=time,
                client_order_id=client_order_id,
                subaccount=None if client_order_id is None else 0,
            )
            for side, price, size in deltas
        ]

    def value(self, net: Decimal) -> Decimal:
        """Dollars that this position could be sold for now, at the best price."""
        return net * self.book.yes_bid.price if net > 0 else -net * (1 - self.book.yes_ask.price)

    def listed(self, time: int) -> Listed:
        """What the venue tells of it first."""
        return Listed(
            ticker=self.ticker,
            event=self.event,
            series=SERIES,
            market_id=self.market_id,
            title=f"Bitcoin price at {moment(self.closes):%H:%M:%S} UTC?",
            subtitle=self.subtitle,
            floor_strike=self.floor_strike,
            opens=time,
            closes=self.closes,
            time=time,
        )

    def quote(self, time: int) -> Quote:
        """What the venue shows now."""
        return Quote(
            ticker=self.ticker,
            market_id=self.market_id,
            bid=self.book.yes_bid,
            ask=self.book.yes_ask,
            last=self.last,
            volume=self.volume,
            open_interest=self.open_interest,
            time=time,
        )


def due(now: int, after: int, price: Decimal) -> Iterator[tuple[str, int, int]]:
    """Event, strike and close of the markets to be open by `now` that close later than `after`."""
    close = now // _CLOSES_EVERY * _CLOSES_EVERY
    while (close := close + _CLOSES_EVERY) <= now + _LIFE:
        if close > after and close >= now + _SHORTEST_LIFE:
            local = moment(close).astimezone(EASTERN)
            event = f"{SERIES}-{local:%y%b%d%H%M%S}".upper()
            middle = round(price / _STRIKE_STEP)
            for step in _STRIKES:
                yield event, (middle + step) * _STRIKE_STEP, close
