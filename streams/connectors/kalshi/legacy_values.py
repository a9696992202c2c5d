"""What only the old system's stores write: REAL money, local times.

Every function reads a field of one row or ticket, gives None where it is absent, null or empty
text, and raises `FrameError` for a value that cannot be read, and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events.tickers import EASTERN
from streams.events.types import micros_of

CENT = Decimal("0.01")

#: What a REAL of four bytes, PostgreSQL's, can be off; SQLite's eight bytes are closer.
_OFF = Decimal("1e-7")
#: What sums of cents in floats are off near zero: 0.19999999999999996.
_DUST = Decimal("1e-9")
_LARGEST = Decimal(10**15)


def rounded(item: Item, name: str, grain: Decimal = CENT) -> Decimal | None:
    """A number that was a multiple of `grain` before a float held it → that multiple.

    The float's shortest decimal text is rounded, without arithmetic in floats. What lies farther
    from a multiple than a float explains (0.965 dollars, at cents) is refused, never rounded away.
    """
    value = item.get(name)
    if value is None:
        return None
    if type(value) not in (int, float, Decimal):
        raise FrameError(f"{name}: not a number: {shown(value)}")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite() or abs(exact) > _LARGEST:
        raise FrameError(f"{name}: not a number of at most 15 digits: {shown(value)}")
    # Adding zero takes the sign off a zero.
    nearest = exact.quantize(grain, ROUND_HALF_EVEN) + 0
    if abs(exact - nearest) > abs(exact) * _OFF + _DUST:
        raise FrameError(f"{name}: no multiple of {grain}: {shown(value)}")
    return nearest


def local_time(text: str, near: int | None = None) -> int:
    """ISO 8601 text → microseconds since 1970 UTC. Without an offset it is Eastern time.

    In the hour that autumn repeats, the pass nearer to `near` is meant, without it the first.
    Raises FrameError for other text.
    """
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return micros_of(time)
        passes = [micros_of(time.replace(tzinfo=EASTERN, fold=fold)) for fold in (0, 1)]
    except (ValueError, OverflowError) as error:
        raise FrameError(f"not a time: {shown(text)}") from error
    return passes[0] if near is None else min(passes, key=lambda micros: abs(micros - near))
