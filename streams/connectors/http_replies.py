"""What a reply by HTTP says beside its contents: errors, the venue's clock, how long to wait.

Pure. None of these functions raises anything, whatever the venue sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import orjson

from streams.connectors.base import ConnectorError, Request
from streams.events.types import micros_of

__all__ = ["Rejected", "VenueError", "clock_skew", "is_json", "retry_after", "venue_error"]

#: Of an error's text, in characters: the page of a proxy is longer.
_LONGEST_TEXT = 300
_SECOND = 1_000_000
#: A venue that wants more has another reason than a busy minute. Seconds.
_LONGEST_WAIT = 300.0


@dataclass(frozen=True, slots=True)
class VenueError:
    """What a venue says of an error: its own code, which may be empty, and text on one line."""

    code: str
    message: str

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.code, self.message) if part)
        return said or "no reason given"


class Rejected(ConnectorError):
    """The venue refused a request for good, with this HTTP status: to repeat it is of no use."""

    def __init__(self, venue: str, request: Request, status: int, error: VenueError) -> None:
        super().__init__(f"{venue} rejected GET {request} with status {status}: {error}")
        self.status = status
        self.code = error.code
        self.message = error.message


def venue_error(body: bytes, secrets: Iterable[str] = ()) -> VenueError:
    """The error that a reply tells, in any shape that is in use, without any of the secrets.

    Kalshi's are `{"error": {"code", "message", "details"}}`, `{"error": "text"}` and `{"code",
    "message", "details"}` (reference/connectors.md section 6); Coinbase has `{"message"}`, Binance
    `{"code": -1121, "msg"}`, Kraken `{"error": ["text"]}`. What is no JSON is the text itself.
    Some servers repeat what they were sent: hence `secrets`.
    """
    code, texts = _said(body)
    message = ": ".join(text for text in texts if isinstance(text, str) and text)
    hidden = tuple(secrets)
    return VenueError(_line(code, hidden), _line(message, hidden))


def _said(body: bytes) -> tuple[str, Sequence[object]]:
    """The code, and what there is of texts."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", [body.decode(errors="replace")]
    inner = value["error"] if isinstance(value, dict) and value.get("error") else value
    if isinstance(inner, dict):
        code = inner.get("code")
        texts = [inner.get("message") or inner.get("msg"), inner.get("details")]
        return str(code) if isinstance(code, str | int) else "", texts
    return "", inner if isinstance(inner, list) else [inner]


def _line(text: str, secrets: Sequence[str]) -> str:
    """Printable, on one line, and not too long for a message."""
    for secret in secrets:
        text = text.replace(secret, "…")
    clean = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(clean.split())[:_LONGEST_TEXT]


def is_json(body: bytes) -> bool:
    """Whether this is one whole JSON value."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def clock_skew(headers: Mapping[str, str], sent: int, received: int) -> int | None:
    """How far our clock is ahead of the venue's, by the header `Date`, in microseconds.

    `sent` and `received` are our times of the request and of its reply. The venue's time is cut
    off to seconds and was told at some moment between the two, so that the result is right to
    half of (received - sent) and half a second; None if the clocks may agree, or do to a second.
    """
    told = _time(headers.get("date", ""))
    # What a cache has kept tells the time of long ago.
    if told is None or "age" in headers:
        return None
    least, most = sent - (told + _SECOND), received - told
    middle = (least + most) // 2
    return middle if (least > 0 or most < 0) and abs(middle) > _SECOND else None


def _time(date: str) -> int | None:
    """Microseconds since 1970 UTC of an HTTP date (RFC 9110 section 5.6.7)."""
    try:
        time = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return micros_of(time if time.tzinfo else time.replace(tzinfo=UTC))


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds for which the venue asks to wait (RFC 9110 section 10.2.3), at most 300; else 0.

    Kalshi does not say; Coinbase and Binance do, in seconds.
    """
    text = headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0.0
