"""Which units of a backfill are done: a file, which a kill at any moment leaves readable.

One line for each unit, in JSON, written once all that it told is in the log. The first line says
what the backfill is of. The file is removed when all is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from streams.embedded.home import exclusive, make_private
from streams.errors import UserError

__all__ = ["Journal"]


class Journal:
    """The units of one backfill that are done, each with the markets that it named."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._head: Mapping[str, Any] | None = None
        self._done: dict[str, list[str]] = {}
        self._read()

    @classmethod
    @contextmanager
    def open(cls, home: Path, what: Mapping[str, object]) -> Iterator[Journal]:
        """The journal of the backfill of this, which one process at a time may hold.

        Raises UserError where another one does, or the file cannot be written.
        """
        text = json.dumps(what, sort_keys=True).encode()
        path = home / "backfill" / f"{hashlib.sha256(text).hexdigest()[:16]}.jsonl"
        try:
            with exclusive(home):
                make_private(path.parent)
            with path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield cls(file)
        except BlockingIOError:
            raise UserError(
                f"the same backfill is running already: another process holds {path}; wait for "
                "it, or end it"
            ) from None
        except OSError as fault:
            raise UserError(f"cannot write {path}: {fault.strerror or fault}") from fault

    def until(self, wanted: int) -> int:
        """The end of what is read, microseconds since 1970 UTC: as when it was begun."""
        if self._head is None:
            self._head = {"until": wanted}
            self._write(self._head)
        return int(self._head["until"])

    def is_done(self, unit: str) -> bool:
        """Whether a unit needs no reading."""
        return unit in self._done

    def tickers(self) -> set[str]:
        """The markets that the units named."""
        return {ticker for tickers in self._done.values() for ticker in tickers}

    def add(self, unit: str, tickers: Sequence[str]) -> None:
        """A unit is done; it is on the disk when this returns."""
        self._done[unit] = list(tickers)
        self._write({"unit": unit, "tickers": self._done[unit]})

    def remove(self) -> None:
        """All is done: what is begun next begins anew."""
        Path(self._file.name).unlink(missing_ok=True)

    def _read(self) -> None:
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a line that a kill cut off: its unit is done again
            if "unit" in entry:
                self._done[entry["unit"]] = entry["tickers"]
            else:
                self._head = entry
        if lines[-1]:
            self._file.write(b"\n")

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
