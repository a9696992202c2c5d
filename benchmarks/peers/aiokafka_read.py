"""aiokafka alone: getmany, the values only touched. What reading costs at the least."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.contender import Command, Contender, Job, module


class AiokafkaRead(Contender):
    """Reads the topic and writes nothing."""

    name: ClassVar[str] = "aiokafka"
    title: ClassVar[str] = "aiokafka, reading alone"
    writes: ClassVar[bool] = False

    def commands(self, job: Job) -> Sequence[Command]:
        return [module(__name__, job.save())]


async def _read(job: Job) -> None:
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.brokers,
        group_id=job.run,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        batches: list[tuple[float, int]] = []
        touched = read = 0
        while read < job.records:
            got = await consumer.getmany(timeout_ms=1000, max_records=5000)
            count = sum(map(len, got.values()))
            for records in got.values():
                for record in records:
                    touched += len(record.value)
            if count:
                batches.append((time.time(), count))
            read += count
    finally:
        await consumer.stop()
    # In two steps, because the runner reads it as soon as it is there.
    draft = Path(job.workdir) / "window.draft"
    draft.write_text(json.dumps(batches), encoding="utf-8")
    draft.rename(job.window_file)


if __name__ == "__main__":
    uvloop.run(_read(Job.load(sys.argv[1])))
    signal.pause()
