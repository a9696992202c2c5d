"""What pages are sent, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from streams.console import stream
from streams.console.document import document
from streams.console.stream import Hub
from tests.streams.console.pictures import picture
from tests.streams.console.test_document import applied


def ignore(watched: bool) -> None:
    """For a hub that nobody asks who watches."""


class Page:
    """What a browser makes of the frames that it was sent."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self._frames = frames
        self.events: list[str] = []
        self.about: Any = None
        self.document: Any = None
        self.number = 0

    async def read(self) -> bytes:
        """The next frames; a change has to follow what the page has."""
        sent = await asyncio.wait_for(anext(self._frames), 60)
        for frame in sent.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in frame.split("\n"))
            self._take(fields["event"], int(fields.get("id", 0)), orjson.loads(fields["data"]))
        return sent

    def _take(self, event: str, number: int, data: Any) -> None:
        self.events.append(event)
        if event == "about":
            self.about = data
        elif event == "snapshot":
            self.document, self.number = data, number
        elif event == "delta":
            assert number == self.number + 1
            self.document, self.number = applied(self.document, data), number


async def test_a_page_gets_a_snapshot_then_what_changed() -> None:
    hub = Hub({"version": "x"}, ignore)
    hub.publish(picture(0))
    async with aclosing(hub.frames()) as frames:
        page = Page(frames)
        await page.read()
        for number in range(1, 4):
            hub.publish(picture(number))
            await page.read()
        assert page.events == ["about", "snapshot", "delta", "delta", "delta"]
        assert page.about == {"version": "x"}
        assert page.document == orjson.loads(orjson.dumps(document(picture(3))))


async def test_a_page_that_comes_before_the_first_picture_gets_it_once_there_is_one() -> None:
    hub = Hub({}, ignore)
    async with aclosing(hub.frames()) as frames:
        page = Page(frames)
        await page.read()
        assert page.document is None
        hub.publish(picture())
        await page.read()
        assert page.events == ["about", "snapshot"]


async def test_a_picture_is_encoded_once_however_many_pages_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = Hub({}, ignore)
    hub.publish(picture(0))
    streams = [hub.frames() for _ in range(10)]
    pages = [Page(frames) for frames in streams]
    encoded = []

    class Counting:
        @staticmethod
        def dumps(value: Any) -> bytes:
            encoded.append(value)
            return orjson.dumps(value)

    monkeypatch.setattr(stream, "orjson", Counting)
    for page in pages:
        await page.read()
    assert len(encoded) == 1
    hub.publish(picture(1))
    sent = [await page.read() for page in pages]
    assert len(encoded) == 2
    assert all(one is sent[0] for one in sent)
    for frames in streams:
        await frames.aclose()


async def test_a_slow_page_skips_to_a_snapshot_and_goes_on() -> None:
    hub = Hub({}, ignore)
    hub.publish(picture(0))
    async with aclosing(hub.frames()) as frames:
        page = Page(frames)
        await page.read()
        for number in range(1, 1000):
            hub.publish(picture(number))
        await page.read()
        assert page.events == ["about", "snapshot", "snapshot"]
        hub.publish(picture(1000))
        await page.read()
        assert page.events[-1] == "delta"
        assert page.document == orjson.loads(orjson.dumps(document(picture(1000))))


async def test_a_page_a_little_late_gets_all_that_it_missed() -> None:
    hub = Hub({}, ignore)
    hub.publish(picture(0))
    async with aclosing(hub.frames()) as frames:
        page = Page(frames)
        await page.read()
        for number in (1, 2, 3):
            hub.publish(picture(number))
        await page.read()
        assert page.events[2:] == ["delta"] * 3


async def test_a_page_that_comes_after_others_have_left_gets_what_is_new_since() -> None:
    hub = Hub({}, ignore)
    hub.publish(picture(0))
    async with aclosing(hub.frames()) as frames:
        await Page(frames).read()
    hub.publish(picture(1))
    hub.publish(picture(2))
    async with aclosing(hub.frames()) as frames:
        page = Page(frames)
        await page.read()
        hub.publish(picture(3))
        await page.read()
        assert page.events == ["about", "snapshot", "delta"]
        assert page.document == orjson.loads(orjson.dumps(document(picture(3))))


async def test_the_source_hears_of_the_first_page_and_when_the_last_one_has_left() -> None:
    heard: list[bool] = []
    hub = Hub({}, heard.append)
    async with aclosing(hub.frames()) as first, aclosing(hub.frames()) as second:
        await anext(first)
        await anext(second)
        await first.aclose()
        assert False not in heard
    assert (heard[0], heard[-1]) == (True, False)


async def test_without_news_pages_are_told_that_the_connection_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_QUIET", 0.01)
    async with aclosing(Hub({}, ignore).frames()) as frames:
        page = Page(frames)
        await page.read()
        await page.read()
        assert page.events == ["about", "quiet"]


async def test_closing_ends_every_stream_and_a_page_that_leaves_is_forgotten() -> None:
    hub = Hub({}, ignore)
    streams = [hub.frames() for _ in range(2)]
    for frames in streams:
        await anext(frames)
    assert hub.pages == 2
    await streams[0].aclose()
    assert hub.pages == 1
    hub.close()
    assert [frame async for frame in streams[1]] == []
    assert hub.pages == 0
