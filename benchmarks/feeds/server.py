"""A venue that sends made-up frames by WebSocket; each load has its path.

Arguments: the file to write the port to, frames a second (0: as fast as they are taken), how many
frames, the loads' names. The frames are made before it listens.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from benchmarks.feeds.loads import LOADS, answers
from benchmarks.feeds.waiting import write_whole

#: Frames in one write, where they go out as fast as they are taken.
_AT_ONCE = 50


class _Venue:
    """Answers what a feed asks, and sends its frames from the subscription on."""

    def __init__(self, frames: Mapping[str, Sequence[bytes]], rate: int) -> None:
        self._frames = frames
        self._rate = rate

    async def converse(self, connection: ServerConnection) -> None:
        """One connection, until the feed ends it."""
        request = connection.request
        assert request is not None
        name = request.path.removeprefix("/")
        async with asyncio.TaskGroup() as group:
            async for command in connection:
                replies, channels = answers(command)
                for reply in replies:
                    await connection.send(reply, text=True)
                if LOADS[name].channel in channels:
                    group.create_task(self._send(connection, self._frames[name]))

    async def _send(self, connection: ServerConnection, frames: Sequence[bytes]) -> None:
        if self._rate:
            await self._pace(connection, frames)
            return
        for start in range(0, len(frames), _AT_ONCE):
            # Past the library, which would take more of this machine than the feed does.
            connection.transport.write(b"".join(frames[start : start + _AT_ONCE]))
            await connection.drain()

    async def _pace(self, connection: ServerConnection, frames: Sequence[bytes]) -> None:
        """A late wake-up is made up for at once, so that the rate is kept."""
        begin, sent = time.monotonic(), 0
        while sent < len(frames):
            due = min(len(frames), int((time.monotonic() - begin) * self._rate))
            if due > sent:
                connection.transport.write(b"".join(frames[sent:due]))
                sent = due
            await asyncio.sleep(0.0005)


def _made(name: str, count: int) -> list[bytes]:
    """The frames as they stand on the wire: without a mask, as a server sends them."""
    began = time.time_ns() // 1000
    return [
        Frame(Opcode.TEXT, data).serialize(mask=False)
        for data in islice(LOADS[name].frames(began), count)
    ]


async def _serve(port_file: str, rate: str, count: str, *names: str) -> None:
    venue = _Venue({name: _made(name, int(count)) for name in names}, int(rate))
    async with serve(venue.converse, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        write_whole(Path(port_file), str(port))
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
