"""A plain Faust agent as Faust's manual has it: take(), JSON, one COPY for each batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import faust
import orjson
import psycopg

from benchmarks.contender import Command, Contender, Job, module
from benchmarks.table import COLUMNS

TAKE = 2000


class PlainFaust(Contender):
    """Faust 0.15.3 without our transport."""

    name: ClassVar[str] = "faust"
    title: ClassVar[str] = "plain Faust, take() + COPY"

    def commands(self, job: Job) -> Sequence[Command]:
        return [module(__name__, job.save())]


def _worker(job: Job) -> faust.Worker:
    app = faust.App(
        job.run,
        broker=f"kafka://{job.brokers}",
        store="memory://",
        datadir=str(Path(job.workdir) / "faust"),
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=5000,
        stream_wait_empty=False,
        web_enabled=False,
    )
    statement = f"copy price_history ({', '.join(COLUMNS)}) from stdin"
    topic = app.topic(job.topic, value_type=bytes, value_serializer="raw", key_serializer="raw")
    connections: list[psycopg.AsyncConnection[tuple[Any, ...]]] = []

    @app.agent(topic)
    async def write(stream: Any) -> None:
        connections.append(await psycopg.AsyncConnection.connect(job.dsn))
        connection = connections[-1]
        async for values in stream.take(TAKE, within=1.0):
            rows = [_row(orjson.loads(value)) for value in values]
            async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                await copy.write("".join(rows))
            await connection.commit()

    return faust.Worker(app, loglevel="WARN", redirect_stdouts=False)


def _row(trade: dict[str, Any]) -> str:
    return "\t".join([str(trade[name]) for name in COLUMNS]) + "\n"


if __name__ == "__main__":
    _worker(Job.load(sys.argv[1])).execute_from_commandline()
