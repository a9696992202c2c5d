"""Kalshi's notation of today, for writing. Pure.

Source: reference of the protocol, asyncapi.yaml and openapi.yaml 3.34.0: prices have four decimals,
costs and fees six, counts two.
"""

from __future__ import annotations

from decimal import Decimal

import orjson

from streams.events.types import Side

__all__ = ["EXCHANGE_INDEX", "USER", "Json", "JsonNumber", "cents", "contracts", "cost"]
__all__ += ["direction", "millis", "number", "price", "seconds"]

Json = dict[str, object]
JsonNumber = orjson.Fragment

#: The shard on which crypto markets trade since August 2026.
EXCHANGE_INDEX = 2
USER = "00000000-0000-4000-8000-000000000001"

_MILLISECOND, _SECOND = 1_000, 1_000_000


def price(dollars: Decimal) -> str:
    """A price, or a balance."""
    return f"{dollars:.4f}"


def cost(dollars: Decimal) -> str:
    """A cost, fee or profit."""
    return f"{dollars:.6f}"


def contracts(count: Decimal) -> str:
    """A count of contracts, signed."""
    return f"{count:.2f}"


def cents(dollars: Decimal) -> int:
    """Whole cents; the venue cuts off what is less."""
    return int(dollars * 100)


def number(value: Decimal) -> JsonNumber:
    """A JSON number, written without passing through a float: strikes are ones."""
    return orjson.Fragment(str(value))


def seconds(time: int) -> int:
    """Microseconds → whole seconds, cut off."""
    return time // _SECOND


def millis(time: int) -> int:
    """Microseconds → whole milliseconds, cut off."""
    return time // _MILLISECOND


def direction(side: Side) -> Json:
    """What is acquired, in both of today's words."""
    return {"outcome_side": side, "book_side": "bid" if side == "yes" else "ask"}
