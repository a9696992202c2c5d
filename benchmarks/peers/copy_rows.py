"""Text COPY of rows that are ready beforehand: the ceiling of what the table takes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import ClassVar

import psycopg

from benchmarks.contender import Command, Contender, Job, module
from benchmarks.dataset import trades
from benchmarks.table import COLUMNS

ROWS_PER_COMMIT = 5000


class CopyRows(Contender):
    """Copies the dataset into the table, without any Kafka."""

    name: ClassVar[str] = "copy"
    title: ClassVar[str] = "text COPY alone (ceiling)"

    def commands(self, job: Job) -> Sequence[Command]:
        return [module(__name__, job.save())]


def _blocks(rows: int) -> Iterator[bytes]:
    lines = (
        f"{trade.venue}\t{trade.symbol}\t{trade.trade_id}\t{trade.price}\t{trade.size}"
        f"\t{trade.side}\t{trade.time}\t{trade.sequence}\t{trade.received}\n"
        for _, trade in trades(rows)
    )
    while block := "".join(islice(lines, ROWS_PER_COMMIT)):
        yield block.encode()


def _copy(job: Job) -> None:
    blocks = list(_blocks(job.rows))
    statement = f"copy price_history ({', '.join(COLUMNS)}) from stdin"
    with psycopg.connect(job.dsn) as connection, connection.cursor() as cursor:
        for block in blocks:
            with cursor.copy(statement) as copy:
                copy.write(block)
            connection.commit()


if __name__ == "__main__":
    _copy(Job.load(sys.argv[1]))
    signal.pause()
