"""Bare clients for the tests of the fake: WebSocket and HTTP, which know nothing of connectors."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.venue.fake import FakeKalshi
from tests.venue.keys import ApiKey, api_key

Json = dict[str, Any]

#: Nothing that should come takes nearly as long.
PATIENCE = 20.0

#: Not used; but to make one anew for each request takes longer than the request.
_TLS = ssl.create_default_context()


class Talk:
    """One WebSocket connection; commands are numbered from 1."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._number = 0

    async def send(self, cmd: str, **params: object) -> int:
        """Send a command; returns its number."""
        self._number += 1
        command = {"id": self._number, "cmd": cmd, "params": params}
        await self.socket.send(orjson.dumps(command), text=True)
        return self._number

    async def frame(self) -> Json:
        """The next frame."""
        async with asyncio.timeout(PATIENCE):
            frame = orjson.loads(await self.socket.recv())
        assert isinstance(frame, dict)
        return frame

    async def frames(self, count: int) -> list[Json]:
        """So many frames."""
        return [await self.frame() for _ in range(count)]

    async def ask(self, cmd: str, replies: int = 1, **params: object) -> list[Json]:
        """Send a command and return so many frames."""
        await self.send(cmd, **params)
        return await self.frames(replies)

    async def until_said(self) -> list[Json]:
        """The frames up to now: those before the answer to a question of ours."""
        number = await self.send("list_subscriptions")
        found = []
        while (frame := await self.frame()).get("id") != number:
            found.append(frame)
        return found

    async def gone(self) -> None:
        """Return once the connection has ended."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()


@asynccontextmanager
async def talk(venue: FakeKalshi, key: ApiKey | None = None) -> AsyncIterator[Talk]:
    """A connection with a signature of a key, by default the first."""
    headers = (key or api_key()).headers(urlsplit(venue.websocket_url).path)
    async with connect(
        venue.websocket_url,
        additional_headers=headers,
        ping_interval=None,
        max_size=None,
        close_timeout=0.2,
    ) as socket:
        yield Talk(socket)


async def get(
    venue: FakeKalshi, path: str, key: ApiKey | None = None, /, **params: str | int
) -> httpx.Response:
    """The reply to a request, signed with a key if there is one."""
    url = venue.rest_url + path
    headers = key.headers(urlsplit(url).path) if key else {}
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, verify=_TLS) as client:
        return await client.get(url, headers=headers, params=params)


async def read(venue: FakeKalshi, path: str, /, **params: str | int) -> Json:
    """The body of a reply that is good, to a request of the first key."""
    response = await get(venue, path, api_key(), **params)
    assert response.status_code == 200, response.text
    body = response.json()
    assert isinstance(body, dict)
    return body


async def pages(venue: FakeKalshi, path: str, name: str, /, **params: str | int) -> list[Json]:
    """All rows of a list, page by page."""
    rows: list[Json] = []
    cursor = ""
    while True:
        page = await read(venue, path, **params, **({"cursor": cursor} if cursor else {}))
        rows += page[name]
        cursor = page["cursor"]
        if not cursor:
            return rows
