"""From a venue's notation to ours: decimals, times and integers, exactly and without floats.

Everything here raises `FrameError` for what it cannot convert, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from streams.events.types import MAX_INT64, UNSIGNED_DECIMAL, micros_of

__all__ = [
    "FrameError",
    "decimal_text",
    "epoch_micros",
    "integer",
    "rfc3339_micros",
    "seconds_micros",
    "shown",
    "text",
]

_PLAIN = re.compile(UNSIGNED_DECIMAL)
_ANY_NOTATION = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_LONGEST_DECIMAL = 80
_WHOLE_DIGITS = 20
_FRACTION_DIGITS = 10

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?")

#: Milliseconds reach this in the year 5138, microseconds passed it in 1973.
_FIRST_MICROSECONDS = 10**14


class FrameError(ValueError):
    """A frame, or a value in it, that cannot be read. The message says which and why."""


def decimal_text(value: object) -> str:
    """A venue's decimal in plain notation, at most 20 + 10 digits, the value unchanged.

    Plain text passes as it is, trailing zeros included; "1e-8", ".5" and "007" are rewritten; what
    would need rounding, a sign or more digits is refused, and so is a JSON number, because it has
    been through a float.
    """
    if not isinstance(value, str):
        raise FrameError(f"a decimal is text, not {type(value).__name__}")
    if _PLAIN.fullmatch(value):
        return value
    if len(value) > _LONGEST_DECIMAL or not _ANY_NOTATION.fullmatch(value):
        raise FrameError(f"not a decimal: {shown(value)}")
    number = Decimal(value)
    if number == 0:
        return "0"
    # Bounded before it is written out: "1e999999" would be a megabyte of zeros.
    if not -_FRACTION_DIGITS <= number.adjusted() < _WHOLE_DIGITS:
        raise FrameError(f"more than 20 + 10 digits: {shown(value)}")
    whole, _, fraction = format(number, "f").partition(".")
    if len(fraction) > _FRACTION_DIGITS:
        if fraction[_FRACTION_DIGITS:].strip("0"):
            raise FrameError(f"more than 10 digits after the point: {shown(value)}")
        fraction = fraction[:_FRACTION_DIGITS]
    return f"{whole}.{fraction}" if fraction else whole


def rfc3339_micros(value: object) -> int:
    """RFC 3339 text with up to nine fractional digits → microseconds since 1970 UTC.

    Digits below the microsecond are cut off, as a clock would.
    """
    if isinstance(value, str) and value[-1:] == "Z":
        fraction = value[19:-1]
        digits = fraction[1:10]
        if not fraction:
            return _of_second(value)
        if fraction[0] == "." and fraction[1:] == digits and digits.isascii() and digits.isdigit():
            return _of_second(f"{value[:19]}Z") + _micros_of_fraction(digits)
    return _any_rfc3339_micros(value)


@lru_cache(maxsize=1024)
def _of_second(text: str) -> int:
    return _any_rfc3339_micros(text)


def _any_rfc3339_micros(value: object) -> int:
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise FrameError(f"not an RFC 3339 time: {shown(value)}")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise FrameError(f"not an RFC 3339 time: {shown(value)}: {error}") from error
    micros = micros_of(moment)
    sign, hours, minutes = match.groups()[7:]
    if sign:
        offset = (int(hours) * 3600 + int(minutes) * 60) * 1_000_000
        micros -= offset if sign == "+" else -offset
    return micros + _micros_of_fraction(match[7])


def seconds_micros(value: str) -> int:
    """Decimal seconds since 1970 ("1618677816.8434298") → microseconds, cut below them."""
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise FrameError(f"not a time in seconds: {shown(value)}")
    return int(match[1]) * 1_000_000 + _micros_of_fraction(match[2])


def epoch_micros(value: int) -> int:
    """An epoch time in milliseconds or microseconds, told apart by magnitude → microseconds."""
    return value if value >= _FIRST_MICROSECONDS else value * 1000


def integer(frame: Mapping[str, Any], name: str) -> int:
    """The field as a whole number of 0 ≤ n < 2**63 - 1 (its successor is a number too)."""
    value = frame.get(name)
    if type(value) is not int or not 0 <= value < MAX_INT64:
        raise FrameError(f"{name}: not a whole number of 63 bits: {shown(value)}")
    return value


def text(frame: Mapping[str, Any], name: str) -> str:
    """The field as text."""
    value = frame.get(name)
    if not isinstance(value, str):
        raise FrameError(f"{name}: not text: {shown(value)}")
    return value


def _micros_of_fraction(digits: str | None) -> int:
    return int(digits[:6].ljust(6, "0")) if digits else 0


def shown(value: object) -> str:
    """A value as an error shows it, in at most 100 characters; of a container only its type,
    because one that is nested a thousand deep cannot be written out."""
    return type(value).__name__ if isinstance(value, dict | list) else ascii(value)[:100]
