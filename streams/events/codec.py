"""Between events and Kafka records: CloudEvents 1.0 in binary mode.

The value is the plain JSON of the data model; the attributes ride in headers. Reading walks old
versions through their upcasters, so that nothing behind this module knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from streams.events import catalogue
from streams.events.base import Event

Headers = Sequence[tuple[str, bytes | None]]

SPEC_VERSION = b"1.0"
#: W3C trace context: which frame a record came by.
TRACE_HEADER = "traceparent"
#: A value over this many bytes is refused unread; no venue's frame comes near it.
MAX_VALUE_BYTES = 1024 * 1024


#: What an upcaster raises on data that is not of its version.
_BAD_DATA = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class DecodeError(ValueError):
    """A record that is no event of the catalogue. The message says which rule it broke."""


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """An event as Kafka takes it: topic, key, value and headers.

    The headers are the four of CloudEvents and, where it came by a frame, `traceparent`.
    """

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def encode(event: Event, trace: str | None = None) -> EncodedEvent:
    """The record of an event; `trace` is the traceparent of the frame it came by."""
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", event.event_id().encode()),
        ("ce_type", event.ce_type().encode()),
        ("ce_source", event.source().encode()),
    ]
    if trace is not None:
        headers.append((TRACE_HEADER, trace.encode()))
    return EncodedEvent(event.topic, event.key().encode(), event.to_json(), headers)


def ce_type(headers: Headers) -> str:
    """The event type that the headers declare.

    Raises DecodeError when the CloudEvents version or type is missing or unusable.
    """
    attributes = dict(headers)
    try:
        "".join(attributes).encode()
    except UnicodeEncodeError as error:
        raise DecodeError("a header name is not UTF-8") from error
    if attributes.get("ce_specversion") != SPEC_VERSION:
        raise DecodeError("header ce_specversion is not 1.0")
    if not attributes.get("ce_id"):
        raise DecodeError("header ce_id is missing")
    raw = attributes.get("ce_type")
    if not raw:
        raise DecodeError("header ce_type is missing")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("header ce_type is not UTF-8") from error


def decode(value: bytes | None, headers: Headers) -> Event:
    """The event of a record, in its newest version.

    Raises DecodeError, and nothing else, whatever the bytes are.
    """
    declared = ce_type(headers)
    if not value:
        raise DecodeError("the value is empty")
    if len(value) > MAX_VALUE_BYTES:
        raise DecodeError(f"the value has {len(value)} bytes, more than {MAX_VALUE_BYTES}")
    model = catalogue.BY_TYPE.get(declared)
    if model is None:
        return _upcast(declared, value)
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        raise DecodeError(_reason(error)) from error


def _upcast(declared: str, value: bytes) -> Event:
    if declared not in catalogue.UPCASTERS:
        raise DecodeError(f"unknown event type {declared!r}")
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise DecodeError("value: not a JSON object")
    name, _, version = declared.rpartition(".v")
    while (upcaster := catalogue.UPCASTERS.get(f"{name}.v{version}")) is not None:
        try:
            data = upcaster(data)
        except _BAD_DATA as error:
            raise DecodeError(f"{name}.v{version} cannot be upcast: {error!r}") from error
        version = str(int(version) + 1)
    try:
        return catalogue.BY_TYPE[f"{name}.v{version}"].model_validate(data)
    except ValidationError as error:
        raise DecodeError(_reason(error)) from error


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    return f"{where}: {first['msg']}"
