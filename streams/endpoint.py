"""An HTTP endpoint of a process: `/metrics` for Prometheus, `/live` and `/ready` for probes.

Served by a thread of its own, so that a process whose event loop hangs still says that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from streams.errors import UserError

__all__ = ["Probe", "serving"]

#: Why a process does not live, or is not ready; None where it is.
Probe = Callable[[], str | None]


class _Server(WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: who asks each few seconds would fill the log."""


@contextmanager
def serving(
    registry: CollectorRegistry, live: Probe, ready: Probe, host: str, port: int
) -> Iterator[int]:
    """Serve until the context ends; gives the port, another one where 0 was asked for.

    Raises UserError where the port is taken.
    """
    application = _application(make_wsgi_app(registry), {"/live": live, "/ready": ready})
    try:
        server = make_server(host, port, application, _Server, _Silent)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    thread = Thread(target=server.serve_forever, daemon=True, name="metrics")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _application(metrics: Callable[..., Iterable[bytes]], probes: dict[str, Probe]) -> Any:
    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)
        if path not in probes:
            return _answer(start, HTTPStatus.NOT_FOUND, "ask for /metrics, /live or /ready")
        reason = probes[path]()
        if reason is None:
            return _answer(start, HTTPStatus.OK, "ok")
        return _answer(start, HTTPStatus.SERVICE_UNAVAILABLE, reason)

    return application


def _answer(start: Callable[..., Any], status: HTTPStatus, text: str) -> list[bytes]:
    start(f"{status.value} {status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
