"""Kraken's order book, kept by snapshot and updates, with its checksum.

Source of the rules: docs.kraken.com/api/docs/guides/spot-ws-book-v2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from zlib import crc32

from streams.connectors.values import FrameError, decimal_text, shown

__all__ = ["DEPTH", "Book", "Level", "levels", "number_text"]

#: Levels of each side: what is subscribed to, and what the checksum covers.
DEPTH = 10


class Level(NamedTuple):
    """A price and the quantity there, as the venue writes them: trailing zeros count."""

    price: str
    quantity: str


#: Price → the level, and what the checksum takes of it; best first.
_Side = dict[Decimal, tuple[Level, str]]


@dataclass
class Book:
    """The best levels of one symbol."""

    _bids: _Side = field(default_factory=dict)
    _asks: _Side = field(default_factory=dict)

    def update(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Set these levels, or remove those of quantity 0; what falls out of the depth is gone."""
        self._bids = _updated(self._bids, bids, best_is_highest=True)
        self._asks = _updated(self._asks, asks, best_is_highest=False)

    def best(self) -> tuple[Level, Level] | None:
        """Best bid and best ask; None while a side is empty."""
        if not self._bids or not self._asks:
            return None
        (bid, _), (ask, _) = next(iter(self._bids.values())), next(iter(self._asks.values()))
        return bid, ask

    def checksum(self) -> int:
        """CRC-32 of the asks from the lowest, then the bids from the highest, as digits."""
        both = (*self._asks.values(), *self._bids.values())
        return crc32("".join([digits for _, digits in both]).encode())


def levels(entry: Mapping[str, Any], side: str) -> list[Level]:
    """The levels of `bids` or `asks` of a book message. Raises FrameError."""
    found = entry.get(side)
    if not isinstance(found, list):
        raise FrameError(f"{side}: not a list: {shown(found)}")
    return [_level(one) for one in found]


def number_text(value: object) -> str:
    """A JSON number as it was written, if `exact_json` has read it. Raises FrameError."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return decimal_text(value)


def _level(value: object) -> Level:
    if not isinstance(value, dict):
        raise FrameError(f"a level is a JSON object, not {type(value).__name__}")
    return Level(number_text(value.get("price")), number_text(value.get("qty")))


def _updated(side: _Side, changes: Sequence[Level], *, best_is_highest: bool) -> _Side:
    """The side after these changes, best level first."""
    if not changes:
        return side
    after = dict(side)
    for level in changes:
        if Decimal(level.quantity):
            after[Decimal(level.price)] = level, _digits(level.price) + _digits(level.quantity)
        else:
            after.pop(Decimal(level.price), None)
    kept = sorted(after, reverse=best_is_highest)[:DEPTH]
    return {price: after[price] for price in kept}


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")
