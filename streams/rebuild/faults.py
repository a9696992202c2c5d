"""What went wrong in a rebuild, as a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from projections.errors import Fenced
from streams.errors import UserError

__all__ = ["explained", "explaining"]

_DISK_FULL = "53100"
_UNTOUCHED = "the live tables are as they were"


@contextmanager
def explaining(projection: str) -> Iterator[None]:
    """Raises UserError for what is wrong with the database within."""
    try:
        yield
    except (Fenced, psycopg.Error) as error:
        raise UserError(explained(error, projection)) from error


def explained(error: BaseException, projection: str) -> str:
    """The message for a fault of a rebuild of this projection."""
    text = " ".join(str(error).split())
    if isinstance(error, Fenced):
        return f"{projection}: another rebuild has taken this one over; {_UNTOUCHED}"
    if not isinstance(error, psycopg.Error):
        return text
    if error.sqlstate == _DISK_FULL:
        return (
            f"{projection}: the database's disk is full: {text}; {_UNTOUCHED}. Make room (`tape"
            " rebuild --clean` drops what earlier rebuilds left), and run it again"
        )
    return f"{projection}: the database: {text}; {_UNTOUCHED}"
