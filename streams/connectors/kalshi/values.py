"""Kalshi's notation: dollars, counts, directions and times, as every format so far wrote them.

Fields of three formats occur, also in one message: whole numbers (until 2026-03-12), the same
beside text, and text alone. Sources: openapi.yaml and asyncapi.yaml 3.34.0; reference/connectors.md
section 5; for the formats of 2025, reference/legacy-system.md sections 4.3 and 4.4.

Every function reads fields of one JSON object, gives None where the field is absent, null or empty
text, and raises `FrameError` for a value that cannot be read, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from streams.connectors.values import FrameError, decimal_text, rfc3339_micros, shown
from streams.events.types import MAX_INT64, Side

Item = Mapping[str, Any]

#: The units of whole numbers, as powers of ten of a dollar.
DOLLARS, CENTS, CENTI_CENTS = 0, -2, -4

#: Sums of decimals of 20 + 10 digits are exact in it.
_EXACT = Context(prec=40)

#: What one YES contract pays, by the result of its market; a scalar market's value is its own.
PAYS: Mapping[str | None, Decimal] = {"yes": Decimal(1), "no": Decimal(0)}

#: The zero of Kalshi's time type: not set.
_NO_TIME = "0001-01-01T00:00:00Z"

#: Y and N occur in legacy tables and tickets.
_SIDES: Mapping[object, Side] = {"yes": "yes", "no": "no", "Y": "yes", "N": "no"}
_BOOK_SIDES: Mapping[object, Side] = {"bid": "yes", "ask": "no"}
_OPPOSITE: Mapping[Side, Side] = {"yes": "no", "no": "yes"}
_SELLS = frozenset({"sell", "sell_partial", "sell_to_close"})


def money(item: Item, name: str, unit: int = CENTS) -> Decimal | None:
    """An amount in dollars, of either sign.

    It is the text `<name>_dollars` or `<name>_fixed`; without them the whole number `<name>`, in
    units of 10**`unit` dollars. Where both are given they are the same amount, or the whole number
    is cut off, so the text goes first. A list in the place of the text (August 2025 had `[0, 0]`)
    is no text; a JSON number there is refused, and so is a fraction in the whole number.
    """
    exact = _fixed_point(item, f"{name}_dollars", f"{name}_fixed")
    return exact if exact is not None else _whole(item, name, unit)


def dollar_text(item: Item, name: str) -> Decimal | None:
    """An amount in dollars that is text under its bare name: `fee_cost`, `settlement_value`."""
    return _fixed_point(item, name)


def count(item: Item, name: str) -> Decimal | None:
    """Contracts, of either sign: the text `<name>_fp`, without it the whole number `<name>`."""
    exact = _fixed_point(item, f"{name}_fp")
    return exact if exact is not None else _whole(item, name, 0)


def total(*amounts: Decimal | None) -> Decimal | None:
    """The sum of the amounts that are given, exact; None where none is."""
    present = [amount for amount in amounts if amount is not None]
    if not present:
        return None
    result = present[0]
    for amount in present[1:]:
        result = _EXACT.add(result, amount)
    return result


def yes_price(item: Item) -> Decimal | None:
    """The price of the YES side in dollars, from `yes_price…` and `no_price…`.

    Either is enough. Both must make one dollar, as they did in all recorded fills.
    """
    yes, no = money(item, "yes_price"), money(item, "no_price")
    if yes is None:
        return None if no is None else _EXACT.subtract(Decimal(1), no)
    if no is not None and _EXACT.add(yes, no) != 1:
        raise FrameError(f"yes_price {yes} and no_price {no} do not make 1")
    return yes


def acquired(item: Item) -> Side:
    """The outcome that is acquired, by the first of these that is given:

    - `outcome_side`, or `book_side` (bid is yes, ask is no); both must say the same;
    - `purchased_side` (WebSocket fills before May 2026);
    - `action` and `side`: to sell NO is to acquire YES. openapi.yaml says so of orders and fills,
      and the fills of 2025 add up to the positions that way;
    - `is_yes` (WebSocket orders).
    """
    outcome = _one_of(_SIDES, item, "outcome_side")
    book = _one_of(_BOOK_SIDES, item, "book_side")
    if outcome and book and outcome != book:
        raise FrameError(f"outcome_side {outcome} contradicts book_side {item['book_side']}")
    resolved = outcome or book or _one_of(_SIDES, item, "purchased_side") or _legacy_side(item)
    if resolved is None:
        raise FrameError("neither outcome_side nor book_side nor the fields before them")
    return resolved


def side(item: Item, name: str) -> Side | None:
    """A field that holds the outcome itself: yes, no, Y or N."""
    return _one_of(_SIDES, item, name)


def milliseconds(item: Item, name: str) -> int | None:
    """Whole milliseconds since 1970 → microseconds. Zero means not set."""
    value = _whole(item, name, 0)
    return int(value) * 1000 if value else None


def seconds(item: Item, name: str) -> int | None:
    """Whole seconds since 1970 → microseconds. Zero means not set."""
    value = _whole(item, name, 0)
    return int(value) * 1_000_000 if value else None


def rfc3339(item: Item, name: str) -> int | None:
    """RFC 3339 text, 0 to 9 fractional digits → microseconds since 1970. Year 1 means not set."""
    value = item.get(name)
    if value is None or value in ("", _NO_TIME):
        return None
    try:
        return rfc3339_micros(value)
    except FrameError as error:
        raise FrameError(f"{name}: {error}") from error


def finest(*times: int | None) -> int | None:
    """The finest of several readings of one moment, in microseconds; the coarsest is named last.

    Channels cut off what they do not give, so it is the latest reading within the second of the
    coarsest. One of another second is left out: all channels of a fact agree on the coarsest.
    """
    given = [time for time in times if time is not None]
    if not given:
        return None
    second = given[-1] // 1_000_000
    return max(time for time in given if time // 1_000_000 == second)


def number(item: Item, name: str) -> Decimal | None:
    """A JSON number by its shortest decimal text, or text: for strikes, which are no money."""
    value = item.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, float) and math.isfinite(value):
        value = repr(value)
    elif type(value) is int and abs(value) <= MAX_INT64:
        value = str(value)
    return _signed(value, name)


def words(item: Item, *names: str) -> str | None:
    """The first of the fields that holds text other than the empty one."""
    for name in names:
        value = item.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise FrameError(f"{name}: not text: {shown(value)}")
        return value
    return None


def flag(item: Item, name: str) -> bool | None:
    """True or false; SQLite keeps them as 1 and 0."""
    value = item.get(name)
    if value is None:
        return None
    if type(value) not in (bool, int) or value not in (0, 1):
        raise FrameError(f"{name}: neither true nor false: {shown(value)}")
    return bool(value)


def _fixed_point(item: Item, *names: str) -> Decimal | None:
    for name in names:
        value = item.get(name)
        if value is None or value == "" or isinstance(value, list):
            continue
        return _signed(value, name)
    return None


def _signed(value: object, name: str) -> Decimal:
    digits = value.removeprefix("-") if isinstance(value, str) else value
    try:
        magnitude = Decimal(decimal_text(digits))
    except FrameError as error:
        raise FrameError(f"{name}: {error}") from error
    return magnitude.copy_negate() if magnitude and digits != value else magnitude


def _whole(item: Item, name: str, exponent: int) -> Decimal | None:
    value = item.get(name)
    if value is None:
        return None
    if type(value) is not int or abs(value) > MAX_INT64:
        raise FrameError(f"{name}: not a whole number of 63 bits: {shown(value)}")
    return Decimal(value).scaleb(exponent)


def _one_of(known: Mapping[object, Side], item: Item, name: str) -> Side | None:
    value = words(item, name)
    if value is None:
        return None
    if value not in known:
        raise FrameError(f"{name}: no side: {shown(value)}")
    return known[value]


def _legacy_side(item: Item) -> Side | None:
    action, outcome = words(item, "action"), _one_of(_SIDES, item, "side")
    if action is None or outcome is None:
        is_yes = flag(item, "is_yes")
        return None if is_yes is None else ("yes" if is_yes else "no")
    if action == "buy":
        return outcome
    if action in _SELLS:
        return _OPPOSITE[outcome]
    raise FrameError(f"action: neither buy nor sell: {shown(action)}")
