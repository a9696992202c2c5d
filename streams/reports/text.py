"""Values as text: exact for programs, short for people."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from streams.events.tickers import EASTERN

__all__ = ["as_json", "dollars", "eastern", "number", "plain"]


def plain(value: Decimal) -> str:
    """The exact value in plain notation, without trailing zeros: `0.965`, `200`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_json(value: Any) -> str:
    """JSON with decimals as strings, exact, and times in ISO 8601."""
    return json.dumps(value, default=_json_value, indent=2)


def _json_value(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON")


def dollars(value: Decimal | None) -> str:
    """For people: two digits after the point, up to four where they say something; null is -."""
    if value is None:
        return "-"
    text = f"{value:,.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def number(value: Decimal) -> str:
    """For people: a number of contracts, `1,200` or `2.5`."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def eastern(time: datetime | None) -> str:
    """For people: Eastern time to the minute, `2025-08-06 18:10`; null is -."""
    return f"{time.astimezone(EASTERN):%Y-%m-%d %H:%M}" if time else "-"
