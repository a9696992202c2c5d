"""Telling a fault in the data from a fault of the infrastructure, by SQLSTATE.

psycopg's classes do not tell: a transaction timeout and a read-only server come as InternalError.
Only a fault in the data may become a dead letter; anything else is tried again.
"""

from __future__ import annotations

import asyncio

import psycopg

from projections.errors import Fenced, Refusal

#: Data exception, integrity violation, program limit (a row too large to index), raised by SQL.
_DATA_CLASSES = frozenset({"22", "23", "54", "P0"})
_TRANSACTION_TIMEOUT = frozenset({"25P03", "25P04"})


def is_data_fault(error: BaseException) -> bool:
    """Whether the same records would fail again on a healthy database.

    An exception that is not the driver's and not the system's comes from decoding or writing
    these very records, so it counts as theirs.
    """
    if isinstance(error, psycopg.Error):
        if error.sqlstate is not None:
            return error.sqlstate[:2] in _DATA_CLASSES
        return isinstance(error, psycopg.DataError)
    if isinstance(error, Refusal | Fenced | OSError | asyncio.TimeoutError | MemoryError):
        return False
    return isinstance(error, Exception)


def is_timeout(error: BaseException) -> bool:
    """Whether the transaction lasted longer than the server allows a live unit."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _TRANSACTION_TIMEOUT


def describe(error: BaseException) -> str:
    """An error in one line: its kind, SQLSTATE where there is one, and what it said."""
    state = getattr(error, "sqlstate", None)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{f' ({state})' if state else ''}: {text}"
