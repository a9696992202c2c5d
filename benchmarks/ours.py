"""Ours, as the bench runs it: the product's own worker, over the bench's topic.

`ours`, `ours_two` and `ours_repeats` write `price_history` alone, into the table that every
contender gets; `ours_all_tables`, the latency and the memory bench run the projection `prices` as
it ships. Validation, headers, checkpoints and idempotency are on in all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks import table
from benchmarks.contender import Command, Contender, Job, module
from benchmarks.ours_worker import SCHEMA, projection
from projections import PROJECTIONS
from projections.migrations import migrate
from projections.prices import Prices


class HistoryAlone(Contender):
    """The worker, writing nothing but `price_history`."""

    name = "ours"
    title = "tickertape, price_history alone"
    table = f"{SCHEMA}.price_history"
    processes: ClassVar[int] = 1
    tables: ClassVar[str] = "history"

    def setup(self, job: Job) -> None:
        migrate_anew(job, self.tables)
        # The generation's own tables make way for those that all contenders get.
        with psycopg.connect(job.dsn, autocommit=True) as connection:
            connection.execute(f"drop schema {SCHEMA} cascade; create schema {SCHEMA}".encode())
        table.create(make_conninfo(job.dsn, options=f"-c search_path={SCHEMA}"))

    def commands(self, job: Job) -> Sequence[Command]:
        path = job.save()
        return [module("benchmarks.ours_worker", path, self.tables) for _ in range(self.processes)]


class HistoryAloneTwice(HistoryAlone):
    """Two worker processes that share the partitions."""

    name = "ours_two"
    title = "tickertape, price_history alone, two processes"
    processes = 2


class HistoryWithRepeats(HistoryAlone):
    """One record in a hundred comes twice."""

    name = "ours_repeats"
    title = "tickertape, price_history alone, 1 % repeats"
    repeats = True


class AllTables(HistoryAlone):
    """The projection as it ships."""

    name = "ours_all_tables"
    title = "tickertape, all price tables"
    tables = "all"

    def setup(self, job: Job) -> None:
        migrate_anew(job, self.tables)


def migrate_anew(job: Job, tables: str) -> None:
    """The product's own database in place of the bench's empty tables.

    With every projection, because the views read the tables of each.
    """
    with psycopg.connect(job.dsn, autocommit=True) as connection:
        connection.execute("drop schema public cascade; create schema public")
    others = [other() for name, other in PROJECTIONS.items() if name != Prices.name]
    asyncio.run(migrate(job.dsn, [projection(job, tables), *others]))


CONTENDERS: tuple[Contender, ...] = (
    HistoryAlone(),
    HistoryAloneTwice(),
    AllTables(),
    HistoryWithRepeats(),
)
LATENCY: Contender | None = AllTables()
MEMORY: Contender | None = AllTables()
