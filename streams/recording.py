"""Recordings: raw frames of venues with their receive times, on disk.

Ours is zstd-compressed JSON lines, one frame each:
`{"t": <receive time, µs since 1970 UTC>, "feed": …, "connection": …, "frame": <text>}`, with
`"frame64": <base64>` instead of `frame` where the bytes are no UTF-8, and `"request": <path and
query>` where it is a REST reply. Recordings of version 0.1 say `venue` for `feed`. The reader also
knows two formats of others, told apart by content:

- cryptofeed's raw files: `<epoch seconds>: <frame>`, after a line `<url> <-> <epoch seconds>` for
  each connection; `<url> <- <epoch seconds>: <frame>` is what was sent.
- hftbacktest's Binance files: `<epoch nanoseconds> <frame>`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import orjson
import structlog
import zstandard

from streams.compressed import CompressedLines
from streams.connectors import FEEDS
from streams.connectors.base import Frame, Request
from streams.connectors.exact_json import exact_json
from streams.connectors.kraken_former import former_format, refuse_former_address
from streams.connectors.values import FrameError, integer, seconds_micros, text
from streams.errors import UserError
from streams.events.types import EARLIEST_TIME, LAST_TIME

__all__ = ["Recording", "RecordingWriter", "read"]

log = structlog.get_logger(__name__)

#: A killed recorder loses at most what came within this time, or this many bytes.
_FLUSH_MICROS = 500_000
_FLUSH_BYTES = 128 * 1024

#: The end of a host's name → its feed.
_FEED_OF_HOST = {
    "coinbase.com": "coinbase",
    "binance.com": "binance",
    "binance.vision": "binance",
    "binance.us": "binance-us",
    "kraken.com": "kraken",
}

_CRYPTOFEED_URL = re.compile(rb"(wss?://\S+) (<->|<-) ([0-9.]+)(?:: .*)?")
_CRYPTOFEED_FRAME = re.compile(rb"([0-9.]+): (.*)")
_HFTBACKTEST_FRAME = re.compile(rb"([0-9]{16,19}) (\{.*)")

#: Makes a frame of a line, None of one that carries no frame. Raises FrameError.
_LineReader = Callable[[bytes], Frame | None]


class RecordingWriter:
    """Writes our format to a new file. Use as a context manager, so that it ends complete."""

    def __init__(self, path: Path) -> None:
        """Raises UserError when the file exists already or cannot be made."""
        self._path = path
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            raise UserError(f"{path} exists already: choose another name or remove it") from error
        except OSError as error:
            raise self._cannot_write(error) from error
        self._zstd = zstandard.ZstdCompressor().stream_writer(self._file)
        self._flushed_at = 0
        self._pending = 0

    def write(self, frame: Frame) -> None:
        """Append one frame. Raises UserError when the disk does not take it."""
        line = _to_line(frame)
        try:
            self._zstd.write(line)
            self._pending += len(line)
            late = frame.received - self._flushed_at >= _FLUSH_MICROS
            if late or self._pending >= _FLUSH_BYTES:
                # Down to the operating system (the compressor flushes the file as well): a kill
                # of this process must not lose it.
                self._zstd.flush(zstandard.FLUSH_BLOCK)
                self._flushed_at = frame.received
                self._pending = 0
        except OSError as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                self._zstd.flush(zstandard.FLUSH_FRAME)
        except OSError as fault:
            raise self._cannot_write(fault) from fault

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"cannot write {self._path}: {error.strerror or error}")


class Recording:
    """A recording on disk, of any format that we know."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = CompressedLines(path)

    @property
    def position(self) -> int:
        """How many bytes of the file have been read so far."""
        return self._lines.position

    @property
    def truncated(self) -> bool:
        """Whether the file turned out to end too early (its recorder was killed)."""
        return self._lines.truncated

    def __iter__(self) -> Iterator[Frame]:
        """The frames in recorded order.

        Raises UserError with file and line for an unknown format, a venue without a connector, or
        a line that does not belong; a file that ends too early is read to its last complete line
        and logged.
        """
        numbered = ((n, line) for n, line in enumerate(self._lines, 1) if line.strip())
        first = next(numbered, None)
        if first is not None:
            reader = self._reader(first[1])
            for number, line in chain([first], numbered):
                try:
                    frame = reader(line)
                except FrameError as error:
                    raise UserError(f"{self.path}, line {number}: {error}") from error
                if frame is not None:
                    yield frame
        elif self.position == 0:
            raise UserError(f"{self.path} is empty: no recording")
        if self.truncated:
            log.warning("the recording ends too early", path=str(self.path))

    def _reader(self, first: bytes) -> _LineReader:
        # Not of the file's name: a copy replays to the same event ids.
        digest = hashlib.sha256(first).hexdigest()[:12]
        if _CRYPTOFEED_URL.fullmatch(first):
            return _Cryptofeed(digest)
        if _HFTBACKTEST_FRAME.fullmatch(first):
            return lambda line: _from_hftbacktest(line, digest)
        if first.startswith(b'{"t":'):
            return _from_line
        if former := _former_format(first):
            raise UserError(
                f"{self.path} holds frames of {former}, a format that is not read: of Kraken's "
                "formats only WebSocket v2 is served today"
            )
        raise UserError(
            f"{self.path} is no recording: its first line is none of `tape record`, cryptofeed or "
            f"hftbacktest: {first[:60]!a}"
        )


