"""The projection `market`: what each market is, and its newest quote."""

from __future__ import annotations

from projections.base import Connection, EventProjection, Recorded
from projections.database import BY_INDEX
from projections.locks import lock_keys
from projections.market import markets, quotes
from streams.events import MarketDescribed, MarketDetermined, MarketSettled, MarketTicker

__all__ = ["Market"]


class Market(EventProjection):
    """Markets as the venue describes them, and their quotes."""

    name = "market"
    version = 1
    topics = ("kalshi.market", "kalshi.lifecycle")
    tables = ("markets", "market_quotes")

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        events = [fact.event for fact in facts]
        tickers = [event for event in events if isinstance(event, MarketTicker)]
        lives = [
            event
            for event in events
            if isinstance(event, MarketDescribed | MarketDetermined | MarketSettled)
        ]
        keys = {(event.venue, event.ticker) for event in (*tickers, *lives)}
        if not keys:
            return
        await connection.execute(BY_INDEX)
        # The topics' partitions may have different owners, and either makes the row of a market.
        await lock_keys(connection, self.name, {ticker for _, ticker in keys})
        await markets.make(connection, keys)
        await markets.tell(connection, lives)
        await quotes.fold(connection, tickers)
