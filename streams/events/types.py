"""The value types that every event is made of: decimals, times, names.

The wire forms are fixed by the design: a decimal is a JSON *string* in plain notation with at
most 20 digits before and 10 after the point; a time is an integer, microseconds since 1970 UTC.
A JSON number in a decimal field is refused, because it would pass through a float somewhere.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

#: Plain notation, no sign, no leading zeros, no exponent. The columnar decoder of the `prices`
#: projection embeds this same text, so that both accept one language.
UNSIGNED_DECIMAL = r"(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,10})?"

_UNSIGNED = re.compile(UNSIGNED_DECIMAL)

#: 2009-01-01T00:00:00Z in microseconds: no venue that we record is older.
EARLIEST_TIME = 1_230_768_000_000_000
#: An event may be at most this far ahead of its append time, in microseconds (one day).
LATEST_AHEAD = 86_400_000_000
#: 9999-12-31T23:59:59.999999Z, a bound that keeps a time representable everywhere.
LAST_TIME = 253_402_300_799_999_999

MAX_INT64 = 2**63 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Microseconds since 1970 UTC → the same time with its zone, exact."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_of(time: datetime) -> int:
    """A time with a zone → microseconds since 1970 UTC, exact."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _plain_decimal(value: object) -> Decimal:
    if isinstance(value, Decimal):
        value = format(value, "f")
    if not isinstance(value, str):
        # pydantic makes a refusal of a ValueError only.
        raise ValueError("a decimal is a JSON string, not a JSON number")  # noqa: TRY004
    if _UNSIGNED.fullmatch(value) is None:
        raise ValueError("not an unsigned plain decimal of at most 20 + 10 digits")
    return Decimal(value)


def _positive(value: object) -> Decimal:
    decimal = _plain_decimal(value)
    if decimal == 0:
        raise ValueError("must be greater than zero")
    return decimal


def plain(value: Decimal) -> str:
    """The wire form of a decimal: plain notation, trailing zeros kept."""
    return format(value, "f")


_AS_TEXT = PlainSerializer(plain, return_type=str)
_SCHEMA = {"type": "string", "pattern": f"^{UNSIGNED_DECIMAL}$"}
_POSITIVE_SCHEMA = {**_SCHEMA, "not": {"pattern": r"^0(?:\.0+)?$"}}

#: A price in the quote currency of its symbol; greater than zero.
Price = Annotated[Decimal, BeforeValidator(_positive), _AS_TEXT, WithJsonSchema(_POSITIVE_SCHEMA)]
#: A quantity in the base currency of its symbol; zero is allowed.
Size = Annotated[Decimal, BeforeValidator(_plain_decimal), _AS_TEXT, WithJsonSchema(_SCHEMA)]
#: Microseconds since 1970-01-01T00:00:00Z.
Micros = Annotated[int, Field(strict=True, ge=EARLIEST_TIME, le=LAST_TIME)]
#: A venue's own running number.
Sequence = Annotated[int, Field(strict=True, ge=0, le=MAX_INT64)]

VENUE = r"[a-z][a-z0-9_]{0,31}"
SYMBOL = r"[A-Z0-9][A-Z0-9._-]{0,47}"
TRADE_ID = r"[A-Za-z0-9_-]{1,64}"

#: Canonical venue name: `coinbase`, `binance`, `cfbenchmarks`.
Venue = Annotated[str, Field(strict=True, pattern=f"^{VENUE}$")]
#: Canonical symbol: base, dash, quote (`BTC-USD`), or an index's name (`BRTI`).
Symbol = Annotated[str, Field(strict=True, pattern=f"^{SYMBOL}$")]
#: The venue's own id of an execution.
TradeId = Annotated[str, Field(strict=True, pattern=f"^{TRADE_ID}$")]
#: One run of one connection of a connector.
Connection = Annotated[str, Field(strict=True, min_length=1, max_length=64)]
