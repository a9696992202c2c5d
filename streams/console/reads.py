"""The console's looks at the database: few at once, each bounded in time, none that writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import psycopg

from streams.console.problem import Problem
from streams.errors import UserError
from streams.reports.reading import Connection, connected, database_faults

__all__ = ["Reads"]

_AT_ONCE = 3
#: Seconds that one statement, and one wait for a lock or for a turn, may take.
_LONGEST = 5.0
_QUEUED = 10.0

T = TypeVar("T")


class Reads:
    """Keeps the connections that it made, in autocommit mode, for the next looks."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._idle: list[Connection] = []

    async def read(self, look: Callable[[Connection], T]) -> T:
        """What `look` reads, in a thread, by a connection that sees one moment and cannot write.

        Raises Problem: the database is away, lacks tables, or takes too long.
        """
        try:
            async with asyncio.timeout(_QUEUED):
                await self._turns.acquire()
        except TimeoutError:
            raise Problem(503, "the database has too much to do for this console") from None
        try:
            return await asyncio.to_thread(self._read, look)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def _read(self, look: Callable[[Connection], T]) -> T:
        try:
            with database_faults():
                return self._by_a_connection(look)
        except UserError as fault:
            if isinstance(fault.__context__, psycopg.errors.QueryCanceled):
                message = f"the database: this takes it longer than {_LONGEST:.0f} s"
                raise Problem(503, message) from None
            raise Problem(503, str(fault)) from None

    def _by_a_connection(self, look: Callable[[Connection], T]) -> T:
        connection = self._idle.pop() if self._idle else None
        if connection is not None and not _answers(connection):
            connection.close()
            connection = None
        if connection is None:
            connection = connected(self._dsn, "tickertape console", timeout=_LONGEST)
        return self._look(connection, look)

    def _look(self, connection: Connection, look: Callable[[Connection], T]) -> T:
        try:
            with connection.transaction():
                return look(connection)
        finally:
            if connection.broken or connection.closed:
                connection.close()
            else:
                self._idle.append(connection)


def _answers(connection: Connection) -> bool:
    """Whether the server has not closed it meanwhile."""
    try:
        connection.execute("select")
    except psycopg.OperationalError:
        return False
    return True
