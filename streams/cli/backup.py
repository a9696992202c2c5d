"""`tape backup`: the database's dump, and the archive up to what the dump was made of."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.bars import bar
from streams.cli.running import log_to_stderr

if TYPE_CHECKING:
    from streams.backup.manifest import Backup

__all__ = ["backup"]


def backup(
    to: Annotated[
        Path | None,
        typer.Option(help="The folder of backups, instead of `backups` in TAPE_HOME."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Dump the database, and archive the log up to where it then ends.

    Workers and producers go on. The backup is a new folder, named by its time;
    it counts once backup.json is in it. The log goes into the archive (see
    `tape archive`), where it is kept once for all backups. Keep both on other
    disks than those of broker and database.

    Examples:

        tape backup

        TAPE_ARCHIVE=s3://bucket/tape tape backup --to /mnt/backups
    """
    log_to_stderr()
    place, taken = asyncio.run(_backup(to))
    if as_json:
        print(json.dumps({"folder": str(place), **taken.model_dump(mode="json")}, indent=2))
    else:
        _print(place, taken)


async def _backup(to: Path | None) -> tuple[Path, Backup]:
    from streams.archive.store import archive_location, open_store
    from streams.backup.run import back_up
    from streams.cli.archive import catalogued
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    location = archive_location(settings)
    folder = settings.home / "backups" if to is None else to.expanduser().absolute()
    for place, other in ((location, "TAPE_ARCHIVE"), (str(folder), "--to")):
        if Path(place).is_relative_to(settings.home):
            print(f"tape: {place} is lost with TAPE_HOME; {other} names another", file=sys.stderr)
    with bar("archiving") as move:
        return await back_up(endpoints(settings), open_store(location), catalogued(), folder, move)


def _print(place: Path, taken: Backup) -> None:
    for topic in taken.topics:
        ends = ", ".join(f"[{one}] {end}" for one, end in sorted(topic.ends.items()))
        print(f"{topic.topic}: {f'archived up to {ends}' if ends else 'no records'}")
    size = taken.database.bytes / 1_000_000
    print(f"database: {size:,.1f} MB, with {len(taken.checkpoints)} checkpoints")
    print(f"in {place}, and the archive {taken.archive}")
