"""Where the console and the metrics of `tape up` listen."""

from __future__ import annotations

import socket

__all__ = ["CONSOLE_PORT", "METRICS_PORT", "free_port"]

CONSOLE_PORT = 8321
METRICS_PORT = 9109


def free_port(wanted: int) -> int:
    """This port of loopback, or another one where somebody listens there."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as found:
                return int(found.getsockname()[1])
        except OSError:
            continue
    raise AssertionError("no port is free")
