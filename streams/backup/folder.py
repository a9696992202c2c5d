"""Folders of backups: each backup is a folder in it, named by its time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from streams.archive.store import LocalFolder
from streams.backup.manifest import MANIFEST, Backup
from streams.errors import UserError

__all__ = ["checked_dump", "find", "making", "sha256_of", "write_manifest"]


@contextmanager
def making(folder: Path, taken: datetime) -> Iterator[Path]:
    """A folder for a new backup, readable by its owner alone; gone again where it fails.

    Raises UserError where it cannot be made.
    """
    place = folder / taken.strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
    except OSError as error:
        raise UserError(f"{place} cannot be made: {error.strerror}") from None
    try:
        yield place
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def write_manifest(place: Path, backup: Backup) -> None:
    """Make the folder a backup: the last thing that is written. Raises UserError."""
    LocalFolder(str(place)).write(MANIFEST, backup.dump())


def find(place: Path) -> tuple[Path, Backup]:
    """The backup in this folder, or the newest of those in it.

    Raises UserError: there is none, or its manifest is damaged.
    """
    if not (place / MANIFEST).exists():
        whole = sorted(file.parent for file in place.glob(f"*/{MANIFEST}"))
        if not whole:
            raise UserError(
                f"there is no backup in {place}: name its folder by --from; a folder without "
                f"{MANIFEST} was not finished"
            )
        place = whole[-1]
    try:
        return place, Backup.load((place / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{place / MANIFEST} is damaged ({error}): name another backup by --from"
        ) from None


def checked_dump(place: Path, backup: Backup) -> Path:
    """The dump's file. Raises UserError: it is not what the manifest says."""
    file = place / backup.database.file
    try:
        size, checksum = file.stat().st_size, sha256_of(file)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; take another backup") from None
    if (size, checksum) != (backup.database.bytes, backup.database.sha256):
        raise UserError(
            f"{file} is damaged: it has {size:,} bytes with the SHA-256 {checksum}, instead of "
            f"{backup.database.bytes:,} with {backup.database.sha256}. Nothing was restored; name "
            "another backup by --from"
        )
    return file


def sha256_of(file: Path) -> str:
    """The checksum of a file of any size."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
