"""Server-sent events: a snapshot for who comes, then what changed, encoded once for all pages.

A page that reads too slowly is not waited for: what it missed is dropped, and it gets a snapshot.
So each page holds a bounded number of frames, which it shares with the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import orjson

from streams.console.document import Document, document, merge_patch
from streams.monitor.model import Picture

__all__ = ["MOST_PAGES", "Hub"]

#: Pages at once, as whoever serves them minds; each holds a connection and shares its frames.
MOST_PAGES = 200
#: Frames that a page may be behind.
_MOST_BEHIND = 5
#: Seconds without a frame, after which pages are told that the connection lives.
_QUIET = 10.0
_STILL_HERE = b"event: quiet\ndata: {}\n\n"


class Hub:
    """Gives every page the newest Picture.

    The events are `about` (what this console is), `snapshot` (a document, see
    streams.console.document), `delta` (a JSON Merge Patch of the document before) and `quiet`
    (there is no news). The ids of snapshot and delta count the Pictures: a delta is of use to who
    has the one before it.
    """

    def __init__(self, about: Mapping[str, Any], watched: Callable[[bool], None]) -> None:
        """`watched` is told when the first page comes, and when the last one has left."""
        self._about = _frame("about", about)
        self._watched = watched
        self._picture: Picture | None = None
        self._version = 0
        self._document: Document | None = None
        self._snapshot: bytes | None = None
        self._pages: set[_Page] = set()
        self._is_closed = False

    @property
    def pages(self) -> int:
        """How many pages are served now."""
        return len(self._pages)

    def publish(self, picture: Picture) -> None:
        """Tell all pages what is new in this Picture."""
        old = self._document
        self._picture, self._document, self._snapshot = picture, None, None
        self._version += 1
        if not self._pages:
            return
        if old is None:
            frame = self.snapshot()
        else:
            self._document = document(picture)
            frame = _frame("delta", merge_patch(old, self._document), self._version)
        for page in self._pages:
            page.offer(frame)

    def snapshot(self) -> bytes:
        """The frame of all that is known now; empty while nothing is."""
        if self._picture is None:
            return b""
        if self._document is None:
            self._document = document(self._picture)
        if self._snapshot is None:
            self._snapshot = _frame("snapshot", self._document, self._version)
        return self._snapshot

    def close(self) -> None:
        """End every page's stream, so that the server can stop; pages come again by themselves."""
        self._is_closed = True
        for page in self._pages:
            page.wake.set()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The frames for one page, until it leaves."""
        page = _Page()
        self._pages.add(page)
        self._watched(True)
        try:
            yield self._about + self.snapshot()
            while not self._is_closed:
                yield await self._next(page)
        finally:
            self._pages.discard(page)
            if not self._pages:
                self._watched(False)

    async def _next(self, page: _Page) -> bytes:
        try:
            async with asyncio.timeout(_QUIET):
                await page.wake.wait()
        except TimeoutError:
            return _STILL_HERE
        if page.is_behind:
            page.forget()
            return self.snapshot()
        return page.take()


class _Page:
    """The frames that one page has yet to get."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.is_behind = False
        self._frames: deque[bytes] = deque()

    def offer(self, frame: bytes) -> None:
        if self.is_behind:
            return
        if len(self._frames) == _MOST_BEHIND:
            self._frames.clear()
            self.is_behind = True
        else:
            self._frames.append(frame)
        self.wake.set()

    def take(self) -> bytes:
        """All that waits, which is nothing where the stream was closed."""
        taken = b"".join(self._frames)
        self.forget()
        return taken

    def forget(self) -> None:
        self._frames.clear()
        self.is_behind = False
        self.wake.clear()


def _frame(event: str, data: Mapping[str, Any], number: int | None = None) -> bytes:
    head = f"event: {event}\n" if number is None else f"event: {event}\nid: {number}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"
