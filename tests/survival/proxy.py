"""A TCP proxy before PostgreSQL that cuts connections in the middle of a COMMIT."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import Any, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

#: As a query of its own, and among the statements of a pipeline.
_COMMIT = re.compile(rb"Q\x00\x00\x00\x0bCOMMIT\x00$|P\x00\x00\x00\x0e\x00commit\x00")


class CommitCutter:
    """Cuts every nth COMMIT of the workers' units.

    With `forward` the server gets the COMMIT and its reply is swallowed; else the server never
    hears of it. `cut` counts, `dsn` leads through the proxy.
    """

    def __init__(self, dsn: str, *, every: int, forward: bool) -> None:
        target = conninfo_to_dict(dsn)
        self._target = (str(target["host"]), int(target["port"] or 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(dsn, port=self._listener.getsockname()[1])
        self.cut = 0
        self._every = every
        self._forward = forward
        self._commits = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            doomed = threading.Event()
            back = threading.Thread(target=self._replies, args=[server, client, doomed])
            back.start()
            with contextlib.suppress(OSError):
                self._requests(client, server, doomed)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()

    def _requests(self, client: socket.socket, server: socket.socket, doomed: Any) -> None:
        is_unit = False
        while data := client.recv(65536):
            is_unit = is_unit or b"unit\x00" in data
            if is_unit and _COMMIT.search(data) and self._is_due():
                if not self._forward:
                    return
                doomed.set()
                server.sendall(data)
                doomed.wait_for_reply.wait(10)
                return
            server.sendall(data)

    def _replies(self, server: socket.socket, client: socket.socket, doomed: Any) -> None:
        doomed.wait_for_reply = threading.Event()
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    break
                client.sendall(data)
        doomed.wait_for_reply.set()

    def _is_due(self) -> bool:
        with self._lock:
            self._commits += 1
            due = self._commits % self._every == 0
            self.cut += due
            return due
