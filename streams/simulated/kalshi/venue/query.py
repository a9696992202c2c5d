"""The query of a REST request, read; and pages of rows. Pure.

Bounds and defaults: openapi.yaml 3.34.0. Its error bodies are not those of production, which
recordings show; these are production's.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

import orjson

from streams.simulated.kalshi.venue.state import Venue
from streams.simulated.kalshi.venue.wire import Json

__all__ = ["Asked", "Place", "Query", "Refused", "Reply", "error"]

T = TypeVar("T")

_SECOND = 1_000_000

#: Where a row stands: rows are given from the greatest to the least.
Place = tuple[int, str]


class Reply(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


class Refused(Exception):
    """A request that the venue refuses, with the reply that says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def error(status: int, code: str, details: str = "") -> Reply:
    """An error as production sends it."""
    said: Json = {"code": code, "message": code.replace("_", " ")}
    if details:
        said["details"] = details
    return Reply(status, orjson.dumps({"error": said}))


class Query:
    """The parameters of a request; those that nobody asks for are ignored. All raise Refused."""

    def __init__(self, path: str, query: str) -> None:
        self._path = path
        self._given = dict(parse_qsl(query, keep_blank_values=True))

    def word(self, name: str) -> str | None:
        """A text; None where it is not given or empty."""
        return self._given.get(name) or None

    def words(self, name: str, most: int = 100) -> list[str]:
        """A comma list of at most so many."""
        words = [word for word in self._given.get(name, "").split(",") if word]
        if len(words) > most:
            raise _bad(f"too many values in {name}")
        return words

    def one_of(self, name: str, values: Mapping[str, T], default: T) -> T:
        """What a word stands for."""
        word = self.word(name)
        if word is None:
            return default
        if word not in values:
            raise _bad(f"invalid {name} filter")
        return values[word]

    def whole(self, name: str) -> int | None:
        """A whole number that is not negative."""
        word = self.word(name)
        if word is None:
            return None
        if not (word.isascii() and word.isdigit()) or len(word) > 18:
            raise _bad(f"invalid {name}")
        return int(word)

    def required(self, name: str) -> int:
        """A whole number that must be given."""
        value = self.whole(name)
        if value is None:
            raise _bad(f"{name} is required")
        return value

    def within(self, *names: str) -> Callable[[int], bool]:
        """Whether a time in microseconds lies within two bounds in seconds, both included.

        The names are those of the bounds, such as `min_ts` and `max_ts`.
        """
        earliest, latest = (self.whole(name) for name in names)

        def is_within(time: int) -> bool:
            return (earliest is None or time >= earliest * _SECOND) and (
                latest is None or time <= latest * _SECOND
            )

        return is_within

    def gives(self, *names: str) -> list[str]:
        """Which of them are given."""
        return [name for name in names if self.word(name) is not None]

    def page(
        self, rows: Sequence[T], place: Callable[[T], Place], *, least: int = 1, most: int = 1000
    ) -> tuple[list[T], str]:
        """The rows from the cursor on, the newest first, and the next cursor ("": the last page).

        A full page has a cursor, also where nothing follows. A cursor is good for the path and
        filters that it was given for. Rows that come in between do not shift the pages.
        """
        limit = self.whole("limit")
        if limit is None:
            limit = 100
        if not least <= limit <= most:
            raise _bad("invalid limit")
        limit = limit or 100
        after = self._cursor()
        ordered = sorted(rows, key=place, reverse=True)
        found = [row for row in ordered if after is None or place(row) < after][:limit]
        full = len(found) == limit
        return found, self._encode(place(found[-1])) if full else ""

    def _filters(self) -> str:
        given = {name: self._given[name] for name in self._given if name not in ("limit", "cursor")}
        text = orjson.dumps([self._path, given], option=orjson.OPT_SORT_KEYS)
        return sha256(text).hexdigest()[:12]

    def _encode(self, place: Place) -> str:
        return urlsafe_b64encode(orjson.dumps([self._filters(), *place])).decode()

    def _cursor(self) -> Place | None:
        cursor = self.word("cursor")
        if cursor is None:
            return None
        try:
            filters, time, name = orjson.loads(urlsafe_b64decode(cursor))
        except (ValueError, TypeError) as unreadable:
            raise _bad("invalid cursor") from unreadable
        if filters != self._filters():
            raise _bad("invalid cursor")
        return time, name


class Asked(NamedTuple):
    """Who is asked, and for what."""

    venue: Venue
    query: Query


def _bad(details: str) -> Refused:
    return Refused(error(400, "bad_request", details))
