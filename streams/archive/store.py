"""Where an archive's files lie: a local folder, or what fsspec knows by a URL.

Names are relative, with slashes. What is written is there as a whole, or not at all.
"""

from __future__ import annotations

import fcntl
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.errors import UserError
from streams.settings import Settings, variable

__all__ = ["Store", "archive_location", "open_store"]

#: A file that is being written. What a kill leaves of it is of no use.
_PARTIAL = ".partial"
_LOCK = ".lock"


class Store(ABC):
    """The files of one archive. Methods raise UserError for faults of the place."""

    def __init__(self, location: str) -> None:
        self.location = location

    def place(self, name: str) -> str:
        """Where a file is, for messages."""
        return f"{self.location.rstrip('/')}/{name}"

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A whole file; None where there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Make a file or replace it; it is durable when this returns."""

    @abstractmethod
    def names(self) -> list[str]:
        """All files, without those that were not written to their end."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """For one run at a time, where the place can say so."""
        yield


class LocalFolder(Store):
    """A folder; it is made when something is written."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._root = Path(location)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(name, "read", error) from error

    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        partial = path.with_name(path.name + _PARTIAL)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            for folder in (path.parent, *path.parent.parents):
                _sync(folder)
                if folder == self._root:
                    break
        except OSError as error:
            raise self._fault(name, "written", error) from error

    def names(self) -> list[str]:
        try:
            files = [path for path in self._root.rglob("*") if path.is_file()]
        except OSError as error:
            raise self._fault("", "read", error) from error
        names = (path.relative_to(self._root).as_posix() for path in files)
        return sorted(name for name in names if name != _LOCK and not name.endswith(_PARTIAL))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            lock = (self._root / _LOCK).open("w")
        except OSError as error:
            raise self._fault(_LOCK, "written", error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another `tape archive run` works in {self.location}: wait until it has ended"
                ) from None
            for left in self._root.rglob(f"*{_PARTIAL}"):
                left.unlink()
            yield

    def _fault(self, name: str, done: str, error: OSError) -> UserError:
        return UserError(f"{self.place(name)} cannot be {done}: {error.strerror or error}")


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class RemoteFolder(Store):
    """What a URL names. Its file system's errors are of many kinds, so all become UserErrors."""

    def __init__(self, location: str, files: Any, root: str) -> None:
        super().__init__(location)
        self._files = files
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes | None:
        try:
            found: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._fault(name, "read", error) from error
        return found

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path + _PARTIAL, data)
            self._files.mv(path + _PARTIAL, path)
        except Exception as error:
            raise self._fault(name, "written", error) from error

    def names(self) -> list[str]:
        try:
            self._files.invalidate_cache()
            found = self._files.find(self._root)
        except Exception as error:
            raise self._fault("", "read", error) from error
        prefix = self._root + "/"
        return sorted(
            path.removeprefix(prefix) for path in found if not path.endswith((_PARTIAL, _LOCK))
        )

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _fault(self, name: str, done: str, error: Exception) -> UserError:
        return UserError(f"{self.place(name)} cannot be {done}: {type(error).__name__}: {error}")


def open_store(location: str) -> Store:
    """The files at a folder or URL. Raises UserError: no such file system is known."""
    if "://" not in location:
        return LocalFolder(location)
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, root = fsspec.core.url_to_fs(location)
    except Exception as error:
        raise UserError(
            f"{location} cannot be used: {type(error).__name__}: {error}; give a folder, or a URL "
            "that fsspec knows, with the package of its file system installed (s3fs for s3://)"
        ) from error
    if isinstance(files, LocalFileSystem):
        return LocalFolder(root)
    return RemoteFolder(location, files, root)


def archive_location(settings: Settings) -> str:
    """The folder or URL in force.

    Raises UserError: there is a broker that is not the embedded one, and no setting.
    """
    location = settings.archive_location()
    if location is None:
        raise UserError(
            f"{variable('archive')} is not set: name the folder or URL of the archive by it, or by "
            "the command's option"
        )
    return location
