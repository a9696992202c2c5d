"""Which frame a record came from: W3C trace context, from frame to commit.

A trace id is made of the connection and the frame's number in it, so the replay of a recording
gives the same. Source of the form: w3.org/TR/trace-context.
"""

from __future__ import annotations

import hashlib

__all__ = ["traceparent"]


def traceparent(connection: str, arrival: int) -> str:
    """The traceparent of the frame of this number: `00-<trace id>-<span id>-01`."""
    digest = hashlib.blake2b(f"{connection}:{arrival}".encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"
