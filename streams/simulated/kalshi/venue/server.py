"""The venue on loopback: Kalshi's WebSocket and REST API on one port.

Every HTTP request is answered on a connection of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from streams.simulated.kalshi.venue.auth import PublicKey, refusal
from streams.simulated.kalshi.venue.client import Client, cut, drip, half
from streams.simulated.kalshi.venue.limits import Bucket
from streams.simulated.kalshi.venue.line import Line, Manner
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.query import Reply, error
from streams.simulated.kalshi.venue.rest import BASE, answer, route
from streams.simulated.kalshi.venue.state import Venue

__all__ = ["VenueServer", "wall_clock"]

_SOCKET_PATH = "/trade-api/ws/v2"
_HOST = "127.0.0.1"
_TOO_MANY = Reply(429, b'{"error":"too many requests"}')
#: A reply that drips takes long.
_ANSWER_WITHIN = 120.0


def wall_clock() -> int:
    """This machine's time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class VenueServer:
    """Serves a venue while inside the context.

    `keys` are those of one environment, by their ids; who changes the mapping changes who may ask
    from then on. `clock` is the venue's own, in microseconds since 1970 UTC: signatures and `Date`
    headers go by it, and the rate limit.
    """

    def __init__(
        self,
        venue: Venue,
        keys: Mapping[str, PublicKey],
        *,
        line: Line | None = None,
        clock: Callable[[], int] = wall_clock,
        ping_every: float = 10.0,
        buffer: int = 20_000,
        port: int = 0,
    ) -> None:
        self._venue = venue
        self._keys = keys
        self._line = line or Line()
        self._clock = clock
        self._ping_every = ping_every
        self._buffer = buffer
        self._port = port
        self._servers: list[Server] = []
        self._clients: dict[ServerConnection, Client] = {}
        self._upgrades = 0
        #: Of every open connection, the number of its upgrade; 0 of those that are requests.
        self._sockets: WeakKeyDictionary[ServerConnection, int] = WeakKeyDictionary()
        self._buckets: dict[str, Bucket] = {}
        venue.listen(self._hear)

    @property
    def websocket_url(self) -> str:
        """Where to connect to, while inside the context."""
        return f"ws://{_HOST}:{self._port}{_SOCKET_PATH}"

    @property
    def rest_url(self) -> str:
        """The base address of requests, while inside the context."""
        return f"http://{_HOST}:{self._port}{BASE}"

    async def __aenter__(self) -> Self:
        await self.open_port()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_port()
        for socket in list(self._sockets):
            cut(socket)
        for server in self._servers:
            await server.wait_closed()

    async def open_port(self) -> None:
        """Accept connections, again after `close_port` on the same port."""
        server = await serve(
            self._serve,
            _HOST,
            self._port,
            process_request=self._answer,
            ping_interval=None,
            open_timeout=_ANSWER_WITHIN,
        )
        self._servers.append(server)
        self._port = next(iter(server.sockets)).getsockname()[1]

    def close_port(self) -> None:
        """Refuse connections from now on; those that exist go on."""
        for server in self._servers:
            server.close(close_connections=False)

    def hang_up(self) -> None:
        """Cut all WebSocket connections."""
        for socket in self._clients:
            cut(socket)

    async def sent(self) -> None:
        """Return once all that was said so far is sent, to whoever still listens."""
        for client in list(self._clients.values()):
            await client.sent()

    def _hear(self, message: Message) -> None:
        for client in list(self._clients.values()):
            client.hear(message)

    async def _serve(self, socket: ServerConnection) -> None:
        number = self._sockets[socket]
        client = Client(number, socket, self._venue, self._line, self._buffer)
        work = [
            asyncio.create_task(client.send()),
            asyncio.create_task(client.ping(self._ping_every)),
        ]
        self._clients[socket] = client
        try:
            async for message in socket:
                client.command(message)
        except ConnectionClosed:
            pass
        finally:
            del self._clients[socket]
            for task in work:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            client.close()

    async def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """The reply to a request; None lets an upgrade go on."""
        target = urlsplit(request.path)
        self._sockets[socket] = 0
        if target.path != _SOCKET_PATH:
            reply = self._line.reply(target.path, self._reply(request, target))
            return await self._deliver(socket, *reply)
        self._upgrades += 1
        self._sockets[socket] = self._upgrades
        refused = self._line.upgrade(self._upgrades)
        if isinstance(refused, str):
            return await self._deliver(socket, error(503, "service_unavailable"), refused)
        refused = refused or refusal(self._keys, request.headers, target.path, self._clock())
        return await self._deliver(socket, refused, "whole") if refused else None

    def _reply(self, request: Request, target: SplitResult) -> Reply:
        path = target.path.removeprefix(BASE)
        found = route(path) if target.path.startswith(BASE) else None
        if found is None:
            return error(404, "not_found")
        asked_for, _ = found
        if asked_for.private:
            refused = refusal(self._keys, request.headers, target.path, self._clock())
            if refused is not None:
                return refused
        client = request.headers.get("KALSHI-ACCESS-KEY") or ""
        bucket = self._buckets.setdefault(client, Bucket(self._venue.limits))
        if not bucket.take(self._venue.limits.cost(asked_for.priced), self._clock()):
            return _TOO_MANY
        return answer(self._venue, path, target.query)

    async def _deliver(self, socket: ServerConnection, reply: Reply, manner: Manner) -> Response:
        response = self._response(reply)
        match manner:
            case "whole":
                return response
            case "half":
                await half(socket, response.serialize())
            case "drip":
                await drip(socket, response.serialize())
                socket.transport.close()
            case "cut":
                cut(socket)
        # The library sends no response to a connection that is gone.
        await socket.wait_closed()
        return response

    def _response(self, reply: Reply) -> Response:
        headers = Headers(
            {
                "Date": formatdate(self._clock() / 1_000_000, usegmt=True),
                "Connection": "close",
                "Content-Type": "application/json",
                "Content-Length": str(len(reply.body)),
            }
        )
        return Response(reply.status, HTTPStatus(reply.status).phrase, headers, reply.body)
