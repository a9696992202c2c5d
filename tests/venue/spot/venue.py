"""The server of a fake spot venue: its WebSocket and REST API on one port, over a line with faults.

    world, faults = World(seed=1), Faults()
    async with FakeKraken(world, faults) as venue:
        ...  # connect to venue.websocket_url, venue.rest_url
        faults.at_frame(3, "trade", "skip")
        await venue.step(10)
        assert ... == world.trades

What the venue says is made by a dialogue, one for each connection; what becomes of it on the way is
decided by the faults of the fake Kalshi, which know frames, replies and upgrades of any venue.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.http11 import Request, Response

from streams.simulated.kalshi.venue.client import cut, drip, half
from streams.simulated.kalshi.venue.line import Act, Cut, Line, Manner, Send, Stall, Wait
from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.kalshi.venue.session import Frame
from tests.venue.spot.world import Step, World

__all__ = ["Dialogue", "Json", "SpotVenue", "reply"]

Json = dict[str, object]

_HOST = "127.0.0.1"


class Said(NamedTuple):
    """A frame before it is written. `kind` is what faults call it; replies suffer none."""

    kind: str
    body: Mapping[str, object]
    is_reply: bool = False


class Dialogue(ABC):
    """What a venue says to one connection. Pure."""

    def __init__(self, world: World) -> None:
        self.world = world

    def opened(self) -> Iterable[Said]:
        """What greets a connection."""
        return ()

    def asked(self, message: Json) -> Iterable[Said]:
        """The answers to a client's message."""
        return ()

    @abstractmethod
    def heard(self, step: Step) -> Iterable[Said]:
        """What is told of a step of the world, to whoever subscribed to it."""

    def beat(self) -> Iterable[Said]:
        """What comes each second."""
        return ()


class SpotVenue(ABC):
    """Use as an async context manager: it listens while inside."""

    #: The WebSocket's path.
    path = "/"
    #: How the REST API refuses a request.
    refusal: Reply

    def __init__(self, world: World, faults: Line | None = None) -> None:
        self.world = world
        #: The targets that were asked for by REST.
        self.requests: list[str] = []
        #: Whether the REST API refuses all requests.
        self.refuses = False
        #: How many connections were opened.
        self.connections = 0
        self._line = faults or Line()
        self._port = 0
        self._servers: list[Server] = []
        self._clients: list[_Client] = []

    @abstractmethod
    def dialogue(self, query: Mapping[str, str]) -> Dialogue:
        """That of a new connection; `query` is of its address."""

    @abstractmethod
    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """The reply of the REST API."""

    @property
    def websocket_url(self) -> str:
        """The base address of the WebSocket, while inside the context."""
        return f"ws://{_HOST}:{self._port}{self.path}".rstrip("/")

    @property
    def rest_url(self) -> str:
        """The base address of requests, while inside the context."""
        return f"http://{_HOST}:{self._port}"

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
        self.hang_up()
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def open_port(self) -> None:
        """Accept connections, again after `close_port` on the same port."""
        server = await serve(
            self._serve,
            _HOST,
            self._port,
            process_request=self._answer,
            ping_interval=None,
        )
        self._servers.append(server)
        self._port = next(iter(server.sockets)).getsockname()[1]

    def close_port(self) -> None:
        """Refuse connections from now on; those that exist go on."""
        for server in self._servers:
            server.close(close_connections=False)

    def hang_up(self) -> None:
        """Cut all WebSocket connections."""
        for client in self._clients:
            cut(client.socket)

    async def step(self, steps: int = 1) -> None:
        """Let the world go on, and return once all of it is sent."""
        for _ in range(steps):
            self.advance()
        await self.sent()

    def advance(self) -> None:
        """Let the world go on by one step; it is sent as far as the clients take it."""
        step = self.world.step()
        for client in list(self._clients):
            client.offer(client.dialogue.heard(step))

    async def beat(self) -> None:
        """Let a second pass, and return once what comes each second is sent."""
        self.say_beat()
        await self.sent()

    def say_beat(self) -> None:
        """Let a second pass; what comes each second is sent as far as the clients take it."""
        for client in list(self._clients):
            client.offer(client.dialogue.beat())

    async def sent(self) -> None:
        """Return once all that was said is sent, or lost with its connection."""
        for client in list(self._clients):
            await client.sent()

    async def _serve(self, socket: ServerConnection) -> None:
        self.connections += 1
        query = dict(parse_qsl(urlsplit(socket.request.path).query)) if socket.request else {}
        client = _Client(self.connections, socket, self._line, self.dialogue(query))
        self._clients.append(client)
        client.offer(client.dialogue.opened())
        try:
            async for message in socket:
                client.offer(client.dialogue.asked(orjson.loads(message)))
        except ConnectionClosed:
            pass
        finally:
            self._clients.remove(client)
            await client.end()

    async def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """The reply to a request; None lets an upgrade go on."""
        if "Upgrade" in request.headers:
            refused = self._line.upgrade(self.connections + 1)
            if refused is None:
                return None
            given = (reply({}, 503), refused) if isinstance(refused, str) else (refused, "whole")
            return await _deliver(socket, *given)
        self.requests.append(request.path)
        target = urlsplit(request.path)
        answer = self.answer(target.path, dict(parse_qsl(target.query)))
        given = self._line.reply(target.path, self.refusal if self.refuses else answer)
        return await _deliver(socket, *given)


