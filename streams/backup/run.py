"""`tape backup`: the database's dump, then the archive up to what the dump was made of.

In this order, so that no checkpoint in the dump is ahead of the archive: a log restored from it
never lacks what the dumped tables hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from streams.archive.reader import read_manifest
from streams.archive.run import Run
from streams.archive.run import run as archive
from streams.archive.store import Store
from streams.backup.database import dump_database
from streams.backup.folder import making, write_manifest
from streams.backup.manifest import Backup, Topic
from streams.errors import UserError
from streams.settings import Endpoints

__all__ = ["back_up"]


async def back_up(
    at: Endpoints,
    store: Store,
    topics: Sequence[str],
    folder: Path,
    advanced: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Path, Backup]:
    """Take a backup into a new folder within `folder`, and return that.

    `advanced` is given how many records are archived, and how many there are to archive. What a
    kill leaves has no manifest, and is no backup. Raises UserError: database, broker or archive
    fail, or the archive cannot follow the log.
    """
    taken = datetime.now(UTC)
    with making(folder, taken) as place:
        dumped, checkpoints = await dump_database(at.dsn, place)
        report = Run()
        await archive(store, at, topics, report, lambda done: advanced(done, report.due))
        if report.problems:
            raise UserError(f"there is no backup without its archive: {'; '.join(report.problems)}")
        backup = Backup(
            taken=taken.isoformat(timespec="milliseconds"),
            tickertape=version("tickertape"),
            archive=store.location,
            database=dumped,
            topics=tuple(_archived(store, topic) for topic in topics),
            checkpoints=tuple(checkpoints),
        )
        _check(backup)
        write_manifest(place, backup)
    return place, backup


def _archived(store: Store, topic: str) -> Topic:
    manifest = read_manifest(store, topic)
    assert manifest is not None  # without a problem, each topic has one
    ends = {one: manifest.end(one) for one in manifest.partitions}
    return Topic(topic=topic, topic_id=manifest.topic_ids[-1].topic_id, ends=ends)


def _check(backup: Backup) -> None:
    for one, end in backup.ahead():
        raise UserError(
            f"{one.projection} stands at offset {one.next_offset} of {one.topic}[{one.partition}], "
            f"and the log ends at {end}: the broker has lost records, or the database is another "
            "broker's. There is no backup; `tape topics check` tells more"
        )
