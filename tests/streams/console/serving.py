"""The console served for a test: to a client in this process, or on a port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

from streams.console.access import Access
from streams.console.actions import Repair, actions
from streams.console.app import Console, build_app
from streams.console.reads import Reads
from streams.console.run import Server, listen
from streams.monitor.model import Picture
from tests.streams.console.pictures import Scripted

#: Nothing listens there.
AWAY = "postgresql://tape@127.0.0.1:1/none"
HOST = "http://127.0.0.1:8321"


@asynccontextmanager
async def client(
    access: Access | None = None, dsn: str = AWAY, repair: Repair | None = None, base: str = HOST
) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a console that listens nowhere."""
    reads = Reads(dsn)
    console = build_app(Scripted(), reads, access or Access(), actions(repair) if repair else None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(console), base_url=base) as talking:
        yield talking
    reads.close()


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """A console at a port, in a thread of its own."""

    def __init__(self, console: Console, source: Scripted, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._console = console
        self._source = source
        self._server = Server(console)
        self._listening = listen("127.0.0.1", port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            assert self._thread.is_alive(), "the console did not start"

    def _run(self) -> None:
        self._loop.run_until_complete(self._server.serve(sockets=[self._listening]))
        self._loop.close()

    @property
    def pages(self) -> int:
        """How many pages have a stream now."""
        return self._console.hub.pages

    @property
    def pace(self) -> float | None:
        """Seconds from one Picture to the next, as the console wanted last."""
        return self._source.pace

    def show(self, picture: Picture) -> None:
        """Have the pages show this Picture."""
        self._loop.call_soon_threadsafe(self._source.show, picture)

    def stop(self) -> None:
        """Stop as Ctrl-C does it, if it runs."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the console did not stop"


@contextmanager
def served(
    picture: Picture, dsn: str = AWAY, repair: Repair | None = None, port: int | None = None
) -> Iterator[Served]:
    """A console that shows this Picture first."""
    source = Scripted(picture)
    console = build_app(source, Reads(dsn), Access(), actions(repair) if repair else None)
    running = Served(console, source, port or free_port())
    try:
        yield running
    finally:
        running.stop()
