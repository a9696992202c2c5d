"""Exact arithmetic and canonical text of the account's values: dollars, contracts, times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import orjson

from streams.events.types import micros_of, plain

ONE = Decimal(1)
ZERO = Decimal(0)

#: Wide enough for any product of values of the wire format. What reckons with the operators of
#: Decimal does so in `localcontext(EXACT)`.
EXACT = Context(prec=120)
_TEN_DIGITS = Decimal("1e-10")
_FAR = Decimal("1e-60")
_CENT = Decimal("0.01")
_FEE_RATE = Decimal("0.07")
#: Amounts and counts come again and again: to look one up takes a fifth of the time.
_REMEMBERED = 16_384
_AS_THEY_ARE = orjson.OPT_PASSTHROUGH_DATETIME


@lru_cache(maxsize=_REMEMBERED)
def trimmed(value: Decimal) -> Decimal:
    """The same number without trailing zeros, never in scientific notation, and no minus zero."""
    if not value:
        return ZERO
    short = EXACT.normalize(value)
    return EXACT.quantize(short, ONE) if short == EXACT.to_integral_value(short) else short


@lru_cache(maxsize=_REMEMBERED)
def rounded(value: Decimal) -> Decimal:
    """To ten digits after the point, half to even, trimmed.

    What divisions left at the far end of the digits is cut off first: it must not decide a half.
    """
    near = value.quantize(_FAR, rounding=ROUND_HALF_EVEN, context=EXACT)
    return trimmed(near.quantize(_TEN_DIGITS, rounding=ROUND_HALF_EVEN, context=EXACT))


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """A division, rounded."""
    return rounded(EXACT.divide(dividend, divisor))


def shares(whole: Decimal, counts: Iterable[Decimal], total: Decimal) -> list[Decimal]:
    """`whole` spread over counts out of `total`: differences of rounded running sums."""
    result, before, run = [], ZERO, ZERO
    for count in counts:
        run += count
        upto = quotient(whole * run, total)
        result.append(trimmed(upto - before))
        before = upto
    return result


def taker_fee(count: Decimal, price: Decimal) -> Decimal:
    """0.07 * count * p * (1 - p) dollars, rounded up to the next cent, for one fill.

    The venue's schedule; it holds for every one of 1,425 real orders of 2025.
    """
    exact = _FEE_RATE * count * price * (ONE - price)
    return trimmed(exact.quantize(_CENT, rounding=ROUND_CEILING))


def content(values: Iterable[object]) -> str:
    """SHA-256 of values as a JSON array, by which contradictions are decided.

    Decimals are text without trailing zeros, times microseconds since 1970 UTC.
    """
    return hashlib.sha256(
        orjson.dumps(list(values), default=_canonical, option=_AS_THEY_ARE)
    ).hexdigest()


def _canonical(value: object) -> str | int:
    match value:
        case Decimal():
            return plain(trimmed(value))
        case datetime():
            return micros_of(value)
    raise TypeError(f"no canonical form of {type(value).__name__}")
