"""What a Kalshi market ticker says: series, event, closing time, strike. Never more than it says.

`KXBTCD-25AUG0316-T114749.99` closes on 2025-08-03 at 16:00 Eastern, and its strike is 114,750: the
floor in the ticker is one cent lower. A ticker of another form is no error: what it does not say
is None. The venue's own metadata (`kalshi.lifecycle`) goes before whatever is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_CLOSING = re.compile(r"([0-9]{2})([A-Z]{3})([0-9]{2})([0-9]{2})([0-9]{2})?")
_FLOOR = re.compile(r"T([0-9]{1,12}(?:\.[0-9]{1,10})?)")


@dataclass(frozen=True, slots=True)
class Contract:
    """A ticker taken apart. `closes` is in UTC; `strike` in the underlying's currency."""

    series: str
    event: str
    closes: datetime | None
    strike: Decimal | None


@lru_cache(maxsize=4096)
def read_ticker(ticker: str) -> Contract:
    """Take a ticker apart. Raises nothing: what cannot be read is None."""
    series, *rest = ticker.split("-")
    event = "-".join([series, *rest[:1]])
    return Contract(
        series=series,
        event=event,
        closes=_closing_time(rest[0]) if rest else None,
        strike=_strike(rest[-1]) if len(rest) > 1 else None,
    )


@lru_cache(maxsize=1024)
def _closing_time(text: str) -> datetime | None:
    """`25AUG0316` or `26APR160100`: date and Eastern time of the closing moment.

    Hour 00 is the midnight with which the day begins. In the hour that autumn repeats, the first
    pass is meant.
    """
    match = _CLOSING.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    year, month, day = 2000 + int(match[1]), _MONTHS.index(match[2]) + 1, int(match[3])
    try:
        local = datetime(year, month, day, int(match[4]), int(match[5] or 0), tzinfo=EASTERN)
    except ValueError:
        return None
    return local.astimezone(UTC)


def _strike(text: str) -> Decimal | None:
    match = _FLOOR.fullmatch(text)
    if match is None:
        return None
    floor = Decimal(match[1])
    return floor + Decimal("0.01") if match[1].endswith(".99") else floor
