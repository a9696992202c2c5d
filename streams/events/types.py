"""The value types that every event is made of: decimals, times, names.

The wire forms are fixed by the design: a decimal is a JSON *string* in plain notation with at
most 20 digits before and 10 after the point; a time is an integer, microseconds since 1970 UTC.
A JSON number in a decimal field is refused, because it would pass through a float somewhere.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

#: Plain notation, no sign, no leading zeros, no exponent. The columnar decoder of the `prices`
#: projection embeds this same text, so that both accept one language.
UNSIGNED_DECIMAL = r"(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,10})?"

#: The same with a sign, but no minus zero.
SIGNED_DECIMAL = rf"-?{UNSIGNED_DECIMAL}"

_UNSIGNED = re.compile(UNSIGNED_DECIMAL)
_SIGNED = re.compile(SIGNED_DECIMAL)

#: 2009-01-01T00:00:00Z in microseconds: no venue that we record is older.
EARLIEST_TIME = 1_230_768_000_000_000
#: An event may be at most this far ahead of its append time, in microseconds (one day).
LATEST_AHEAD = 86_400_000_000
#: 9999-12-31T23:59:59.999999Z, a bound that keeps a time representable everywhere.
LAST_TIME = 253_402_300_799_999_999

#: The same prices and counts come again and again: to look one up takes a sixth of the time.
_REMEMBERED = 16_384

MAX_INT64 = 2**63 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Microseconds since 1970 UTC → the same time with its zone, exact."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_of(time: datetime) -> int:
    """A time with a zone → microseconds since 1970 UTC, exact."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _text_of(value: object) -> str:
    if isinstance(value, Decimal):
        value = format(value, "f")
    if not isinstance(value, str):
        # pydantic makes a refusal of a ValueError only.
        raise ValueError("a decimal is a JSON string, not a JSON number")  # noqa: TRY004
    return value


def _plain_decimal(value: object) -> Decimal:
    return _unsigned(_text_of(value))


@lru_cache(maxsize=_REMEMBERED)
def _unsigned(text: str) -> Decimal:
    if _UNSIGNED.fullmatch(text) is None:
        raise ValueError("not an unsigned plain decimal of at most 20 + 10 digits")
    return Decimal(text)


def _signed_decimal(value: object) -> Decimal:
    return _signed(_text_of(value))


@lru_cache(maxsize=_REMEMBERED)
def _signed(text: str) -> Decimal:
    if _SIGNED.fullmatch(text) is None:
        raise ValueError("not a plain decimal of at most 20 + 10 digits")
    decimal = Decimal(text)
    if decimal == 0 and text.startswith("-"):
        raise ValueError("zero has no sign")
    return decimal


def _at_most_one(value: object) -> Decimal:
    decimal = _plain_decimal(value)
    if decimal > 1:
        raise ValueError("must be between zero and one")
    return decimal


def _at_most_hundred(value: object) -> Decimal:
    decimal = _plain_decimal(value)
    if decimal > 100:
        raise ValueError("must be between zero and one hundred")
    return decimal


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
_SIGNED_SCHEMA = {
    "type": "string",
    "pattern": f"^{SIGNED_DECIMAL}$",
    "not": {"pattern": r"^-0(?:\.0+)?$"},
}
_PERCENT_SCHEMA = {
    "type": "string",
    "pattern": r"^(?:(?:0|[1-9][0-9]?)(?:\.[0-9]{1,10})?|100(?:\.0{1,10})?)$",
}
_BINARY_SCHEMA = {"type": "string", "pattern": r"^(?:0(?:\.[0-9]{1,10})?|1(?:\.0{1,10})?)$"}

#: A price in the quote currency of its symbol; greater than zero.
Price = Annotated[Decimal, BeforeValidator(_positive), _AS_TEXT, WithJsonSchema(_POSITIVE_SCHEMA)]
#: A quantity in the base currency of its symbol; zero is allowed.
Size = Annotated[Decimal, BeforeValidator(_plain_decimal), _AS_TEXT, WithJsonSchema(_SCHEMA)]
#: An amount of dollars, of either sign.
Money = Annotated[
    Decimal, BeforeValidator(_signed_decimal), _AS_TEXT, WithJsonSchema(_SIGNED_SCHEMA)
]
#: Dollars for one contract that pays one dollar: 0 to 1, both included.
BinaryPrice = Annotated[
    Decimal, BeforeValidator(_at_most_one), _AS_TEXT, WithJsonSchema(_BINARY_SCHEMA)
]
#: A probability in percent, 0 to 100.
Percent = Annotated[
    Decimal, BeforeValidator(_at_most_hundred), _AS_TEXT, WithJsonSchema(_PERCENT_SCHEMA)
]
#: A number of contracts, greater than zero; fractions of a contract exist.
Count = Annotated[Decimal, BeforeValidator(_positive), _AS_TEXT, WithJsonSchema(_POSITIVE_SCHEMA)]
#: A number of contracts, zero allowed.
CountOrZero = Size
#: Contracts held: positive for YES, negative for NO.
NetCount = Money
#: Microseconds since 1970-01-01T00:00:00Z.
Micros = Annotated[int, Field(strict=True, ge=EARLIEST_TIME, le=LAST_TIME)]
#: A venue's own running number.
Sequence = Annotated[int, Field(strict=True, ge=0, le=MAX_INT64)]

VENUE = r"[a-z][a-z0-9_]{0,31}"
SYMBOL = r"[A-Z0-9][A-Z0-9._-]{0,47}"
TRADE_ID = r"[A-Za-z0-9_-]{1,64}"
#: Venue, mode, the operator's name for the account, subaccount: `kalshi/prod/main/0`.
ACCOUNT = r"[a-z][a-z0-9_]{0,31}/(?:prod|demo)/[A-Za-z0-9_-]{1,64}/(?:[0-9]|[1-5][0-9]|6[0-3])"
TICKER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
IDENTIFIER = r"[ -~]{1,200}"

#: Canonical venue name: `coinbase`, `binance`, `cfbenchmarks`.
Venue = Annotated[str, Field(strict=True, pattern=f"^{VENUE}$")]
#: Canonical symbol: base, dash, quote (`BTC-USD`), or an index's name (`BRTI`).
Symbol = Annotated[str, Field(strict=True, pattern=f"^{SYMBOL}$")]
#: The venue's own id of an execution.
TradeId = Annotated[str, Field(strict=True, pattern=f"^{TRADE_ID}$")]
#: An account: every key holds it.
Account = Annotated[str, Field(strict=True, pattern=f"^{ACCOUNT}$")]
#: A Kalshi market ticker, whatever it may mean: `KXBTCD-25AUG0316-T114749.99`.
Ticker = Annotated[str, Field(strict=True, pattern=f"^{TICKER}$")]
#: An id that someone else made: of an order, a ticket, a transfer. Printable ASCII.
Identifier = Annotated[str, Field(strict=True, pattern=f"^{IDENTIFIER}$")]
#: A text for people.
Text = Annotated[str, Field(strict=True, max_length=2000)]
#: The frame or reply as it came, in JSON.
Raw = Annotated[str, Field(strict=True, max_length=500_000)]
#: Who says so: a venue and its accounts (`native`), or a store of the old system (`legacy`).
Origin = Literal["native", "legacy"]
#: The outcome that a contract pays on.
Side = Literal["yes", "no"]
#: One run of one connection of a connector.
Connection = Annotated[str, Field(strict=True, min_length=1, max_length=64)]
