"""Plain aiokafka and one committed insert for each getmany: what few lines give in latency."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

import orjson
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.contender import Command, Contender, Job, module
from benchmarks.table import COLUMNS


class PlainInsert(Contender):
    """A consumer loop as one writes it by hand."""

    name: ClassVar[str] = "plain"
    title: ClassVar[str] = "plain aiokafka, one committed insert per getmany"

    def commands(self, job: Job) -> Sequence[Command]:
        return [module(__name__, job.save())]


async def _consume(job: Job) -> None:
    names, places = ", ".join(COLUMNS), ", ".join(f"%({name})s" for name in COLUMNS)
    insert = f"insert into price_history ({names}) values ({places}) on conflict do nothing"
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.brokers,
        group_id=job.run,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with await psycopg.AsyncConnection.connect(job.dsn) as connection:
            while True:
                batches = await consumer.getmany(timeout_ms=1000)
                trades = [
                    orjson.loads(record.value or b"null")
                    for records in batches.values()
                    for record in records
                ]
                if trades:
                    await connection.cursor().executemany(insert, trades)
                    await connection.commit()
                    await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    uvloop.run(_consume(Job.load(sys.argv[1])))
