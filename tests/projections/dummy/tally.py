"""A projection as a user would add one: this module, `tally.sql`, and a line of registration."""

from __future__ import annotations

from pathlib import Path

from projections.base import Connection, EventProjection, Recorded
from streams.events import PriceTrade


class Tally(EventProjection):
    """One row a trade."""

    name = "tally"
    version = 1
    topics = ("price.ticks",)
    tables = ("tally_trades",)

    @classmethod
    def sql_path(cls) -> Path:
        return Path(__file__).with_name("tally.sql")

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        trades = [fact.event for fact in facts if isinstance(fact.event, PriceTrade)]
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "insert into tally_trades values (%s, %s, %s, %s)",
                [(trade.symbol, trade.trade_id, trade.price, trade.size) for trade in trades],
            )
