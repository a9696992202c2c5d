"""The stage for the projection `market`: topics of its own in the place of its two."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from projections.market import Market
from projections.migrations import migrate
from projections.unit import Projector
from streams.embedded.home import Home
from streams.log import LogReader
from streams.rebuild.source import find_source
from tests.projections.registered import registered
from tests.survival.market_load import TOPICS, Markets
from tests.survival.scene import Scene

#: The tables that records fill, without where these stood.
_AUDIT = {"topic", "partition", "offset"}


class MarketScene(Scene):
    """What a venue says of its markets, against a projection that nothing disturbed.

    The rules of each table have tests of their own, against references; here the question is
    whether a misfortune changed anything.
    """

    replaces = TOPICS
    projections = ("market",)

    def __init__(self, home: Home, folder: Path) -> None:
        super().__init__(home, folder)
        self._undisturbed = f"{self.name}-undisturbed"

    def source(self, seed: int) -> Markets:
        return Markets(self.topics, seed)

    def verify(self, *projections: str) -> None:
        """Projects the whole log once more, unit after unit, into another database."""
        name = sql.Identifier(self._undisturbed)
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(name))
            try:
                asyncio.run(self._project(self.home.dsn(self._undisturbed)))
                wanted, found = (
                    self._tables(self.home.dsn(self._undisturbed)),
                    self._tables(self.dsn),
                )
            finally:
                connection.execute(sql.SQL("drop database {} with (force)").format(name))
        found = self._tables(self.dsn)
        for table, rows in wanted.items():
            assert rows, f"the scenario wrote nothing into {table}"
            assert found[table] == rows, (
                f"{table} lacks {rows - found[table]!r:.500},"
                f" should not have {found[table] - rows!r:.500}"
            )

    async def _project(self, dsn: str) -> None:
        await migrate(dsn, registered())
        kind = type("Market", (Market,), {"topics": tuple(self.topics.values())})
        source = await find_source(kind(), self.endpoints)
        projector = Projector(kind(), dsn)
        await projector.claim(source.starts)
        untils = {part: until for part, (_, until) in source.bounds.items()}
        async with LogReader.open(self.endpoints) as reader:
            async for batches in reader.read(dict.fromkeys(untils, 0), untils, 300):
                await projector.commit(batches)
        await projector.close()

    def _tables(self, dsn: str) -> dict[str, Counter[str]]:
        with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
            return {
                name: Counter(_rows(connection, name))
                for name in Market.kafka_keys
                if name not in {"market_trade_conflicts", "market_candles"}
            }


def _rows(connection: psycopg.Connection[Any], table: str) -> list[str]:
    cursor = connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))
    kept = [
        at
        for at, column in enumerate(cursor.description or ())
        if column.name not in _AUDIT or table == "market_log"
    ]
    return [str([row[at] for at in kept]) for row in cursor.fetchall()]
