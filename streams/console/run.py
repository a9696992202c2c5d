"""Serves the console until it is cancelled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import APIRouter

from streams.console.access import LOOPBACK, Access
from streams.console.app import Console, build_app
from streams.console.reads import Reads
from streams.console.source import PictureSource
from streams.errors import UserError
from streams.settings import Endpoints, Settings

__all__ = ["Plan", "Server", "listen", "serve"]

#: Makes what the console shows; `tape console` has the observatory's.
Sources = Callable[[Endpoints, Settings], AbstractAsyncContextManager[PictureSource]]

#: Seconds that requests may take once it stops; streams end at once.
_GRACE = 2


@dataclass(frozen=True)
class Plan:
    """Where the console listens, and whether it may change anything."""

    host: str
    port: int
    actions: bool

    @property
    def address(self) -> str:
        """For people: `http://127.0.0.1:8321/`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


class Server(uvicorn.Server):
    """Serves until `stop` is called; whoever runs it minds the signals."""

    def __init__(self, app: Console) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                proxy_headers=False,
                access_log=False,
                log_level="warning",
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._console = app
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Until `stop` is called: uvicorn's own wakes up ten times a second to see whether."""
        await self.on_tick(0)
        await self._ending.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them: they are the command's."""
        yield

    def stop(self) -> None:
        """End the pages' streams and let requests end."""
        self._console.hub.close()
        self.should_exit = True
        self._ending.set()


async def serve(
    plan: Plan, endpoints: Endpoints, settings: Settings, sources: Sources, told: Callable[[], None]
) -> None:
    """Serve until cancelled; `told` is called once it listens.

    Raises UserError: nothing can listen there, or a token is lacking.
    """
    access = _access(plan, settings)
    actions = _actions(endpoints, settings) if plan.actions else None
    async with sources(endpoints, settings) as source:
        listening = listen(plan.host, plan.port)
        server = Server(build_app(source, Reads(endpoints.dsn), access, actions))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.02)
            if server.started:
                told()
            await asyncio.shield(serving)
        finally:
            server.stop()
            await asyncio.wait({serving})


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UserError where that cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"the console cannot listen at {host} port {port}: {reason}; choose another --port"
        ) from None


def _actions(endpoints: Endpoints, settings: Settings) -> APIRouter:
    # With it come the libraries of all projections, which a console that only reads does without.
    from streams.console.actions import Repair, actions

    return actions(Repair(endpoints, settings))


def _access(plan: Plan, settings: Settings) -> Access:
    secret = settings.console_token
    token = None if secret is None else secret.get_secret_value()
    is_local = plan.host in LOOPBACK
    if token is None and not is_local:
        raise UserError(
            f"at {plan.host} others can reach the console: set TAPE_CONSOLE_TOKEN, which they are "
            "asked for (`openssl rand -hex 24` makes one)"
        )
    return Access(hosts=LOOPBACK if is_local else None, token=token)
