"""A server on loopback that answers by HTTP/1.1 as a test says, also as no proper server would."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import Literal, Self


@dataclass(frozen=True)
class Asked:
    """A request: its target is path and query; names of headers are in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What is sent, and whether the connection is kept, closed, or left in silence after it."""

    data: bytes
    then: Literal["keep", "close", "silence"] = "keep"
    #: Between one byte and the next, seconds.
    drip: float = 0.0


SILENCE = Answer(b"", "silence")
HANG_UP = Answer(b"", "close")


def reply(body: bytes = b"{}", status: int = 200, **headers: str) -> Answer:
    """A whole reply. Underscores in names of headers are dashes; an empty header is left out."""
    fields = {"Date": formatdate(usegmt=True), "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} As Said"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value]
    return Answer("\r\n".join([*lines, "", ""]).encode() + body)


class HttpServer:
    """Answers each request by a function of it. An async context manager."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def saying(cls, *answers: Answer) -> Self:
        """Gives these answers in turn, the last of them for ever."""
        left = list(answers)
        return cls(lambda _: left.pop(0) if len(left) > 1 else left[0])

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._respond(await reader.readuntil(b"\r\n\r\n"), writer)
        finally:
            writer.close()

    async def _respond(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        line, *fields = head.decode("latin-1").strip().split("\r\n")
        method, target, _ = line.split(" ")
        pairs = (field.split(": ", 1) for field in fields)
        asked = Asked(method, target, {name.lower(): value for name, value in pairs})
        self.asked.append(asked)
        answer = self._answer(asked)
        if answer.drip:
            for byte in answer.data:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(answer.drip)
        else:
            writer.write(answer.data)
            await writer.drain()
        if answer.then == "close":
            raise ConnectionResetError
        if answer.then == "silence":
            await asyncio.Event().wait()
