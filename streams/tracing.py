"""Which frame a record came from: W3C trace context, from frame to commit.

A trace id is made of the connection and the frame's number in it, so the replay of a recording
gives the same. Source of the form: w3.org/TR/trace-context.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

__all__ = ["EventId", "Place", "Target", "TraceId", "read_target", "traceparent"]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_TOPIC = r"[A-Za-z0-9._-]{1,249}"
_NUMBERS = r"([0-9]{1,9})%s([0-9]{1,18})"
_PLACE = re.compile(rf"({_TOPIC})\[{_NUMBERS % re.escape(']@')}")
# An event's id may look like this too, but never begins with a name that holds a dot and no slash.
_PLACE_BY_COLONS = re.compile(rf"(?=[^:]*\.)({_TOPIC}):{_NUMBERS % ':'}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class TraceId:
    """A frame, by 32 hexadecimal digits."""

    trace_id: str

    def __str__(self) -> str:
        return f"trace id {self.trace_id}"


@dataclass(frozen=True, slots=True)
class EventId:
    """An event, by its `ce_id`."""

    ce_id: str

    def __str__(self) -> str:
        return f"ce_id {self.ce_id!r}"


#: What can be traced.
Target = Place | TraceId | EventId


def traceparent(connection: str, arrival: int) -> str:
    """The traceparent of the frame of this number: `00-<trace id>-<span id>-01`."""
    digest = hashlib.blake2b(f"{connection}:{arrival}".encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"


def read_target(text: str) -> Target:
    """What a text names: a trace id or traceparent, `topic[partition]@offset` or with colons, a
    `ce_id` where it is none of these."""
    text = text.strip()
    if place := _PLACE.fullmatch(text) or _PLACE_BY_COLONS.fullmatch(text):
        return Place(place[1], int(place[2]), int(place[3]))
    trace = text.lower()
    if parent := _TRACEPARENT.fullmatch(trace):
        return TraceId(parent[1])
    return TraceId(trace) if _TRACE_ID.fullmatch(trace) else EventId(text)
