"""One look at the database, for a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from streams.errors import UserError

__all__ = ["Connection", "connected", "database_faults", "reading"]

Connection = psycopg.Connection[TupleRow]


@contextmanager
def reading(dsn: str) -> Iterator[Connection]:
    """A connection in UTC whose statements all see the same moment, and which can write nothing.

    Raises UserError: the database is out of reach, lacks the tables, or fails.
    """
    with database_faults(), connected(dsn, "tickertape report") as connection:
        connection.autocommit = False
        yield connection


def connected(dsn: str, name: str, *, timeout: float = 0) -> Connection:
    """A connection as of `reading`, in autocommit mode; each of its transactions sees one moment.

    `timeout` is how many seconds a statement may take, and may wait for a lock; 0 is for ever.
    Raises psycopg.Error.
    """
    most = round(timeout * 1000)
    limit = f"-c statement_timeout={most} -c lock_timeout={most}"
    options = f"{conninfo_to_dict(dsn).get('options') or ''} -c timezone=UTC {limit}"
    settings: dict[str, Any] = {"application_name": name, "options": options}
    connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5, **settings)
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


@contextmanager
def database_faults() -> Iterator[None]:
    """Raises UserError for what is wrong with the database within."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise UserError(f"{error.object!a} is not UTF-8") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the database: {reason}; run `tape db migrate`") from None
    except psycopg.Error as error:  # its text names the host, never the password
        reason = " ".join(str(error).split())
        raise UserError(f"the database: {reason}; `tape doctor` tries the connection") from None
