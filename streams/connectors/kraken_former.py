"""Kraken's formats other than WebSocket v2, which no connector reads: told, so as to be refused.

WebSocket v1 sent lists, and objects with an `event`; it named pairs `XBT/USD`. The futures' feed
sends objects with `feed` and `product_id`.
"""

from __future__ import annotations

from urllib.parse import SplitResult

from streams.connectors.values import FrameError

__all__ = ["former_format", "refuse_former_address"]


def former_format(value: object) -> str | None:
    """The name of the format that this JSON value is a frame of; None for any other."""
    if isinstance(value, list):
        return "Kraken's WebSocket v1"
    if not isinstance(value, dict) or "channel" in value or "method" in value:
        return None
    if "feed" in value and "product_id" in value:
        return "Kraken's futures"
    return "Kraken's WebSocket v1" if "event" in value else None


def refuse_former_address(address: SplitResult) -> None:
    """Raises FrameError for an address of Kraken's that is not WebSocket v2's."""
    host = address.hostname or ""
    if (host == "kraken.com" or host.endswith(".kraken.com")) and address.path != "/v2":
        raise FrameError(
            f"no connector reads {host}{address.path}, a format that is not read: of Kraken's "
            "formats only WebSocket v2 (wss://ws.kraken.com/v2) is served today"
        )
