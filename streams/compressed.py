"""Lines of a file that may be compressed with zstd or gzip, and may be cut off in the middle."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from streams.errors import UserError

__all__ = ["CompressedLines"]

#: Small, so that `position` moves steadily while a paced replay reads.
_CHUNK = 4096


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressor(start: bytes) -> Callable[[], _Decompressor] | None:
    """What reads a file that starts so; None when it is not compressed."""
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return lambda: zstandard.ZstdDecompressor().decompressobj()
    if start.startswith(b"\x1f\x8b"):
        return lambda: zlib.decompressobj(wbits=31)
    return None


class CompressedLines:
    """The complete lines of a file, without their ends; the compression is told by the content.

    While they are drawn, `position` is the number of bytes of the file that were read. `truncated`
    becomes true when a compressed file ends too early; what then stands after its last complete
    line is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.truncated = False

    def __iter__(self) -> Iterator[bytes]:
        """Raises UserError, with the file's name, when it cannot be read or is damaged."""
        rest = b""
        try:
            with self.path.open("rb") as file:
                make = _decompressor(file.read(4))
                file.seek(0)
                for chunk in self._raw(file) if make is None else self._decompressed(file, make):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from lines
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror or error}") from error
        except (zlib.error, zstandard.ZstdError) as error:
            where = f"{self.path} is damaged before byte {self.position}"
            raise UserError(f"{where}: {error}; the lines before it are good") from error
        if rest and not self.truncated:
            yield rest

    def _raw(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(_CHUNK):
            self.position += len(chunk)
            yield chunk

    def _decompressed(self, file: BinaryIO, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
        """All compressed streams of the file, one after the other (`cat a.zst b.zst` is valid)."""
        current = make()
        pending = False
        for chunk in self._raw(file):
            rest = chunk
            while rest:
                pending = True
                yield current.decompress(rest)
                rest = current.unused_data
                if current.eof:
                    current, pending = make(), False
        self.truncated = pending
