"""Dead letters for pages: bytes as text that can be looked at, cut where there is too much."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

import orjson

__all__ = ["listed", "whole"]

#: Characters of a value that are shown.
_MOST_SHOWN = 50_000


def listed(letter: Mapping[str, Any]) -> dict[str, Any]:
    """A dead letter of a list: its key as text."""
    key = letter["key"]
    return {**letter, "key": None if key is None else key.decode(errors="backslashreplace")}


def whole(letter: Mapping[str, Any]) -> dict[str, Any]:
    """All of one: `value` is {kind, text, size, cut}, where kind is text, base64 or null.

    The text is exactly what the record holds. `frame` is the same of what a connector could not
    read and kept in base64; None of any other record.
    """
    value = letter["value"]
    frame = _frame(value) if letter["what"] == "frame" else None
    return {
        **listed(letter),
        "value": _shown(value),
        "frame": None if frame is None else _shown(frame),
    }


def _shown(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"kind": "null", "text": "", "size": 0, "cut": 0}
    text = _plain(value)
    kind = "base64" if text is None else "text"
    text = b64encode(value).decode() if text is None else text
    cut = max(0, len(text) - _MOST_SHOWN)
    return {"kind": kind, "text": text[:_MOST_SHOWN], "size": len(value), "cut": cut}


def _plain(value: bytes) -> str | None:
    """The text of a value; None where it is none that can be shown."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one.isspace() for one in text) else None


def _frame(value: bytes | None) -> bytes | None:
    try:
        return b64decode(orjson.loads(value or b"")["frame"], validate=True)
    except (orjson.JSONDecodeError, Base64Error, KeyError, TypeError, ValueError):
        return None
