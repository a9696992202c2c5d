"""One worker process of ours: `python -m benchmarks.ours_worker JOB history|all`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import polars as pl

from benchmarks.contender import Job
from projections.base import Batch, Connection, Decoded, Projection
from projections.prices import Prices
from projections.prices.facts import Facts
from streams.app import Rules
from streams.settings import Endpoints
from streams.worker import Worker

SCHEMA = "prices_1"


class History(Prices):
    """`price_history` alone, with integer times, in a table that has its partition."""

    @staticmethod
    def timed(frame: pl.DataFrame) -> pl.DataFrame:
        return frame

    async def prepare(
        self, connection: Connection, batches: Sequence[Batch], decoded: Decoded[Facts]
    ) -> Decoded[Facts]:
        return decoded

    async def write(self, connection: Connection, facts: Facts) -> None:
        await self._history.write(connection, facts.trades, facts.lines)


def projection(job: Job, tables: str) -> Projection[Any]:
    """The projection that reads the job's topic."""
    base = Prices if tables == "all" else History
    of_job: type[Prices] = type(base.__name__, (base,), {"topics": (job.topic,)})
    return of_job()


def main() -> None:
    job = Job.load(sys.argv[1])
    endpoints = Endpoints(job.brokers, {}, job.dsn, False, False)
    sys.exit(Worker([projection(job, sys.argv[2])], endpoints, Rules()).run())


if __name__ == "__main__":
    main()
