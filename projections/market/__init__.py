"""The projection `market`: what each market is, its quote, book, trades and candlesticks.

The rules are in docs/markets.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from projections import periods
from projections.base import Batch, Connection, Decoded, Projection
from projections.database import BY_INDEX
from projections.locks import lock_keys
from projections.market import books, candles, late, log, markets, quotes, reading, trades
from projections.market.reading import Facts

__all__ = ["Market"]


class Market(Projection[Facts]):
    """Markets as the venue describes them, and what is traded and asked there."""

    name = "market"
    version = 2
    topics = reading.TOPICS
    tables = (
        "markets",
        "market_quotes",
        "market_book",
        "market_book_state",
        "market_trades",
        "market_trade_conflicts",
        "market_candles",
        "market_log",
        "market_log_days",
    )
    kafka_keys = dict.fromkeys(
        (
            *("markets", "market_quotes", "market_book_state", "market_trades"),
            *("market_trade_conflicts", "market_candles", "market_log"),
        ),
        "ticker",
    )

    def __init__(self) -> None:
        self._days = log.Days()

    def decode(self, batches: Sequence[Batch]) -> Decoded[Facts]:
        return reading.read(batches)

    async def prepare(
        self, connection: Connection, batches: Sequence[Batch], decoded: Decoded[Facts]
    ) -> Decoded[Facts]:
        """Attach the days of the log; records of closed days are not logged, but they count."""
        facts = decoded.facts
        closed = await self._days.make_ready(connection, facts.log)
        if not closed:
            return decoded
        kept = {day: rows for day, rows in facts.log.items() if day not in closed}
        return Decoded(dataclasses.replace(facts, log=kept), decoded.refused)

    def is_ready(self, facts: Facts) -> bool:
        return self._days.are_open(facts.log)

    def forget(self) -> None:
        self._days.forget()

    async def close_like(self, connection: Connection, live: str) -> None:
        await periods.close_like(connection, log.DAYS, live)

    async def hold_periods(self, connection: Connection) -> None:
        await periods.hold(connection, log.DAYS)

    async def maintain(self, connection: Connection, history_days: int | None) -> None:
        await log.drop_old(connection)

    async def write_late(self, connection: Connection, facts: Facts) -> None:
        await self.write(connection, await late.in_place(connection, facts))

    async def write(self, connection: Connection, facts: Facts) -> None:
        if not facts.tickers:
            return
        await connection.execute(BY_INDEX)
        # The topics' partitions may have different owners, and either makes the row of a market.
        await lock_keys(connection, self.locks, facts.tickers)
        await markets.make(connection, facts.keys)
        await markets.tell(connection, facts.lives)
        await quotes.fold(connection, facts.quotes)
        await candles.write(connection, facts.candles)
        # What is asked for is fetched as late as possible: it ends a pipeline's round trip.
        held_books = await books.find(connection, facts.book)
        arrived = await trades.find(connection, facts.trades)
        try:
            await log.write(connection, facts.log)
        except log.DayClosed:
            self._days.forget()
            raise
        await books.store(connection, held_books, facts.book)
        await trades.store(connection, arrived)