class _Client:
    """A connection, and the frames that wait to be sent."""

    def __init__(
        self, number: int, socket: ServerConnection, line: Line, dialogue: Dialogue
    ) -> None:
        self.socket = socket
        self.dialogue = dialogue
        self._number = number
        self._line = line
        self._queue: asyncio.Queue[Said] = asyncio.Queue()
        self._sending = asyncio.create_task(self._send())

    def offer(self, said: Iterable[Said]) -> None:
        for one in said:
            self._queue.put_nowait(one)

    async def _send(self) -> None:
        """Send what waits, until cancelled; after a fault that silences it, only forget it."""
        is_silent = False
        while True:
            said = await self._queue.get()
            try:
                is_silent = is_silent or await self._deliver(said)
            finally:
                self._queue.task_done()

    async def sent(self) -> None:
        """Return once nothing waits, or the connection is over. Raises what ended the sending."""
        joined = asyncio.create_task(self._queue.join())
        await asyncio.wait({joined, self._sending}, return_when=asyncio.FIRST_COMPLETED)
        joined.cancel()
        if self._sending.done() and not self._sending.cancelled():
            self._sending.result()

    async def end(self) -> None:
        """Send no more."""
        self._sending.cancel()
        with suppress(asyncio.CancelledError):
            await self._sending

    async def _deliver(self, said: Said) -> bool:
        """Returns whether no frame is to be sent after it."""
        frame = Frame(said.kind, None, orjson.dumps(said.body))
        acts = [Send(frame.data)] if said.is_reply else self._line.frame(self._number, frame)
        try:
            for act in acts:
                if await self._do(act):
                    return True
        except (ConnectionClosed, InvalidState):  # closed, or about to be
            return True
        return False

    async def _do(self, act: Act) -> bool:
        match act:
            case Send(data, "whole"):
                await self.socket.send(data, text=True)
            case Send(data, manner):
                self.socket.protocol.send_text(data)
                raw = b"".join(self.socket.protocol.data_to_send())
                await (half if manner == "half" else drip)(self.socket, raw)
                return manner == "half"
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Cut():
                cut(self.socket)
                return True
            case Stall(deaf):
                if deaf:
                    self.socket.transport.pause_reading()
                return True
        return False


async def _deliver(socket: ServerConnection, given: Reply, manner: Manner) -> Response:
    headers = Headers(
        {
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": str(len(given.body)),
        }
    )
    response = Response(given.status, HTTPStatus(given.status).phrase, headers, given.body)
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


def reply(body: object, status: int = 200) -> Reply:
    """A reply in JSON."""
    return Reply(status, orjson.dumps(body))
