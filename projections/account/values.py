"""Exact arithmetic and canonical text of the account's values: dollars, contracts, times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

from streams.events.types import micros_of, plain

ONE = Decimal(1)
ZERO = Decimal(0)

#: Wide enough for any product of values of the wire format. What reckons with the operators of
#: Decimal does so in `localcontext(EXACT)`.
EXACT = Context(prec=120)
_TEN_DIGITS = Decimal("1e-10")
_CENT = Decimal("0.01")
_FEE_RATE = Decimal("0.07")


def trimmed(value: Decimal) -> Decimal:
    """The same number without trailing zeros, and never in scientific notation."""
    text = str(value)
    if "E" not in text and ("." not in text or not text.endswith("0")):
        return value  # most are: the rest of this takes four times as long
    short = EXACT.normalize(value)
    return EXACT.quantize(short, ONE) if short == EXACT.to_integral_value(short) else short


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """A division to ten digits after the point, half to even, trimmed."""
    exact = EXACT.divide(dividend, divisor)
    return trimmed(exact.quantize(_TEN_DIGITS, rounding=ROUND_HALF_EVEN, context=EXACT))


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
    """SHA-256 of values in canonical text, by which contradictions are decided."""
    return hashlib.sha256("|".join(canonical(value) for value in values).encode()).hexdigest()


def canonical(value: object) -> str:
    """A value as text: decimals trimmed, times in microseconds, `-` for null."""
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(trimmed(value))
        case datetime():
            return str(micros_of(value))
        case _:
            return str(value)
