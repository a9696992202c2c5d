"""One WebSocket connection of the server: commands in, frames out, over its line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from streams.simulated.kalshi.venue.line import Act, Cut, End, Line, Send, Stall, Wait
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.session import Frame, Session
from streams.simulated.kalshi.venue.state import Venue

__all__ = ["Client", "cut", "drip", "half"]

log = structlog.get_logger(__name__)

_BUFFER_OVERFLOW = 25
_DRIP_EVERY = 0.001


class Client:
    """A connection, numbered from 1, and the frames that wait to be sent.

    Whose subscription falls behind by more than `buffer` frames loses it (error 25).
    """

    def __init__(
        self, number: int, socket: ServerConnection, venue: Venue, line: Line, buffer: int
    ) -> None:
        self.session = Session(venue)
        self._number = number
        self._socket = socket
        self._line = line
        self._buffer = buffer
        self._queue: asyncio.Queue[Frame] = asyncio.Queue()
        self._silent = self._deaf = False

    def command(self, data: str | bytes) -> None:
        """Answer a client's message."""
        code = self._line.command(self._number, data)
        answers = self.session.handle(data) if code is None else self.session.refuse(data, code)
        self._offer(answers)

    def hear(self, message: Message) -> None:
        """Tell of what happened, if the client wants to know."""
        self._offer(self.session.hear(message))

    def _offer(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if self._queue.qsize() >= self._buffer and frame.sid is not None:
                log.warning("a slow subscription is ended", kind=frame.kind)
                for last in self.session.end(frame.sid, _BUFFER_OVERFLOW):
                    self._queue.put_nowait(last)
            else:
                self._queue.put_nowait(frame)

    async def sent(self) -> None:
        """Return once nothing waits; what cannot be sent any more does not."""
        await self._queue.join()

    async def send(self) -> None:
        """Send what waits, until cancelled. What comes after the end of the connection is lost."""
        while True:
            frame = await self._queue.get()
            try:
                self._silent = self._silent or await self._deliver(frame)
            finally:
                self._queue.task_done()

    def close(self) -> None:
        """Forget what waits: the connection is gone."""
        while not self._queue.empty():
            self._queue.get_nowait()
            self._queue.task_done()

    async def ping(self, every: float) -> None:
        """Ping at regular times, as the venue does, whether or not it is answered."""
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(every)
                if not self._deaf:
                    await self._socket.ping(b"heartbeat")

    async def _deliver(self, frame: Frame) -> bool:
        """Returns whether no frame is to be sent after it."""
        try:
            for act in self._line.frame(self._number, frame):
                if await self._do(act, frame):
                    return True
        except ConnectionClosed:
            return True
        return False

    async def _do(self, act: Act, frame: Frame) -> bool:
        """Returns whether nothing is to be sent after it."""
        match act:
            case Send(data, "whole"):
                await self._socket.send(data, text=True)
            case Send(data, manner):
                await self._write(data, manner)
                return manner == "half"
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case End(code):
                if frame.sid is not None:
                    self._offer(self.session.end(frame.sid, code))
            case Cut():
                cut(self._socket)
                return True
            case Stall(deaf):
                self._deaf = deaf
                if deaf:
                    self._socket.transport.pause_reading()
                return True
        return False

    async def _write(self, data: bytes, manner: str) -> None:
        self._socket.protocol.send_text(data)
        raw = b"".join(self._socket.protocol.data_to_send())
        await (half if manner == "half" else drip)(self._socket, raw)


def cut(socket: ServerConnection) -> None:
    """Cut a connection at once."""
    socket.transport.abort()


async def half(socket: ServerConnection, data: bytes) -> None:
    """Write the first half, and end the connection."""
    socket.transport.write(data[: len(data) // 2])
    socket.transport.close()


async def drip(socket: ServerConnection, data: bytes) -> None:
    """Write byte by byte, as packets of their own."""
    for place in range(len(data)):
        if socket.transport.is_closing() or socket.state > State.OPEN:
            return
        socket.transport.write(data[place : place + 1])
        await asyncio.sleep(_DRIP_EVERY)
