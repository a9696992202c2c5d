"""`tape restore log`: the topics of the archive, into a broker that has lost them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from projections.carrying import Move
from streams.archive.log import LogReader, find_logs
from streams.archive.reader import read_manifest
from streams.archive.store import Store
from streams.backup.carrying import moves_of
from streams.backup.topic import TopicRestore
from streams.delivery import Link
from streams.errors import UserError
from streams.events.catalogue import TopicSpec
from streams.live import Live
from streams.settings import Endpoints

__all__ = ["Restored", "RestoredTopic", "restore_log"]


@dataclass(frozen=True, slots=True)
class RestoredTopic:
    """A topic that was brought back: how many records its log holds, and its ids, UUID text."""

    topic: str
    topic_id: str
    former_id: str
    records: int


@dataclass
class Restored:
    """What was done so far.

    `due` are the records that there were to append, `appended` those that were; both count what was
    appended and removed again, so that the others got their offsets. `moves` say which checkpoints
    mean the restored topics.
    """

    due: int = 0
    appended: int = 0
    topics: list[RestoredTopic] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)


async def restore_log(
    store: Store,
    endpoints: Endpoints,
    specs: Sequence[TopicSpec],
    report: Restored,
    advanced: Callable[[], None] = lambda: None,
) -> None:
    """Bring back those of the topics that are archived and that the broker lacks.

    All are looked at before anything is done. A run that was stopped is gone on with. Nobody may
    write to the topics meanwhile.

    Raises UserError: nothing is archived, a topic holds other records, broker or archive fail.
    """
    Live()  # it writes to the log
    if not any(read_manifest(store, spec.name) for spec in specs):
        raise UserError(
            f"there is no archive in {store.location}: name its folder or URL by --from or "
            "TAPE_ARCHIVE"
        )

    def move(count: int) -> None:
        report.appended += count
        advanced()

    with store.exclusive():
        manifests = [(spec, read_manifest(store, spec.name)) for spec in specs]
        logs = await asyncio.to_thread(find_logs, endpoints, [spec.name for spec in specs])
        works = [
            TopicRestore(store, endpoints, spec, manifest, logs.get(spec.name))
            for spec, manifest in manifests
            if manifest is not None
        ]
        link = Link(endpoints)
        async with LogReader.open(endpoints) as reader:
            for work in works:
                await work.examine(reader)
            report.due = sum(work.due for work in works)
            await _connect(link, endpoints)
            try:
                for work in works:
                    was_whole = work.is_whole
                    await work.restore(link.client, reader, move)
                    if not was_whole:
                        report.topics.append(_told(work))
                    report.moves += moves_of(work.manifest, work.spec.partitions)
            finally:
                await link.close()


async def _connect(link: Link, endpoints: Endpoints) -> None:
    try:
        async with asyncio.timeout(15):
            await link.connect()
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            f"no producer on the broker {endpoints.brokers}: {error!r}; "
            "`tape doctor` tries the connection"
        ) from error


def _told(work: TopicRestore) -> RestoredTopic:
    former, now = work.manifest.topic_ids[-2:]
    bounds = map(work.bounds, work.partitions)
    records = sum(end - start for start, end in bounds)
    return RestoredTopic(work.spec.name, now.topic_id, former.topic_id, records)