def read(path: Path) -> Iterator[Frame]:
    """The frames of a recording; see Recording."""
    return iter(Recording(path))


def _to_line(frame: Frame) -> bytes:
    line: dict[str, object] = {
        "t": frame.received,
        "feed": frame.feed,
        "connection": frame.connection,
    }
    if frame.request is not None:
        line["request"] = str(frame.request)
    try:
        line["frame"] = frame.data.decode()
    except UnicodeDecodeError:
        line["frame64"] = b64encode(frame.data).decode()
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _from_line(line: bytes) -> Frame:
    try:
        fields = orjson.loads(line)
        if not isinstance(fields, dict):
            raise FrameError("not a JSON object")
        if "frame64" in fields:
            data = b64decode(text(fields, "frame64"), validate=True)
        else:
            data = text(fields, "frame").encode()
    except (orjson.JSONDecodeError, binascii.Error) as error:
        raise FrameError(str(error)) from error
    connection = text(fields, "connection")
    if not 1 <= len(connection) <= 64:
        raise FrameError("connection: not 1 to 64 characters")
    feed = text(fields, "feed" if "feed" in fields else "venue")
    request = Request.of(text(fields, "request")) if "request" in fields else None
    return _frame(integer(fields, "t"), feed, connection, data, request)


def _from_hftbacktest(line: bytes, digest: str) -> Frame:
    match = _HFTBACKTEST_FRAME.fullmatch(line)
    if match is None:
        raise FrameError("not `<nanoseconds> <frame>`")
    return _frame(int(match[1]) // 1000, "binance", digest, match[2])


class _Cryptofeed:
    """Reads cryptofeed's lines, knowing the connection that the frames belong to."""

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self._connections = 0
        self._feed = ""

    def __call__(self, line: bytes) -> Frame | None:
        if opened := _CRYPTOFEED_URL.fullmatch(line):
            if opened[2] == b"<->":
                self._connections += 1
                self._feed = _feed_of(opened[1].decode())
            return None
        match = _CRYPTOFEED_FRAME.fullmatch(line)
        if match is None:
            raise FrameError("not `<seconds>: <frame>`")
        received = seconds_micros(match[1].decode())
        return _frame(received, self._feed, f"{self._digest}-{self._connections}", match[2])


def _former_format(line: bytes) -> str | None:
    try:
        return former_format(exact_json(line))
    except FrameError:
        return None


def _feed_of(url: str) -> str:
    address = urlsplit(url)
    refuse_former_address(address)
    host = address.hostname or ""
    for ending, feed in _FEED_OF_HOST.items():
        if host == ending or host.endswith(f".{ending}"):
            return feed
    raise FrameError(f"no connector reads {host}; known are {', '.join(sorted(FEEDS))}")


def _frame(
    received: int, feed: str, connection: str, data: bytes, request: Request | None = None
) -> Frame:
    if not EARLIEST_TIME <= received <= LAST_TIME:
        raise FrameError(f"the receive time is out of range: {received} µs")
    if feed.partition("@")[0] not in FEEDS:
        known = ", ".join(sorted(FEEDS))
        raise FrameError(f"no connector reads venue {ascii(feed)[:40]}; known are {known}")
    return Frame(received, feed, connection, data, request)
